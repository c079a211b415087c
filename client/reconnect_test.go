package client

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// breakOff cuts somebody's connection.
func (r *relay) breakOff(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.users {
		if c.name == name {
			r.cut(c)
		}
	}
}

// tell has the relay say something to somebody.
func (r *relay) tell(name string, all ...frames.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.users {
		if c.name == name {
			for _, f := range all {
				c.send(f)
			}
		}
	}
}

// next waits for an event of one type, and passes the others.
func next[T Event](t *testing.T, c *Client) (found T) {
	t.Helper()
	for e, err := range c.Events(t.Context()) {
		if err != nil {
			t.Fatalf("waiting for %T: %v", found, err)
		}
		if e, ok := e.(T); ok {
			return e
		}
	}
	return found
}

func TestAClientConnectsAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		c := r.lasting(t, "alice", Forever)
		for n := range 5 {
			r.breakOff("alice")
			if e := next[Reconnecting](t, c); !errors.Is(e.Err, ErrDisconnected) {
				t.Error(e.Err)
			}
			next[Reconnected](t, c)
			r.mu.Lock()
			if r.logins != n+2 {
				t.Errorf("%d logins", r.logins)
			}
			r.mu.Unlock()
		}
		_ = c.Close()
	})
}

// failing counts attempts to connect, which fail with err if it is not nil, and else reach the relay.
func (r *relay) failing(t *testing.T, patience time.Duration, fails func(attempt int) error) *Client {
	t.Helper()
	self, attempts := testIdentity(t, "alice"), 0
	c, err := Dial(t.Context(), "relay:1", Options{Reconnect: patience, DialContext: func(context.Context, string, string) (net.Conn, error) {
		attempts++
		if err := fails(attempts); attempts > 1 && err != nil {
			return nil, err
		}
		_, conn := r.connect("alice", self.Key())
		return conn, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestThePausesBetweenAttemptsAreRandomAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		refused := errors.New("connection refused")
		c := r.failing(t, Forever, func(n int) error {
			if n > 20 {
				return nil
			}
			return refused
		})
		r.breakOff("alice")
		bound, sum, bounds := firstBound, time.Duration(0), time.Duration(0)
		for n := range 20 {
			e := next[Reconnecting](t, c)
			if e.In < 0 || e.In >= bound || n > 0 && !errors.Is(e.Err, refused) {
				t.Errorf("pause %d is %v, of at most %v; %v", n, e.In, bound, e.Err)
			}
			sum, bounds = sum+e.In, bounds+bound
			bound = min(2*bound, lastBound)
		}
		if sum < bounds/8 || sum > bounds*7/8 {
			t.Errorf("the pauses are %v in all, of at most %v: not random", sum, bounds)
		}
		next[Reconnected](t, c)
		_ = c.Close()
	})
}

func TestWhatStopsAClientFromConnectingAgain(t *testing.T) {
	for code := frames.Code(1); code <= frames.LastCode; code++ {
		if code.Closes() && code != frames.ProofInvalid { // these end a connection, see below
			continue
		}
		stops := map[frames.Code]bool{
			frames.ProofInvalid: true, frames.NotAllowed: true, frames.ProofRequired: true, frames.BadKey: true,
		}[code]
		t.Run("a login refused with "+code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startTestRelay()
				c := r.lasting(t, "alice", Forever)
				r.mu.Lock()
				r.login = func(*connection, frames.Raw) verdict { return verdict(code) }
				r.mu.Unlock()
				r.breakOff("alice")
				time.Sleep(time.Minute) //nolint:forbidigo // virtual
				if err := c.Err(); stops != IsRefused(err, code) || !stops && err != nil {
					t.Errorf("stops %v: %v", stops, err)
				}
				_ = c.Close()
			})
		})
	}
	for code, stops := range map[frames.Code]bool{frames.Replaced: true, frames.ShuttingDown: false, frames.Timeout: false, frames.Internal: false} {
		t.Run("a connection that ends with "+code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startTestRelay()
				c := r.lasting(t, "alice", Forever)
				r.tell("alice", frames.Error{Code: code})
				time.Sleep(time.Minute) //nolint:forbidigo // virtual
				r.mu.Lock()
				logins := r.logins
				r.mu.Unlock()
				if err := c.Err(); stops != IsRefused(err, code) || stops != (logins == 1) {
					t.Errorf("stops %v: %v, %d logins", stops, err, logins)
				}
				_ = c.Close()
			})
		})
	}
}

func TestAnotherRelayThatAnswersThereStopsAClient(t *testing.T) {
	for name, hello := range map[string]func(frames.Welcome) frames.Frame{
		"another":  func(w frames.Welcome) frames.Frame { w.Signature[0] ^= 1; return w },
		"an older": func(frames.Welcome) frames.Frame { return frames.Error{Code: frames.Unsupported} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startTestRelay()
				c := r.lasting(t, "alice", Forever)
				r.mu.Lock()
				r.hello = hello
				r.mu.Unlock()
				r.breakOff("alice")
				<-c.Done()
				wrong, is := errors.AsType[*WrongRelay](c.Err())
				if !is || !wrong.Forged || r.logins != 1 {
					t.Error(c.Err())
				}
				_ = c.Close()
			})
		})
	}
}

func TestAClientGivesUpWhenItsPatienceEnds(t *testing.T) {
	for name, announced := range map[string]*frames.Restarting{
		"of itself":                     nil,
		"and that of a longer restart":  {ReconnectIn: 5000, KeepTryingFor: 120_000},
		"and that of a shorter restart": {ReconnectIn: 5000, KeepTryingFor: 10_000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startTestRelay()
				gone := errors.New("gone")
				c := r.failing(t, time.Minute, func(int) error { return gone })
				until := time.Minute
				if announced != nil {
					r.tell("alice", *announced)
					synctest.Wait()
					until = max(until, time.Duration(announced.KeepTryingFor)*time.Millisecond)
				}
				began := time.Now()
				r.breakOff("alice")
				<-c.Done()
				if d := time.Since(began); d < until-lastBound || d > until || !errors.Is(c.Err(), gone) {
					t.Errorf("after %v, %v", d, c.Err())
				}
				_ = c.Close()
			})
		})
	}
}

func TestARelayThatRestartsIsWaitedForAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		c := r.lasting(t, "alice", Forever)
		r.tell("alice", frames.Restarting{ReconnectIn: 7000, KeepTryingFor: 60_000}, frames.Error{Code: frames.ShuttingDown})
		if e := next[Restarting](t, c); e.In != 7*time.Second || e.KeepTrying != time.Minute {
			t.Error(e)
		}
		if e := next[Reconnecting](t, c); e.In != 7*time.Second || !IsRefused(e.Err, frames.ShuttingDown) {
			t.Error(e)
		}
		next[Reconnected](t, c)
		_ = c.Close()
	})
}

func TestCloseEndsConnectingAgain(t *testing.T) {
	for _, after := range []time.Duration{0, 10 * time.Millisecond, time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			r := startTestRelay()
			c := r.failing(t, Forever, func(n int) error {
				if n%2 == 0 {
					return errors.New("gone")
				}
				return nil
			})
			r.mu.Lock()
			r.login = func(*connection, frames.Raw) verdict { return swallowed } // the attempt hangs
			r.mu.Unlock()
			r.breakOff("alice")
			time.Sleep(after) //nolint:forbidigo // virtual
			began := time.Now()
			if err := c.Close(); err != nil || time.Since(began) > 2*lingering || !errors.Is(c.Err(), ErrClosed) {
				t.Errorf("%v, %v after %v", err, c.Err(), time.Since(began))
			}
		})
	}
}

func TestWhatWasAskedEndsWithTheConnectionAndMayBeAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		alice, bob := r.lasting(t, "alice", Forever), r.lasting(t, "bob", Forever)
		asked := make(chan error, 1)
		go func() {
			_, err := alice.StartSession(t.Context(), bob.self.Key())
			asked <- err
		}()
		next[Requested](t, bob)
		r.breakOff("alice")
		if err := <-asked; !errors.Is(err, ErrDisconnected) {
			t.Error(err)
		}
		again := asks(t, alice, bob) // waits for the connection
		next[Requested](t, bob)
		toAlice, err := bob.AcceptSession(t.Context(), alice.self.Key())
		if err != nil {
			t.Fatal(err)
		}
		toBob := <-again
		if err := errors.Join(toBob.Send(t.Context(), []byte("hi")), toAlice.Send(t.Context(), []byte("ho"))); err != nil {
			t.Fatal(err)
		}
		if a, b := texts(t, toAlice, 1), texts(t, toBob, 1); a[0] != "hi" || b[0] != "ho" {
			t.Error(a, b)
		}
		_, _ = alice.Close(), bob.Close()
	})
}
