package actors

import (
	"io"
	"net"
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// output is the writing side of a socket. It belongs to its ConnectionActor, which writes itself what the operating system
// takes at once. Only when that takes no more does a goroutine wait for the socket, with nothing in its hands. Nothing
// here grows but by runs, whose memory their senders' windows bound.
type output struct {
	shared     *Shared
	conn       net.Conn
	socket     socket
	connection *actor.PID
	mail       *Mailbox
	queue      []*Run // in order; those of the round come first
	done       int    // so many of the queue are settled
	round      *round // what is being written; nil if nothing is
	soon       bool   // flush will come
	now        bool   // the client is the only one who waits for what is queued
	waiting    bool   // ready will come
	closing    bool   // nothing is queued any more: what is left is written, then the last word
	parting    bool   // that is done
	lastWord   []byte // the Error to close with
	worker     *worker
	slow       *slow // nil until the socket is full for the first time
}

// Understood by the ConnectionActor, from its output.
type (
	flush struct{ *output } // the time to write what came together has come
	ready struct {          // the socket has taken n bytes more, or would take some, or never will
		quiet
		output *output
		n      int
		err    error
		crash  *Crash
	}
	parted struct{ quiet } // the last word is said
)

// IgnoreDeadLetterLogging implements actor.IgnoreDeadLetterLogging.
func (flush) IgnoreDeadLetterLogging() {}

// push queues what is to be written. What comes after the last word is settled as the socket would have failed.
func (o *output) push(run *Run) {
	switch {
	case o.closing:
		o.fail(run)
	case o.busy() && run.code == 0 && run.Type.Carries():
		run.refuse(frames.Busy, "")
	default:
		o.queue = append(o.queue, run)
		o.now = o.now || run.alone || run.code != 0 || !run.Type.Carries()
	}
}

// finish writes what is queued and then the last word, empty for none.
func (o *output) finish(lastWord []byte) {
	if !o.closing {
		o.closing, o.lastWord, o.now = true, lastWord, true
	}
}

// settled is to be called when a message was handled: it writes, now or soon. A run that shares its chunk with others is
// not written at once: their recipients come first, and what comes for ours meanwhile goes along.
func (o *output) settled() error {
	switch {
	case o.waiting || !o.now && (o.soon || o.idle()):
	case o.now && !o.mail.more():
		return o.flush()
	case !o.now:
		o.soon = true
		o.shared.pool.start(later{o})
	}
	return nil
}

// later is the job to send flush once others had their turn.
type later struct{ *output }

func (l later) run(w *worker) {
	runtime.Gosched()
	l.worker = w
	l.shared.Root.Send(l.connection, flush{l.output})
}

func (o *output) busy() bool { return o.slow != nil && o.slow.busy }

func (o *output) idle() bool { return o.round == nil && o.done == len(o.queue) }

// flush writes until the operating system takes no more, or everything is written.
func (o *output) flush() error {
	o.now = false
	for o.fill() {
		n, err := o.socket.write(o.round.rest())
		o.wrote(n)
		switch {
		case err != nil:
			return err
		case o.round != nil:
			o.wait()
			return nil
		}
	}
	o.drained()
	return nil
}

// fill makes a round of what is queued; false if nothing is.
func (o *output) fill() bool {
	switch {
	case o.round != nil:
		return true
	case o.done == len(o.queue) && len(o.lastWord) == 0:
		return false
	}
	o.round = newRound(!o.socket.direct())
	todo := o.queue[o.done:]
	for _, run := range todo {
		if o.round.full() || !o.round.add(run, len(todo) == 1) {
			break
		}
	}
	if len(todo) == 0 {
		o.round.piece(o.lastWord, true)
		o.lastWord = nil
	}
	return true
}

// wrote takes note of what the operating system took.
func (o *output) wrote(n int) {
	o.done += o.round.wrote(n)
	if o.round.written() {
		o.round.put()
		o.round = nil
	}
	if o.done == len(o.queue) {
		clear(o.queue)
		o.queue, o.done = o.queue[:0], 0
		if cap(o.queue) > keepLength {
			o.queue = nil
		}
	}
}

// wait waits for the socket. It keeps no more than it must.
func (o *output) wait() {
	var pieces [][]byte
	if o.socket.direct() {
		o.round = o.round.begun()
	} else {
		pieces = o.round.rest()
	}
	o.waiting = true
	if o.slow == nil {
		o.slow = &slow{output: o}
	}
	o.slow.began()
	o.shared.running.Add(1)
	o.shared.pool.start(&waiter{o, pieces}) // ends when the socket takes something, or when the ConnectionActor closes it
}

// waiter is the job to wait for a socket.
type waiter struct {
	output *output // only what never changes
	pieces [][]byte
}

func (w *waiter) run(*worker) {
	o := w.output
	defer o.shared.running.Done()
	m := ready{output: o}
	defer func() {
		if p := recover(); p != nil {
			m.crash = NewCrash(p)
		}
		o.shared.Root.Send(o.connection, m)
	}()
	m.n, m.err = o.socket.wait(w.pieces)
}

// goOn goes on after a wait.
func (o *output) goOn(m ready) error {
	o.waiting = false
	if o.round != nil {
		o.wrote(m.n)
	}
	if m.err != nil {
		return m.err
	}
	return o.flush()
}

// drained is called when everything is written.
func (o *output) drained() {
	if o.slow != nil {
		o.slow.caughtUp()
	}
	if o.closing && !o.parting {
		o.parting = true
		o.shared.running.Add(1)
		o.shared.pool.start(farewell{o})
	}
}

// fail settles a run that is not written because the connection is over. A mistake in here costs the run, no more: whoever
// calls it has others to settle.
func (o *output) fail(run *Run) {
	o.shared.contain(func() {
		if run.code != 0 || !run.Type.Carries() {
			run.settleAll(run.code) // its sender is this client
		} else {
			run.refuse(run.away, "")
		}
	})
}

// stop settles everything that is not written. The socket is closed. What a goroutine is just writing is settled when it has
// returned, which is soon.
func (o *output) stop() {
	o.closing = true
	if o.slow != nil {
		o.slow.stop()
	}
	if !o.waiting || o.socket.direct() {
		o.settle(0)
	}
}

// abandon implements abandoner.
func (m ready) abandon() bool {
	if !m.output.socket.direct() {
		m.output.settle(m.n)
	}
	return false
}

// settle settles everything, now that n bytes more were written and nothing more will be.
func (o *output) settle(n int) {
	if o.round != nil {
		o.shared.contain(func() {
			o.wrote(n)
			if o.round != nil {
				o.round.settleFrames()
				o.round.put()
				o.round = nil
			}
		})
	}
	for _, run := range o.queue[o.done:] {
		o.fail(run)
	}
	o.queue, o.done = nil, 0
}

// farewell is the job to close in good order after the last word.
type farewell struct{ *output }

// lingering is how long the client may go on sending after the last word, lest a reset takes it away (docs/protocol.md, "Closing").
const lingering = 500 * time.Millisecond

func (f farewell) run(*worker) { // ends within that time, or when the ConnectionActor closes the socket
	defer f.shared.running.Done()
	defer func() {
		_ = recover() // of a connection of the host's; it is closed next
		f.shared.Root.Send(f.connection, parted{})
	}()
	if half, ok := f.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	if f.conn.SetReadDeadline(time.Now().Add(lingering)) == nil {
		_, _ = io.Copy(io.Discard, f.conn) // until the client closes, or time is up
	}
}
