package supervisor_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// parrot is a bot: an actor of the host's that is a user of the relay, without a socket. It accepts whoever asks, and says what it is told.
type parrot struct {
	relay *supervisor.Relay
	key   frames.Key
	ready chan struct{}
}

// Receive implements actor.Actor.
func (p *parrot) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		_, _ = p.relay.Attach(ctx, supervisor.Guest{Key: p.key, Proven: true}) // the relay was spawned
	case supervisor.Attached:
		close(p.ready)
	case supervisor.Deliver:
		switch f := m.Frame.(type) {
		case frames.StartSession:
			ctx.Send(m.Guest, supervisor.Say{Frame: frames.AcceptSession(f)}) // the same for the example; else the other half
		case frames.Message:
			ctx.Send(m.Guest, supervisor.Say{Frame: f}) // Peer is who it came from, and is whom it goes to
		}
		ctx.Send(m.Guest, supervisor.Settled{}) // now it counts as delivered
	}
}

// visitor is another, who asks the first.
type visitor struct {
	relay  *supervisor.Relay
	friend frames.Key
	heard  chan string
}

// Receive implements actor.Actor.
func (v *visitor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		_, _ = v.relay.Attach(ctx, supervisor.Guest{Key: someKey()})
	case supervisor.Attached:
		ctx.Send(m.Guest, supervisor.Say{Frame: frames.StartSession{Peer: v.friend, Sealed: []byte("what only the friend can open")}})
	case supervisor.Deliver:
		switch f := m.Frame.(type) {
		case frames.AcceptSession:
			ctx.Send(m.Guest, supervisor.Say{Frame: frames.Message{Peer: v.friend, Body: []byte("what only the friend can read")}})
		case frames.Message:
			v.heard <- string(f.Body)
		}
		ctx.Send(m.Guest, supervisor.Settled{})
	case supervisor.Detached:
		v.heard <- fmt.Sprintf("detached: %v", m.Code)
	}
}

// Two actors of the host's that talk through the relay, without a socket. Package client/e2e has what makes the sealed parts.
func ExampleRelay_Attach() {
	relay, err := supervisor.New(supervisor.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	if _, err := relay.Spawn(system.Root, "relay"); err != nil {
		fmt.Println(err)
		return
	}
	bot := &parrot{relay, someKey(), make(chan struct{})}
	system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return bot }))
	<-bot.ready

	v := &visitor{relay, bot.key, make(chan string)}
	system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return v }))
	fmt.Println("heard:", <-v.heard)
	go func() { _ = relay.Stop(context.Background()) }()
	fmt.Println(<-v.heard)
	// Output:
	// heard: what only the friend can read
	// detached: SHUTTING_DOWN
}

// someKey returns the public half of a fresh key, as on the wire.
func someKey() frames.Key {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		panic(err)
	}
	return der
}

// silent has an actor system log nothing.
func silent(*actor.ActorSystem) *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
