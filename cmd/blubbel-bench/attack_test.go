package main

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// relayEnd is what a relay does on one connection, until it closes that.
type relayEnd func(conn net.Conn)

// at returns an attack on relays that are at the other end of pipes, inside of a bubble.
func at(relay relayEnd) *attack {
	return &attack{tally: &tally{}, connect: func(context.Context, int) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			relay(theirs)
		}()
		return ours, nil
	}}
}

// says is a relay that says something after a time.
func says(after time.Duration, f frames.Frame) relayEnd {
	return func(conn net.Conn) {
		<-time.After(after)
		if f != nil {
			_, _ = conn.Write(f.Append(nil))
		}
	}
}

// hears is a relay that first reads a frame.
func hears(t *testing.T, then ...relayEnd) relayEnd {
	return func(conn net.Conn) {
		if _, err := frames.Read(conn, frames.MaxLoginPayload); err != nil {
			t.Error(err)
		}
		for _, relay := range then {
			relay(conn)
		}
	}
}

// stays is a relay that reads until the client leaves.
func stays(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// broken is a connection that is reset when it is read.
type broken struct{ net.Conn }

func (broken) Read([]byte) (int, error) { return 0, &net.OpError{Op: "read", Err: syscall.ECONNRESET} }

func TestWhatBecomesOfHostileClientsIsCounted(t *testing.T) {
	const stay = 30 * time.Second
	door := frames.Error{Code: frames.Limit}
	login := frames.Login{Key: key(t, 2048)}.Append(nil)
	half := append(frames.AppendHeader(nil, frames.TypeMessage, 1000), make([]byte, 500)...)
	for name, c := range map[string]struct {
		relay relayEnd
		plan  plan
		end   string
		after time.Duration
	}{
		"turned away at the door":   {says(0, door), plan{}, "LIMIT", 0},
		"turned away late":          {says(10*time.Second, frames.Error{Code: frames.Timeout}), plan{}, "TIMEOUT", 10 * time.Second},
		"closed":                    {says(3*time.Second, nil), plan{}, wordless, 3 * time.Second},
		"let in":                    {stays, plan{}, toTheEnd, 0},
		"told, and not closed":      {func(conn net.Conn) { says(0, door)(conn); stays(conn) }, plan{}, "LIMIT, " + toTheEnd, 0},
		"answered with another":     {func(conn net.Conn) { _, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request")) }, plan{}, "answered with what is no frame", 0},
		"not logged in":             {hears(t, says(0, frames.Error{Code: frames.KeyInUse})), plan{first: login, login: true}, notLoggedIn + "KEY_IN_USE", 0},
		"not logged in, and closed": {hears(t), plan{first: login, login: true}, notLoggedIn + wordless, 0},
		"waited for in vain": {
			hears(t, says(2*time.Second, frames.LoginAccepted{}), says(20*time.Second, frames.Error{Code: frames.Timeout})),
			plan{first: login, login: true},
			"TIMEOUT", 22 * time.Second,
		},
		"not refused": {hears(t, says(0, frames.LoginAccepted{})), plan{first: login, login: true, spoke: notRefused}, notRefused, 0},
		"refused": {
			hears(t, says(0, frames.LoginAccepted{}), says(time.Second, frames.Error{Code: frames.Unavailable, Number: 2})),
			plan{first: login, login: true, spoke: notRefused},
			"UNAVAILABLE", time.Second,
		},
		"half a frame counts from its beginning": {
			hears(t, says(2*time.Second, frames.LoginAccepted{}), func(conn net.Conn) {
				got := make([]byte, len(half))
				if _, err := io.ReadFull(conn, got); err != nil || !slices.Equal(got, half) {
					t.Errorf("%v, %d bytes", err, len(got))
				}
			}, says(20*time.Second, frames.Error{Code: frames.Timeout})),
			plan{first: login, login: true, then: half},
			"TIMEOUT", 20 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := at(c.relay)
				err := a.run(t.Context(), 3, 0, func() (plan, error) {
					p := c.plan
					p.until = time.Now().Add(stay)
					return p, nil
				})
				got := a.tally.outcomes()
				if err != nil || len(got) != 1 || got[c.end] == nil || got[c.end].Count != 3 {
					t.Fatalf("%v, %s", err, sentence(got))
				}
				if !near(got[c.end].Median*1e6, c.after) && c.after > 0 || got[c.end].Slowest > 1.01*c.after.Seconds()+1e-6 {
					t.Errorf("%s", sentence(got))
				}
			})
		})
	}
}

func TestAConnectionThatFailsIsCounted(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	a := &attack{tally: &tally{}, connect: func(_ context.Context, nth int) (net.Conn, error) {
		if nth == 0 {
			return nil, errors.New("no way")
		}
		return broken{ours}, nil
	}}
	if err := a.run(t.Context(), 2, 0, func() (plan, error) { return plan{until: time.Now().Add(time.Minute)}, nil }); err != nil {
		t.Error(err)
	}
	if a.tally.of(notConnected) != 1 || a.tally.of(reset) != 1 {
		t.Errorf("%s", sentence(a.tally.outcomes()))
	}
}

func TestHostileClientsComeWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var mu sync.Mutex
		var came []time.Duration
		a := at(stays)
		connect := a.connect
		a.connect = func(ctx context.Context, nth int) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			came = append(came, time.Since(began))
			return connect(ctx, nth)
		}
		_ = a.run(t.Context(), 100, 10*time.Second, func() (plan, error) { return plan{until: time.Now().Add(time.Second)}, nil })
		for nth, when := range came {
			if when != time.Duration(nth)*100*time.Millisecond {
				t.Fatalf("the client at place %d after %v", nth, when)
			}
		}
		if took := time.Since(began); len(came) != 100 || took != 10900*time.Millisecond {
			t.Errorf("%d within %v", len(came), took)
		}
	})
}

func TestADripIsAByteASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		claim := []byte{4, 0xff, 0xff, 0xff, 0xff}
		var got []byte
		var last time.Time
		a := at(func(conn net.Conn) {
			one := make([]byte, len(claim))
			for {
				n, err := conn.Read(one)
				if err != nil {
					return
				}
				got, last = append(got, one[:n]...), time.Now()
			}
		})
		began := time.Now()
		_ = a.run(t.Context(), 1, 0, func() (plan, error) {
			return plan{first: claim, drip: true, until: began.Add(5500 * time.Millisecond)}, nil
		})
		synctest.Wait()
		if !slices.Equal(got, append(claim, make([]byte, 5)...)) || last.Sub(began) != 5*time.Second || a.tally.of(toTheEnd) != 1 {
			t.Errorf("%v until %v", got, last.Sub(began))
		}
	})
}

func TestAnAttackEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 4950*time.Millisecond)
		defer cancel()
		began := time.Now()
		a := at(stays)
		_ = a.run(ctx, 100, 10*time.Second, func() (plan, error) { return plan{drip: true, until: began.Add(time.Hour)}, nil })
		if a.tally.of(toTheEnd) != 50 || a.tally.of(stayedAway) != 50 || time.Since(began) != 4950*time.Millisecond {
			t.Errorf("after %v: %s", time.Since(began), sentence(a.tally.outcomes()))
		}
	})
}
