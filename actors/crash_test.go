package actors_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
)

// Whatever panics while an actor stops, its own code or its host's, it stops, its parent hears of it, and what it holds is let go of.
func TestSafeMailboxStopsWhoeverPanicsOnTheWay(t *testing.T) {
	for _, children := range []int{0, 1, 3} {
		for _, on := range []any{&actor.Stopping{}, &actor.Stopped{}, &actor.Terminated{}} {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%T, after %v, %d children", on, after, children), func(t *testing.T) {
					stopsThough(t, children, fmt.Sprintf("%T", on), after)
				})
			}
		}
	}
}

func stopsThough(t *testing.T, children int, on string, after bool) {
	t.Helper()
	system := quietSystem()
	shared := actors.NewShared(system.Root, actors.Limits{Keys: frames.DefaultKeys()}, actors.DoorLimits{}, &actors.Trust{Store: store.NewMemory()}, logrus.NewEntry(logrus.New()))
	reported := make(chan string, 100)
	shared.Crashed = func(_ *actor.PID, _ *actors.Crash, done string) { reported <- done }
	ready, ended, cleared := make(chan *actor.PID, 1), make(chan *actor.PID, 2), make(chan bool, 100)
	bomb := actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			hit := fmt.Sprintf("%T", envelope.Message) == on
			if !hit || after {
				next(ctx, envelope)
			}
			if hit {
				panic("of the test")
			}
		}
	})
	receive := func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *actor.Started:
			for range children {
				ctx.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
			}
		case *actor.Stopping:
			cleared <- true
		}
	}
	clear := func(_ actor.Context, m any) {
		if _, ok := m.(*actor.Stopping); ok {
			cleared <- true
		}
	}
	parent := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ready <- ctx.Spawn(actor.PropsFromFunc(receive, bomb, actors.NewMailbox(shared, clear).Props()))
		case *actor.Terminated:
			ended <- m.Who
		}
	}))
	pid := <-ready
	watching := make(chan struct{})
	system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ctx.Watch(pid)
			close(watching)
		case *actor.Terminated:
			ended <- m.Who
		}
	}))
	<-watching
	system.Root.Stop(pid)
	for range 2 { // its parent, and who watches it
		select {
		case who := <-ended:
			if !who.Equal(pid) {
				t.Errorf("%v ended", who)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("somebody does not hear that it has stopped")
		}
	}
	shared.Wait() // its mailbox has ended, too
	if err := system.Root.StopFuture(parent).Wait(); err != nil {
		t.Error(err)
	}
	if len(cleared) == 0 {
		t.Error("nobody let go of what it holds")
	}
	if crashed := children > 0 || on != "*actor.Terminated"; crashed != (len(reported) > 0) {
		t.Errorf("it crashed: %v; reported: %d", crashed, len(reported))
	}
}
