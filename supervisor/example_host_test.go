package supervisor_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// messenger is an actor of the host's that has a relay below it.
type messenger struct {
	relay *supervisor.Relay
	ready chan error
}

// Receive implements actor.Actor.
func (m *messenger) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); ok {
		_, err := m.relay.Spawn(ctx, "relay")
		m.ready <- err
	}
}

// A relay as a child of an actor of the host's, whose strategy says what becomes of its children. No crash inside the relay gets as far as that; when the
// strategy restarts the relay, for what another child did, its clients are told, and its listeners serve on.
func ExampleRelay_Spawn() {
	relay, err := supervisor.New(supervisor.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	host := &messenger{relay, make(chan error)}
	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	strategy := actor.NewAllForOneStrategy(10, time.Minute, func(any) actor.Directive { return actor.RestartDirective })
	pid := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return host }, actor.WithSupervisor(strategy)))
	fmt.Println("spawned:", <-host.ready)

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println("stopped:", relay.Stop(ctx)) // settles everything; stopping the host would leave it no time
	fmt.Println("host stopped:", system.Root.StopFuture(pid).Wait())
	// Output:
	// spawned: <nil>
	// stopped: <nil>
	// host stopped: <nil>
}

// Two relays in one actor system: they know nothing of each other.
func ExampleRelay_Serve() {
	log := logrus.New()
	log.SetOutput(io.Discard)
	system := supervisor.NewSystem(logrus.NewEntry(log))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error)
	for _, name := range []string{"friends", "family"} {
		relay, err := supervisor.New(supervisor.Config{Sessions: 16})
		if err != nil {
			fmt.Println(err)
			return
		}
		if _, err := relay.Spawn(system.Root, name); err != nil {
			fmt.Println(err)
			return
		}
		for range 2 { // as many listeners as one likes
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				fmt.Println(err)
				return
			}
			go func() { served <- relay.Serve(ctx, ln) }()
		}
		defer func() { fmt.Println(name, "stopped:", relay.Stop(context.Background())) }()
	}
	cancel() // nobody is accepted any more; who is connected stays until Stop
	for range 4 {
		fmt.Println("served:", <-served)
	}
	// Output:
	// served: <nil>
	// served: <nil>
	// served: <nil>
	// served: <nil>
	// family stopped: <nil>
	// friends stopped: <nil>
}

// A host that listens to what happens.
func ExampleRelay_events() {
	relay, err := supervisor.New(supervisor.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	system := supervisor.NewSystem(relay.Config().Log)
	told := make(chan string, 10)
	system.EventStream.Subscribe(func(event any) {
		switch e := event.(type) { // to return at once: the actor that it is about waits
		case supervisor.UserOnline:
			told <- fmt.Sprintf("online, by %v", e.Kind)
		case supervisor.UserGone:
			told <- "gone"
		case supervisor.ConnectionClosed:
			told <- fmt.Sprintf("closed: %v", e.Ending)
		case supervisor.Crashed:
			told <- "crashed: " + e.Why
		}
	})
	if _, err := relay.Spawn(system.Root, "relay"); err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = relay.Serve(context.Background(), ln) }()

	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = conn.Write(frames.Login{Key: someKey()}.Append(nil))
	fmt.Println(<-told)
	_ = conn.(*net.TCPConn).CloseWrite()
	fmt.Println(<-told)
	fmt.Println(<-told)
	_ = relay.Stop(context.Background())
	// Unordered output:
	// online, by seed
	// closed: client
	// gone
}
