package actors

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
)

// Proto.Actor drops the message on which an actor panics, and whatever is queued when an actor stops, both without a
// word. safeMailbox does not: it stands between a mailbox and its actor, sees every message first, and
//
//   - tries the failed message once more, in its place, after the supervisor has restarted or resumed the actor;
//   - hands a message that fails again to quarantine, and goes on with the next;
//   - abandons (see Abandon) what is left when the actor stops, and what comes later.
//
// All of its methods but the embedded mailbox's run where the actor runs, one at a time.
type safeMailbox struct {
	actor.Mailbox
	actor.MessageInvoker // the actor's context
	shared               *Shared
	quarantine           func(ctx actor.Context, message any)
	late                 []any // a failed message and what came behind it, to be served first
	inHand               any
	failures             int // of late[0]
	again                any // the system message that was posted again
	gone                 bool
}

type (
	wake struct{} // makes a mailbox serve what is late
	last struct{} // is the last message of an actor that is gone
)

// WithSafeMailbox gives an actor a mailbox that loses nothing; shared.Running counts it until it is empty for good. Quarantine is told of a message on which the actor crashed
// twice; it runs where the actor runs, on whatever state the crash left.
func WithSafeMailbox(shared *Shared, quarantine func(ctx actor.Context, message any)) actor.PropsOption {
	inner := actor.Unbounded()
	return actor.WithMailbox(func() actor.Mailbox {
		shared.Running.Add(1)
		return &safeMailbox{Mailbox: inner(), shared: shared, quarantine: quarantine}
	})
}

// RegisterHandlers puts the mailbox in front of the actor.
func (m *safeMailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.MessageInvoker = invoker
	m.Mailbox.RegisterHandlers(m, dispatcher)
}

// InvokeUserMessage hands a message to the actor, behind those that are late.
func (m *safeMailbox) InvokeUserMessage(message any) {
	_, isWake := message.(wake)
	switch {
	case message == last{}:
		m.shared.Running.Done()
	case m.gone && !isWake:
		m.leave(message)
	case len(m.late) > 0:
		if !isWake {
			m.late = append(m.late, message)
		}
		m.serve()
	case !isWake:
		m.inHand = message
		m.MessageInvoker.InvokeUserMessage(message)
		m.inHand = nil
	}
}

func (m *safeMailbox) serve() {
	for len(m.late) > 0 && !m.gone {
		m.MessageInvoker.InvokeUserMessage(m.late[0])
		m.next()
	}
}

func (m *safeMailbox) next() {
	m.late[0] = nil
	m.late = m.late[1:]
	m.failures = 0
}

// EscalateFailure is called with the panic that a message led to.
func (m *safeMailbox) EscalateFailure(reason, message any) {
	crash := NewCrash(reason)
	if m.inHand != nil {
		m.late = append(m.late, m.inHand)
		m.inHand = nil
	}
	if terminated, ok := message.(*actor.Terminated); ok { // handling one twice does no harm; not to handle it does
		if m.again != message {
			m.again = message
			m.PostSystemMessage(terminated)
		} else {
			crash.Quarantined = true
			m.putAside(terminated)
		}
	}
	if len(m.late) > 0 && !isSystem(message) {
		if m.failures++; m.failures > 1 {
			crash.Quarantined = true
			failed := m.late[0]
			m.next()
			m.putAside(failed)
		}
	}
	m.PostUserMessage(wake{})
	m.MessageInvoker.EscalateFailure(crash, nil)
}

// putAside quarantines a message. A panic in here would end the process: nobody is left to recover it.
func (m *safeMailbox) putAside(message any) {
	defer func() {
		if recover() != nil {
			m.leave(message)
		}
	}()
	_, inner, _ := actor.UnwrapEnvelope(message)
	m.quarantine(m.MessageInvoker.(actor.Context), inner)
}

func isSystem(message any) bool {
	switch message.(type) {
	case actor.SystemMessage, actor.MailboxMessage:
		return true
	}
	return false
}

// InvokeSystemMessage notices when the actor is gone.
func (m *safeMailbox) InvokeSystemMessage(message any) {
	m.MessageInvoker.InvokeSystemMessage(message)
	switch message.(type) {
	case *actor.Stop, *actor.Terminated: // the only ones that can end it
		self := m.MessageInvoker.(actor.Context)
		if _, alive := self.ActorSystem().ProcessRegistry.GetLocal(self.Self().Id); alive || m.gone {
			return
		}
		m.gone = true
		for _, left := range m.late {
			m.leave(left)
		}
		m.late = nil
		m.PostSystemMessage(&actor.ResumeMailbox{}) // a mailbox suspended by a crash would keep the rest for ever
		m.PostUserMessage(last{})
	}
}

// leave abandons a message. A panic in here would leave the rest of the queue behind.
func (m *safeMailbox) leave(message any) {
	m.shared.contain(func() {
		_, inner, _ := actor.UnwrapEnvelope(message)
		Abandon(inner)
	})
}

// Crash is the reason a supervisor gets for an actor's panic.
type Crash struct {
	Value       any
	Stack       []byte
	Quarantined bool // the message crashed the actor twice and was put aside
}

// NewCrash makes a Crash of what recover returned. It is to be called where that was.
func NewCrash(value any) *Crash {
	if crash, ok := value.(*Crash); ok { // of a goroutine, passed on by its actor
		return crash
	}
	return &Crash{Value: value, Stack: debug.Stack()}
}

// String tells what may be told: a runtime error or a mistake of the relay's own in its words, of anything else only the type,
// for its value may hold what belongs to clients.
func (c *Crash) String() string {
	switch v := c.Value.(type) {
	case runtime.Error:
		return v.Error()
	case bug:
		return string(v)
	}
	return fmt.Sprintf("panic with a value of type %T", c.Value)
}

// LogValue keeps the value out of Proto.Actor's own log.
func (c *Crash) LogValue() slog.Value { return slog.StringValue(c.String()) }
