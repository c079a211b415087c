package supervisor

import (
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/actors"
)

// The crash table of doc.go as strategies. Each logs the crash, and does one thing; the safe mailbox sees to the messages.

// restart restarts a user, which keeps its state. One that crashes more often than is tolerated has to close its
// connection as well, which ends its sessions in good order; it is never stopped, because others may be sending to it.
type restart struct {
	shared *actors.Shared
	config *atomic.Pointer[Config]
}

// HandleFailure implements actor.SupervisorStrategy.
func (s *restart) HandleFailure(
	system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, stats *actor.RestartStatistics, reason, _ any,
) {
	supervisor.RestartChildren(child) // first: whatever follows may fail
	stats.Fail()
	done := "restarted"
	c := s.config.Load()
	if stats.NumberOfFailures(c.CrashWindow) > c.Crashes {
		stats.Reset()
		done = "restarted, and its connection closed"
		system.Root.Send(child, actors.GiveUp{})
	}
	s.shared.Crashed(child, crashOf(reason), done)
}

// closeConnection stops a connection, which closes its socket.
type closeConnection struct{ shared *actors.Shared }

// HandleFailure implements actor.SupervisorStrategy.
func (s *closeConnection) HandleFailure(
	_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any,
) {
	supervisor.StopChildren(child)
	s.shared.Crashed(child, crashOf(reason), "closed")
}

// resume lets an actor go on as it is: a restart would stop its children.
type resume struct{ relay *Relay }

// HandleFailure implements actor.SupervisorStrategy.
func (s *resume) HandleFailure(
	_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any,
) {
	supervisor.ResumeChildren(child)
	s.relay.shared.Crashed(child, crashOf(reason), "resumed")
}

// crashOf returns what a supervisor is told of as the reason of a failure: a Crash, but for what fails outside a mailbox.
func crashOf(reason any) *actors.Crash {
	if crash, ok := reason.(*actors.Crash); ok {
		return crash
	}
	return &actors.Crash{Value: reason}
}
