package actors

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
)

// What a Mailbox does when its actor crashes, and when it stops.

// failed is called with the panic that a message led to.
func (m *Mailbox) failed(crash *Crash, system any) {
	defer func() { _ = recover() }() // Proto.Actor logs through the host's logger; there is nothing to be done about a crash in there
	m.crashed = true
	m.crashes.Add(1)
	terminated, ok := system.(*actor.Terminated)
	_, restart := system.(*actor.Restart)
	switch {
	case m.stopping && system != nil:
		m.stopAnyway(crash, system)
		return
	case restart: // to restart it once more might go on for ever
		m.shared.Crashed(m.self().Self(), crash, "resumed")
		m.PostSystemMessage(&actor.ResumeMailbox{})
		return
	case ok && m.again != system: // handling one twice does no harm; not to handle it does
		m.again = system
		m.PostSystemMessage(terminated)
	case ok:
		crash.Quarantined = true
		m.putAside(terminated)
	case m.inHand && system == nil:
		if m.failures++; m.failures > 1 {
			crash.Quarantined = true
			m.putAside(m.batch[m.at])
			m.next()
		}
	}
	m.inHand = false
	m.invoker.EscalateFailure(crash, nil)
}

// stopAnyway goes on with a stop on which the actor panicked, or what its host has put around it. Proto.Actor would restart the
// actor, or never tell its parent, which could not stop either.
func (m *Mailbox) stopAnyway(crash *Crash, message any) {
	crash.Quarantined = true
	self := m.self()
	m.shared.Crashed(self.Self(), crash, "stopped all the same")
	if _, ok := message.(*actor.Stop); ok {
		message = &actor.Stopping{}
	}
	m.putAside(message)
	for _, child := range self.Children() {
		self.Stop(child)
	}
	if len(self.Children()) > 0 {
		return // Terminated will come
	}
	processes := self.ActorSystem().ProcessRegistry
	if m.alive() {
		processes.Remove(self.Self())
	}
	for _, who := range append(m.watchers, self.Parent()) {
		if who != nil {
			process, _ := processes.Get(who)
			process.SendSystemMessage(who, &actor.Terminated{Who: self.Self()})
		}
	}
	m.leaveAll()
}

func (m *Mailbox) self() actor.Context { return m.invoker.(actor.Context) }

// alive reports whether the actor can be found by its name. Somebody else may have taken that since.
func (m *Mailbox) alive() bool {
	process, ok := m.self().ActorSystem().ProcessRegistry.GetLocal(m.self().Self().Id)
	return ok && process == m.process
}

// putAside quarantines a message. A panic in here would end the process: nobody is left to recover it.
func (m *Mailbox) putAside(message any) {
	defer func() {
		if recover() != nil && !m.Marked() {
			m.leave(message)
		}
	}()
	_, inner, _ := actor.UnwrapEnvelope(message)
	m.quarantine(m.self(), inner)
}

// leaveAll abandons what is queued if the actor is gone for good.
func (m *Mailbox) leaveAll() {
	if m.gone || m.alive() {
		return
	}
	m.mu.Lock()
	posted := m.posted
	m.posted, m.gone, m.paused = nil, true, false
	m.mu.Unlock()
	if m.marked {
		m.next()
	}
	for _, message := range m.batch[m.at:] {
		m.leave(message)
	}
	for _, message := range posted {
		m.leave(message)
	}
	m.batch, m.at = nil, 0
	m.shared.roster.remove(m)
	m.shared.running.Done()
}

// leave abandons a message. A panic in here would leave the rest of the queue behind.
func (m *Mailbox) leave(message any) {
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
	raised      bool // it is a goroutine's, and its actor has made it its own
}

// raise makes a goroutine's crash one of its actor, which calls it.
func (c *Crash) raise() {
	c.raised = true
	panic(c)
}

// NewCrash makes a Crash of what recover returned; nothing, if there was no panic but the goroutine exits. It is to be called where that was.
func NewCrash(value any) *Crash {
	if crash, ok := value.(*Crash); ok { // of a goroutine, passed on by its actor
		return crash
	}
	if value == nil {
		value = bug("runtime.Goexit was called")
	}
	return &Crash{Value: value, Stack: withoutArguments(debug.Stack())}
}

// withoutArguments leaves out what functions were called with: arrays are printed with what is in them, such as the fingerprint of a key.
func withoutArguments(stack []byte) []byte {
	lines := bytes.SplitAfter(stack, []byte("\n"))
	for i, line := range lines {
		if at := bytes.LastIndexByte(line, '('); at > 0 && line[0] != '\t' && bytes.HasSuffix(line, []byte(")\n")) {
			lines[i] = append(line[:at:at], "()\n"...)
		}
	}
	return bytes.Join(lines, nil)
}

// String tells what may be told: a runtime error or a mistake of the relay's own in its words, of anything else only the type,
// for its value may hold what belongs to clients.
func (c *Crash) String() string {
	switch v := c.Value.(type) {
	case runtime.Error:
		if isGos(v) {
			return v.Error()
		}
	case bug:
		return string(v)
	}
	return fmt.Sprintf("panic with a value of type %T", c.Value)
}

// isGos reports whether an error is of Go's runtime, and not of somebody who has a method with that name.
func isGos(err runtime.Error) bool {
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "runtime"
}

// LogValue keeps the value out of Proto.Actor's own log.
func (c *Crash) LogValue() slog.Value { return slog.StringValue(c.String()) }

// bug is the value of a panic of ours: something that cannot be. It holds no data of clients, so it may be logged.
type bug string
