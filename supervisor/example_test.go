package supervisor_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// A relay in an actor system of the program's own, listening where the program wants it to.
func Example() {
	log := logrus.NewEntry(logrus.New())
	log.Logger.SetLevel(logrus.WarnLevel)
	system := supervisor.NewSystem(log) // or any other actor system
	relay, err := supervisor.New(supervisor.Config{Log: log, Sessions: 16})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := relay.Spawn(system.Root, "blubbel"); err != nil {
		fmt.Println(err)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- relay.Serve(context.Background(), ln) }()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println("stopped:", relay.Stop(ctx))
	fmt.Println("served:", <-served)
	// Output:
	// stopped: <nil>
	// served: <nil>
}
