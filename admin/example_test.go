package admin_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/admin"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// A relay with the logger and the metrics registry of the program that it is part of, and the page that shows it on a port of that program's.
func Example() {
	logger := logrus.New() // the program's
	logger.SetOutput(io.Discard)
	registry := prometheus.NewRegistry() // the program's
	relay, err := supervisor.New(supervisor.Config{Log: logger.WithField("part", "relay")})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := relay.Spawn(supervisor.NewSystem(relay.Config().Log).Root, "relay"); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = relay.Stop(context.Background()) }()
	registry.MustRegister(admin.NewCollector(relay))

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := admin.NewServer(admin.Handler(relay, admin.Options{Metrics: registry}))
	go func() { _ = server.Serve(ln) }()
	defer func() { _ = server.Close() }()

	answer, err := http.Get("http://" + ln.Addr().String() + "/metrics")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = answer.Body.Close() }()
	text, _ := io.ReadAll(answer.Body)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "blubbel_frames_taken_total") || strings.HasPrefix(line, "blubbel_users{") {
			fmt.Print(line)
		}
	}
	// Output:
	// blubbel_frames_taken_total 0
	// blubbel_users{state="away"} 0
	// blubbel_users{state="leaving"} 0
	// blubbel_users{state="online"} 0
	// blubbel_users{state="vacant"} 0
}
