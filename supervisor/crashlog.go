package supervisor

import (
	"strings"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/actors"
)

// crashed is the one place where crashes are logged, counted and told of. Hooks of the log are the host's; if they panic, the log goes without.
func (r *Relay) crashed(system *actor.ActorSystem, who *actor.PID, crash *actors.Crash, done string) {
	event := Crashed{Actor: actor.NewPID(who.Address, who.Id), Kind: r.kind(who.Id), Why: crash.String(), Stack: crash.Stack, Done: done, Quarantined: crash.Quarantined}
	r.crashes[event.Kind].Add(1)
	aside(func() {
		r.log().WithFields(logrus.Fields{
			"actor": who.Id, "why": event.Why, "done": done, "quarantined": event.Quarantined, "stack": string(event.Stack),
		}).Error("an actor crashed")
	})
	r.publish(system, event)
}

// kind returns the kind of the relay's actor with this id.
func (r *Relay) kind(id string) Kind {
	below, ok := strings.CutPrefix(id, r.id+"/")
	_, _, deeper := strings.Cut(below, "/")
	switch registry := strings.HasPrefix(below, registryPrefix); {
	case !ok:
		return KindRelay
	case registry && !deeper:
		return KindRegistry
	case registry:
		return KindUser
	case !deeper:
		return KindConnections
	}
	return KindConnection
}
