package actors

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Mailbox is the mailbox of every actor of the relay. Proto.Actor's own drop the message on which an actor panics, and
// whatever is queued when an actor stops, both without a word. This one
//
//   - tries a failed message once more, in its place, after the supervisor has restarted or resumed the actor;
//   - hands a message that fails again to quarantine, and goes on with the next;
//   - stops the actor that was told to, even if it panics on the way;
//   - abandons (see Abandon) what is left when the actor stops, and what comes later.
//
// A message may thus be handled a second time after it has had its effect. Mark notes that it had.
//
// A message that was sent by a [worker] is run by that worker, if nobody else runs the mailbox: see ride.
type Mailbox struct {
	shared     *Shared
	quarantine func(ctx actor.Context, message any)
	invoker    actor.MessageInvoker // the actor's context
	process    actor.Process

	mu      sync.Mutex // for the next five
	posted  []any
	system  []any // Proto.Actor's own messages, which go first
	running bool  // somebody runs it, or is about to
	paused  bool  // by a crash, until the supervisor has decided; changed by who runs it only
	gone    bool  // the actor has stopped for good; likewise

	urgent atomic.Bool // system is not empty

	look          func(*Vitals)
	since         time.Time
	crashes       atomic.Uint32
	before, after *Mailbox // in the roster, whose they are

	// Owned by who runs it.
	worker   *worker // who that is; nil if nobody
	batch    []any   // taken from posted
	at       int     // of batch: the message in hand, or the next
	inHand   bool    // it is being handled
	marked   bool    // it has had its effect
	failures int     // how often it crashed the actor
	again    any     // the system message that was posted again
	stopping bool    // for good
	crashed  bool    // the actor has, at least once
	watchers []*actor.PID
}

// NewMailbox returns the mailbox for one actor. Quarantine is told of a message on which the actor crashed twice, and of
// *actor.Stopping or *actor.Terminated if it crashed on that while it stops; it runs where the actor runs, on whatever state the crash left.
func NewMailbox(shared *Shared, quarantine func(ctx actor.Context, message any)) *Mailbox {
	return &Mailbox{shared: shared, quarantine: quarantine}
}

// Props makes an actor use the mailbox; the actor may be spawned once. [Shared.Wait] waits until it is empty for good.
func (m *Mailbox) Props() actor.PropsOption {
	return actor.WithMailbox(func() actor.Mailbox {
		return m
	})
}

// Mark notes that the message in hand has had its effect: nothing of it is to be repeated, should the actor crash now. For the actor.
func (m *Mailbox) Mark() { m.marked = m.marked || m.inHand } // a system message may come between a crash and the next try

// Marked reports whether the message in hand has had its effect before the actor crashed. For the actor.
func (m *Mailbox) Marked() bool { return m.inHand && m.marked }

// more reports whether there is a message behind the one in hand, for sure. For the actor.
func (m *Mailbox) more() bool { return m.at+1 < len(m.batch) }

// carry lets the message that a run is sent with next be handled by who runs this mailbox: see ride. For the actor.
func (m *Mailbox) carry(r *Run) *Run {
	r.worker = m.worker
	return r
}

// RegisterHandlers implements actor.Mailbox. The dispatcher is not used.
func (m *Mailbox) RegisterHandlers(invoker actor.MessageInvoker, _ actor.Dispatcher) {
	m.shared.running.Add(1)
	m.invoker, m.since = invoker, time.Now()
	self := invoker.(actor.Context)
	m.process, _ = self.ActorSystem().ProcessRegistry.GetLocal(self.Self().Id)
	m.shared.roster.add(m)
}

// Start implements actor.Mailbox.
func (m *Mailbox) Start() {}

// UserMessageCount implements actor.Mailbox: how many messages wait that nobody has begun to look at.
func (m *Mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.posted)
}

// PostUserMessage implements actor.Mailbox.
func (m *Mailbox) PostUserMessage(message any) {
	w := ride(message)
	m.mu.Lock()
	if m.gone {
		m.mu.Unlock()
		m.leave(message)
		return
	}
	m.posted = append(m.posted, message)
	start := !m.running && !m.paused
	m.running = m.running || start
	m.mu.Unlock()
	switch {
	case !start:
	case w != nil:
		w.ready = append(w.ready, m)
	default:
		m.shared.pool.start(m)
	}
}

// PostSystemMessage implements actor.Mailbox.
func (m *Mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.system = append(m.system, message)
	m.urgent.Store(true)
	start := !m.running
	m.running = true
	m.mu.Unlock()
	if start {
		m.shared.pool.start(m)
	}
}

// turnLength is how many messages are handled before others get their turn.
const turnLength = 64

// run handles messages until there are none, or enough.
func (m *Mailbox) run(w *worker) {
	m.worker, w.runs = w, m
	for left := turnLength; left > 0; {
		if !m.handle(&left) {
			w.runs = nil
			return
		}
	}
	m.worker, w.runs = nil, nil
	m.shared.pool.start(m)
}

// handle handles at most left messages, and fewer if the actor crashes. It is false when the mailbox is not ours to run any more.
func (m *Mailbox) handle(left *int) (ours bool) {
	var system any // the one in hand
	crashing := true
	defer func() {
		if !crashing {
			return
		}
		m.failed(NewCrash(recover()), system)
		ours = true
	}()
	for ; *left > 0; *left-- {
		switch {
		case m.urgent.Load():
			system = m.nextSystem()
			m.obey(system)
			system = nil
		case m.at < len(m.batch) && !m.paused:
			m.inHand = true
			m.invoker.InvokeUserMessage(m.batch[m.at])
			m.next()
		case !m.fetch():
			crashing = false
			return false
		}
	}
	crashing = false
	return true
}

// fetch takes what was posted, or, where there is nothing to do, gives the mailbox up.
func (m *Mailbox) fetch() (ours bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case len(m.system) > 0:
	case len(m.posted) > 0 && !m.paused:
		m.batch, m.posted, m.at = m.posted, m.batch[:0], 0
	default:
		m.running, m.worker = false, nil
		return false
	}
	return true
}

// next goes on behind the message in hand.
func (m *Mailbox) next() {
	m.batch[m.at] = nil
	m.at++
	m.inHand, m.marked, m.failures = false, false, 0
	if m.at == len(m.batch) {
		m.at = 0
		if m.batch = m.batch[:0]; cap(m.batch) > keepLength {
			m.batch = nil
		}
	}
}

// keepLength is how long a queue may be that is kept when it is empty: a flood is over one day, and its queue would stay.
const keepLength = 1 << 10

func (m *Mailbox) nextSystem() any {
	m.mu.Lock()
	defer m.mu.Unlock()
	message := m.system[0]
	if m.system = m.system[1:]; len(m.system) == 0 {
		m.system = nil
		m.urgent.Store(false)
	}
	return message
}

// obey handles a message of Proto.Actor's.
func (m *Mailbox) obey(message any) {
	if _, watch := message.(*actor.Watch); m.gone && !watch { // Proto.Actor would start it again, and stop it a second time
		return
	}
	switch w := message.(type) {
	case *actor.Watch:
		if !m.gone {
			m.watchers = append(m.watchers, w.Watcher)
		}
		m.invoker.InvokeSystemMessage(message)
	case *actor.Unwatch:
		m.watchers = slices.DeleteFunc(m.watchers, w.Watcher.Equal)
		m.invoker.InvokeSystemMessage(message)
	case *actor.SuspendMailbox:
		m.pause(true)
	case *actor.ResumeMailbox:
		m.pause(false)
	case *actor.Stop, *actor.Terminated: // the only ones that can end it
		_, stop := message.(*actor.Stop)
		m.stopping = m.stopping || stop
		m.invoker.InvokeSystemMessage(message)
		m.leaveAll()
	default:
		m.invoker.InvokeSystemMessage(message)
	}
}

func (m *Mailbox) pause(paused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = paused && !m.gone
}
