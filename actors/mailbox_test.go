package actors_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
)

// troubled is an actor that notes what it gets, and panics on a message as often as that says.
type troubled struct {
	handled chan string
	crashes map[string]int // how often each message still crashes it, before it is handled
}

type note string

func (a *troubled) Receive(ctx actor.Context) {
	m, isNote := ctx.Message().(note)
	if !isNote {
		return
	}
	if a.crashes[string(m)] > 0 {
		a.crashes[string(m)]--
		panic(string(m))
	}
	a.handled <- string(m)
}

func quietSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
}

// collect reads notes until the last that is awaited.
func collect(t *testing.T, notes <-chan string, last string) (all []string) {
	t.Helper()
	for {
		select {
		case n := <-notes:
			if all = append(all, n); n == last {
				return all
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s does not come; got %v", last, all)
		}
	}
}

func TestSafeMailboxTriesAgainInPlaceAndPutsAside(t *testing.T) {
	for name, directive := range map[string]actor.Directive{
		"restarted": actor.RestartDirective, "resumed": actor.ResumeDirective,
	} {
		t.Run(name, func(t *testing.T) {
			system := quietSystem()
			shared := actors.NewShared(system.Root, actors.Limits{Keys: frames.DefaultKeys()}, actors.DoorLimits{}, &actors.Trust{Store: store.NewMemory()}, logrus.NewEntry(logrus.New()))
			notes := make(chan string, 100)
			a := &troubled{handled: notes, crashes: map[string]int{"2": 1, "4": 2, "5": 1, "7": 5}}
			always := actor.NewOneForOneStrategy(100, 0, func(any) actor.Directive { return directive })
			pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return a },
				actor.WithGuardian(always),
				actors.NewMailbox(shared, func(_ actor.Context, m any) { notes <- fmt.Sprintf("aside %v", m) }).Props(),
			))
			for i := 1; i <= 9; i++ {
				system.Root.Send(pid, note(fmt.Sprint(i)))
			}
			want := []string{"1", "2", "3", "aside 4", "5", "6", "aside 7", "8", "9"}
			if got := collect(t, notes, "9"); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			a.crashes["last"] = 1
			system.Root.Send(pid, note("last"))
			collect(t, notes, "last") // nothing behind it wakes the mailbox
			if err := system.Root.StopFuture(pid).Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A message that has had its effect before it crashes its actor has it once, whatever the actor is told before the next try.
func TestSafeMailboxRemembersTheMarkOverASystemMessage(t *testing.T) {
	system := quietSystem()
	shared := actors.NewShared(system.Root, actors.Limits{Keys: frames.DefaultKeys()}, actors.DoorLimits{}, &actors.Trust{Store: store.NewMemory()}, logrus.NewEntry(logrus.New()))
	notes := make(chan string, 100)
	mail := actors.NewMailbox(shared, func(_ actor.Context, m any) { notes <- fmt.Sprintf("aside %v", m) })
	resume := actor.NewOneForOneStrategy(100, 0, func(any) actor.Directive { return actor.ResumeDirective })
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) { // like the Registry
		if mail.Marked() {
			return
		}
		switch m := ctx.Message().(type) {
		case *actor.Terminated:
			notes <- "a system message"
		case note:
			notes <- string(m)
			mail.Mark()
			if m == "1" {
				self, _ := system.ProcessRegistry.Get(ctx.Self())
				self.SendSystemMessage(ctx.Self(), &actor.Terminated{Who: ctx.Self()})
				panic("after the effect")
			}
		}
		mail.Mark()
	}, actor.WithGuardian(resume), mail.Props()))
	system.Root.Send(pid, note("1"))
	system.Root.Send(pid, note("2"))
	if got, want := collect(t, notes, "2"), []string{"1", "a system message", "2"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := system.Root.StopFuture(pid).Wait(); err != nil {
		t.Error(err)
	}
}

// conn notes that it was closed.
type conn struct {
	net.Conn
	name   string
	closed chan<- string
}

func (c conn) Close() error { c.closed <- c.name; return nil }

func TestSafeMailboxAbandonsWhatIsLeft(t *testing.T) {
	for name, crash := range map[string]bool{"when stopped": false, "when stopped for a crash": true} {
		t.Run(name, func(t *testing.T) {
			system := quietSystem()
			shared := actors.NewShared(system.Root, actors.Limits{Keys: frames.DefaultKeys()}, actors.DoorLimits{}, &actors.Trust{Store: store.NewMemory()}, logrus.NewEntry(logrus.New()))
			closed, entered, goOn := make(chan string, 100), make(chan struct{}), make(chan struct{})
			props := actor.PropsFromFunc(func(ctx actor.Context) {
				if m, ok := ctx.Message().(actors.Welcome); ok {
					if m.Conn.(conn).name == "first" {
						close(entered)
						<-goOn
					}
					if crash {
						panic("now")
					}
				}
			}, actors.NewMailbox(shared, func(actor.Context, any) { t.Error("nothing is to be put aside") }).Props(),
				actor.WithGuardian(actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })))
			pid := system.Root.Spawn(props)
			for _, name := range []string{"first", "second", "third"} {
				system.Root.Send(pid, actors.Welcome{Conn: conn{name: name, closed: closed}})
			}
			<-entered
			system.Root.Send(pid, actors.Welcome{Conn: conn{name: "fourth", closed: closed}}) // behind those that were fetched
			if !crash {
				system.Root.Stop(pid)
			}
			close(goOn)
			got := strings.Join(collect(t, closed, "fourth"), " ")
			if want := map[bool]string{false: "second third fourth", true: "first second third fourth"}[crash]; got != want {
				t.Errorf("abandoned %s; want %s", got, want)
			}
		})
	}
}
