package daemon

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// held is what this process holds.
type held struct {
	goroutines, files int
	heap              uint64 // bytes
}

func holds(t *testing.T) held {
	t.Helper()
	runtime.GC()
	runtime.GC() // what pools keep is let go by the second
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return held{runtime.NumGoroutine(), usageOf(t, os.Getpid()).files, live[0].Value.Uint64()}
}

const (
	idle     = 64      // goroutines of the relay that are kept for the next
	others   = 10      // goroutines, and files: a relay's own, and Go's
	registry = 3 << 20 // bytes: Proto.Actor's has 32,768 maps, each of which keeps the room for its first entry
	some     = 1 << 20 // bytes that may be anything: Go keeps what it knew of goroutines for the next
)

// TestFloodsLeaveNothing lets crowds come to a relay in this process, where one can look closer: many at the same time, each of whom
// leaves something half done.
func TestFloodsLeaveNothing(t *testing.T) {
	before := holds(t)
	isFlooded(t, before)
	returnsTo(t, held{before.goroutines, before.files + others, before.heap + some})
}

func isFlooded(t *testing.T, before held) {
	t.Helper()
	relay, err := supervisor.New(supervisor.Config{NoRateLimits: true})
	if err != nil {
		t.Fatal(err)
	}
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	if _, err := relay.Spawn(supervisor.NewSystem(logrus.NewEntry(silent)).Root, "relay"); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- relay.Serve(t.Context(), ln) }() // ends with the relay
	comeAndGo(t, ln.Addr().String())
	first := holds(t)
	for range 4 {
		comeAndGo(t, ln.Addr().String())
	}
	returnsTo(t, held{before.goroutines + idle + others, before.files + others, first.heap + registry + some})
	t.Logf("at first %+v, after some %+v, after all %+v", before, first, holds(t))
	if err := relay.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}

// comeAndGo lets 400 connect and say nothing, 400 begin a frame, and 200 open sessions, and then all of them leave.
func comeAndGo(t *testing.T, address string) {
	t.Helper()
	v := &visitor{Rand: rand.New(rand.NewPCG(rand.Uint64(), 0)), address: address}
	for i := range 900 {
		visit := (*visitor).isSilent
		switch {
		case i >= 800:
			visit = (*visitor).opensSession
		case i >= 400:
			visit = (*visitor).begins
		}
		if err := visit(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.leave(); err != nil {
		t.Fatal(err)
	}
}

// returnsTo waits until the process holds no more than this.
func returnsTo(t *testing.T, limit held) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	h := holds(t)
	for end := time.Now().Add(patience); time.Now().Before(end); h = holds(t) {
		if h.goroutines <= limit.goroutines && h.files <= limit.files && h.heap <= limit.heap {
			return
		}
		<-tick.C
	}
	t.Errorf("%+v; it should be at most %+v", h, limit)
}
