package supervisor

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
)

// An actor still gets messages while it waits for its children to stop. A user spawned then would never be stopped, and the
// Registry with it.
func TestARegistryThatStopsSpawnsNobody(t *testing.T) {
	for name, panics := range map[string]bool{"it stops": false, "it panics on the way": true} {
		t.Run(name, func(t *testing.T) { stopsAndSpawnsNobody(t, panics) })
	}
}

func stopsAndSpawnsNobody(t *testing.T, panics bool) {
	t.Helper()
	stopping, goOn := make(chan struct{}), make(chan struct{})
	config := Config{Props: func(kind Kind, props *actor.Props) *actor.Props {
		return props.Clone(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
			return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
				if _, ok := envelope.Message.(*actor.Stopping); ok && kind == KindUser {
					close(stopping)
					<-goOn
				}
				next(ctx, envelope)
			}
		}))
	}}.withDefaults()
	var current atomic.Pointer[Config]
	current.Store(&config)
	system := NewSystem(config.Log)
	shared := actors.NewShared(system.Root, actors.Limits{Keys: frames.DefaultKeys()}, actors.DoorLimits{}, &actors.Trust{Store: store.NewMemory()}, config.Log)
	answers := make(chan any, 10)
	connection := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case actors.Joined, actors.Rejected:
			answers <- m
		}
	}))
	join := func(registry *actor.PID, key string) any {
		system.Root.Send(registry, actors.Join{Login: actors.NewLogin(shared, frames.Key(key), connection)})
		select {
		case m := <-answers:
			return m
		case <-time.After(10 * time.Second):
			t.Fatal("no answer")
			return nil
		}
	}
	bomb := actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			if _, ok := envelope.Message.(*actor.Stopping); ok && panics {
				panic("of the test")
			}
			next(ctx, envelope)
		}
	})
	registry := system.Root.Spawn(registryProps(&current, shared).Clone(bomb))
	if m, ok := join(registry, "\x30\x01a").(actors.Joined); !ok {
		t.Fatalf("answered %T", m)
	}
	gone := system.Root.StopFuture(registry)
	<-stopping
	if m, ok := join(registry, "\x30\x01b").(actors.Rejected); !ok || m.Code != frames.Internal {
		t.Errorf("answered %+v", m)
	}
	close(goOn)
	if err := gone.Wait(); err != nil {
		t.Error(err)
	}
}
