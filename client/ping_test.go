package client

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

func TestAPingTakesAsLongAsItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		_, conn := r.connect("alice", nil)
		c := New(conn, Options{}) // it says Hello by itself
		r.mu.Lock()
		r.delay = func(f frames.Raw) time.Duration {
			if f.Type == frames.TypePing {
				return 40 * time.Millisecond
			}
			return 0
		}
		r.mu.Unlock()
		for range 3 {
			if rtt, err := c.Ping(t.Context()); err != nil || rtt != 40*time.Millisecond {
				t.Errorf("%v, %v", rtt, err)
			}
		}
		_ = c.Close()
	})
}

func TestEveryPingIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		c := r.lasting(t, "alice", 0)
		r.mu.Lock()
		alice := r.users[string(c.self.Key())]
		for i := range byte(3) {
			alice.send(frames.Ping{i})
		}
		alice.send(frames.Pong{9}) // nobody asked
		r.mu.Unlock()
		synctest.Wait()
		r.mu.Lock()
		if !slices.Equal(alice.pongs, []frames.Pong{{0}, {1}, {2}}) || len(alice.said) != 5 {
			t.Errorf("it answers %v, and says %v", alice.pongs, alice.said)
		}
		r.mu.Unlock()
		_ = c.Close()
	})
}

// TestASilentRelayIsPingedAndGivenUp looks at when a client pings, and when it gives up.
func TestASilentRelayIsPingedAndGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		c := r.lasting(t, "alice", 0)
		r.mu.Lock()
		alice := r.users[string(c.self.Key())]
		r.mu.Unlock()
		time.Sleep(10 * testInterval) //nolint:forbidigo // virtual
		if c.Err() != nil {
			t.Fatal("a relay that answers is given up")
		}
		r.mu.Lock()
		if n := len(alice.said) - 2; n < 9 || n > 10 {
			t.Errorf("in ten intervals it pings %d times", n)
		}
		before := len(alice.said)
		r.deaf = true
		r.mu.Unlock()
		began := time.Now()
		<-c.Done()
		if d := time.Since(began); d < 2*testInterval || d > 3*testInterval {
			t.Errorf("it gives up after %v", d)
		}
		if err := c.Err(); !errors.Is(err, ErrNoAnswer) || !errors.Is(err, ErrDisconnected) {
			t.Error(err)
		}
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if n := len(alice.said) - before; n != maxMissed {
			t.Errorf("it pings %d times before it gives up", n)
		}
	})
}

func TestPingsThatAreNotAnsweredEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		r.deaf = true
		c := r.lasting(t, "alice", 0)
		began := time.Now()
		if rtt, err := c.Ping(t.Context()); !errors.Is(err, ErrNoAnswer) {
			t.Errorf("%v, %v", rtt, err)
		}
		if d := time.Since(began); d != 3*testInterval {
			t.Errorf("after %v", d)
		}
		_ = c.Close()
	})
}
