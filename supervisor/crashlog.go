package supervisor

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/actors"
)

// Crashed is published on the actor system's event stream for every crash of an actor of the relay. Nothing in it is of
// a client's: neither keys nor payloads.
type Crashed struct {
	Actor *actor.PID
	Why   string // what the panic said, if it was a runtime error or the relay's own; else the type of its value
	Stack []byte // where, as debug.Stack has it
	Done  string // what was done about it, in words
	// Quarantined says that the message in hand crashed the actor for the second time, and was put aside and refused.
	Quarantined bool
}

// crashLog is the one place where crashes are logged. Hooks of the log and subscribers of the host's run in here; if they
// panic, the log goes without.
type crashLog struct{ log *logrus.Entry }

func (l crashLog) crashed(system *actor.ActorSystem, who *actor.PID, reason any, done string) {
	told := make(chan struct{})
	go func() { // a goroutine of its own: what runs in there may end it
		defer close(told)
		l.tell(system, who, reason, done)
	}()
	<-told
}

func (l crashLog) tell(system *actor.ActorSystem, who *actor.PID, reason any, done string) {
	defer func() { _ = recover() }()
	event := Crashed{Actor: who, Why: fmt.Sprintf("%T", reason), Done: done}
	if crash, ok := reason.(*actors.Crash); ok {
		event.Why, event.Stack, event.Quarantined = crash.String(), crash.Stack, crash.Quarantined
	}
	l.log.WithFields(logrus.Fields{
		"actor": who.Id, "why": event.Why, "done": done, "quarantined": event.Quarantined, "stack": string(event.Stack),
	}).Error("an actor crashed")
	system.EventStream.Publish(event)
}
