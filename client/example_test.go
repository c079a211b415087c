package client_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// Alice asks Bob for a session, says something, and ends it.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	address := relay(ctx)
	self, _ := client.NewIdentity()
	bob := listen(ctx, address)

	alice, err := client.Dial(ctx, address, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := alice.Login(ctx, self); err != nil {
		log.Fatal(err)
	}
	session, err := alice.StartSession(ctx, bob)
	if err != nil {
		log.Fatal(err)
	}
	if err := session.Send(ctx, []byte("Hello Bob, it is Alice. 👋")); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ended:", session.End(ctx, "that is all"))
	fmt.Println("closed:", alice.Close())
	// Output:
	// Bob reads: Hello Bob, it is Alice. 👋 (error: <nil>)
	// ended: <nil>
	// closed: <nil>
}

// listen logs Bob in, who accepts the first who asks and prints what they say. It returns his key.
func listen(ctx context.Context, address string) (key frames.Key) {
	self, _ := client.NewIdentity()
	bob, err := client.Dial(ctx, address, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := bob.Login(ctx, self); err != nil {
		log.Fatal(err)
	}
	go func() {
		for event, err := range bob.Events(ctx) {
			if request, ok := event.(client.Requested); ok && err == nil {
				session, err := bob.AcceptSession(ctx, request.Peer)
				if err != nil {
					continue
				}
				for text, err := range session.Messages(ctx) {
					fmt.Printf("Bob reads: %s (error: %v)\n", text, err)
				}
			}
		}
	}()
	return self.Key()
}

// relay starts a relay in this process.
func relay(ctx context.Context) (address string) {
	log := logrus.NewEntry(logrus.New())
	log.Logger.SetLevel(logrus.WarnLevel)
	relay, err := supervisor.New(supervisor.Config{Log: log})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := relay.Spawn(supervisor.NewSystem(log).Root, "relay"); err != nil {
		log.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = relay.Serve(ctx, ln) }()
	return ln.Addr().String()
}
