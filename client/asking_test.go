package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// startBoth has Alice and Bob ask each other at once.
func startBoth(t *testing.T, alice, bob *Client) (toBob, toAlice *Session) {
	t.Helper()
	asked := asks(t, alice, bob)
	toAlice, err := bob.StartSession(t.Context(), alice.self.Key())
	if err != nil {
		t.Fatal(err)
	}
	return <-asked, toAlice
}

func TestTwoWhoAskAtOnceGetOneSession(t *testing.T) {
	start := func(f frames.Raw) bool { return f.Type == frames.TypeStart }
	for name, prepare := range map[string]func(r *relay, smaller string){
		"when the requests cross": func(*relay, string) {},
		"when the requests take so long that both are accepted": func(r *relay, _ string) {
			r.delay = func(f frames.Raw) time.Duration {
				if start(f) {
					return crossing + time.Second
				}
				return 0
			}
		},
		"when the request that counts is refused, later": func(r *relay, smaller string) {
			r.rule = func(from, _ *connection, f frames.Raw) verdict {
				if from.name == smaller && start(f) {
					return verdict(frames.Unavailable)
				}
				return forwarded
			}
			r.delay = func(f frames.Raw) time.Duration {
				if key, _, _ := frames.DefaultKeys().Split(f.Payload); start(f) && r.users[string(key)].name != smaller {
					return time.Second
				}
				return 0
			}
		},
		"when the request that does not count is refused, after the other was accepted": func(r *relay, smaller string) {
			r.rule = func(from, _ *connection, f frames.Raw) verdict {
				if from.name != smaller && start(f) {
					return verdict(frames.Unavailable)
				}
				return forwarded
			}
			r.delay = func(f frames.Raw) time.Duration {
				key, _, _ := frames.DefaultKeys().Split(f.Payload)
				switch {
				case start(f) && r.users[string(key)].name == smaller:
					return time.Second
				case f.Type == frames.TypeMessage:
					return 2 * time.Second
				}
				return 0
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startTestRelay()
				alice, bob := r.client(t, "alice"), r.client(t, "bob")
				defer func() { _, _ = alice.Close(), bob.Close() }()
				smaller := "bob"
				if alice.self.Key().Hex() < bob.self.Key().Hex() {
					smaller = "alice"
				}
				r.mu.Lock()
				prepare(r, smaller)
				r.mu.Unlock()
				toBob, toAlice := startBoth(t, alice, bob)
				if err := errors.Join(toBob.Send(t.Context(), []byte("a")), toAlice.Send(t.Context(), []byte("b"))); err != nil {
					t.Fatal(err)
				}
				if a, b := texts(t, toAlice, 1), texts(t, toBob, 1); a[0] != "a" || b[0] != "b" {
					t.Errorf("%q, %q", a, b)
				}
				time.Sleep(time.Minute) //nolint:forbidigo // virtual
				if err := errors.Join(toBob.Err(), toAlice.Err()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAPeerThatBeginsAnewIsNotDisturbedByTheOldSession(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, r *relay, old, toAlice *Session) {
		bob := toAlice.client
		synctest.Wait() // until Bob has nothing more to say to the old Alice, which a true relay would refuse
		r.rules(func(_, _ *connection, f frames.Raw) verdict {
			if f.Type == frames.TypeEnd { // the old Alice crashes
				return swallowed
			}
			return forwarded
		})
		if err := old.client.Close(); err != nil {
			t.Fatal(err)
		}
		alice := r.client(t, "alice")
		defer func() { _ = alice.Close() }()
		asked := asks(t, alice, bob)
		if e, err := bob.event(t.Context()); err != nil {
			t.Fatal(e, err)
		}
		r.mu.Lock()
		r.delay = func(f frames.Raw) time.Duration { // until after Bob's client would ask whether the old Alice is there
			if f.Type == frames.TypeAccept {
				return 2 * quiet
			}
			return 0
		}
		r.mu.Unlock()
		accepted := make(chan *Session, 1)
		go func() {
			s, err := bob.AcceptSession(t.Context(), alice.self.Key())
			if err != nil {
				t.Error(err)
			}
			accepted <- s
		}()
		synctest.Wait()
		if err := toAlice.Send(t.Context(), []byte("for the old Alice")); err != nil {
			t.Error(err)
		}
		toBob, toAlice := <-asked, <-accepted
		if err := toAlice.Send(t.Context(), []byte("for the new Alice")); err != nil {
			t.Fatal(err)
		}
		if got := texts(t, toBob, 1); got[0] != "for the new Alice" {
			t.Error(got)
		}
		alice.mu.Lock()
		defer alice.mu.Unlock()
		if len(alice.events) > 0 {
			t.Errorf("Alice is told of %v", alice.events)
		}
	})
}

func TestManyMayAskForTheSameUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		r.rule = func(*connection, *connection, frames.Raw) verdict { return verdict(frames.Unavailable) }
		r.delay = func(f frames.Raw) time.Duration { return time.Duration(f.Type-frames.TypeLogin) * time.Second }
		alice, bob := r.client(t, "alice"), r.client(t, "bob")
		defer func() { _, _ = alice.Close(), bob.Close() }()
		refused := make(chan error)
		for range 3 * maxStarts {
			go func() {
				_, err := alice.StartSession(t.Context(), bob.self.Key())
				refused <- err
			}()
		}
		for range 3 * maxStarts {
			if err := <-refused; !IsRefused(err, frames.Unavailable) {
				t.Error(err)
			}
		}
		if len(alice.events) > 0 || len(alice.link.asked) > 0 || len(alice.peers) > 0 {
			t.Errorf("%d events, %d requests, %d peers are left", len(alice.events), len(alice.link.asked), len(alice.peers))
		}
	})
}

func TestARequestIsAcceptedByOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		alice, bob := r.client(t, "alice"), r.client(t, "bob")
		defer func() { _, _ = alice.Close(), bob.Close() }()
		r.mu.Lock()
		r.delay = func(frames.Raw) time.Duration { return time.Second }
		r.mu.Unlock()
		for range 2 { // the second while the first is on its way
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			if s, err := alice.StartSession(ctx, bob.self.Key()); err == nil {
				t.Fatal(s)
			}
			cancel()
		}
		accepted := make(chan error)
		for range 2 {
			if e, err := bob.event(t.Context()); err != nil {
				t.Fatal(e, err)
			}
			go func() {
				_, err := bob.AcceptSession(t.Context(), alice.self.Key())
				accepted <- err
			}()
		}
		one, other := <-accepted, <-accepted
		if (one == nil) == (other == nil) || !errors.Is(errors.Join(one, other), ErrReplaced) {
			t.Errorf("%v, %v", one, other)
		}
	})
}

func TestAnAcceptanceThatNobodyConfirmsIsTakenBackAndThePeerIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		alice, bob := r.client(t, "alice"), r.client(t, "bob")
		defer func() { _, _ = alice.Close(), bob.Close() }()
		r.rules(func(from, _ *connection, f frames.Raw) verdict {
			if from.name == "alice" && f.Type == frames.TypeMessage {
				return swallowed
			}
			return forwarded
		})
		asked := asks(t, alice, bob)
		if e, err := bob.event(t.Context()); err != nil {
			t.Fatal(e, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s, err := bob.AcceptSession(ctx, alice.self.Key()); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(s, err)
		}
		if after, err := over(<-asked); !errors.Is(err, ErrGivenUp) || Tampering(err) || after > time.Second {
			t.Errorf("%v after %v", err, after)
		}
	})
}

func TestOfTooManyRequestsTheOldestIsForgotten(t *testing.T) {
	c := &Client{rang: newBell(), peers: make(map[string]*peer)}
	for i := range maxEvents + 3 {
		p := &peer{key: frames.Key{byte(i)}, request: &e2e.Request{}, came: time.Unix(int64(i), 0)}
		c.peers[string(p.key)] = p
		c.announce(p, p.request)
	}
	for i := range maxEvents + 3 {
		if _, known := c.peers[string([]byte{byte(i)})]; known != (i >= 3) {
			t.Errorf("request %d is known: %v", i, known)
		}
	}
}

func TestOldAndRepeatedRequestsAreTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		made    time.Duration // from now
		again   bool
		refused error
	}{
		"of this hour":         {made: -59 * time.Minute},
		"by a clock that runs": {made: 59 * time.Minute},
		"of an hour ago":       {made: -61 * time.Minute, refused: ErrStale},
		"from the future":      {made: 61 * time.Minute, refused: ErrStale},
		"seen before":          {again: true, refused: ErrRepeated},
	} {
		t.Run(name, func(t *testing.T) {
			couple := newCouple(t)
			start, err := couple.alice.ends.Start(couple.now.Add(c.made))
			if err != nil {
				t.Fatal(err)
			}
			request, err := couple.bob.ends.Open(start.Body)
			if err != nil {
				t.Fatal(err)
			}
			var seen replays
			err = seen.check(couple.now, request)
			if c.again {
				err = seen.check(couple.now, request)
			}
			if !errors.Is(err, c.refused) {
				t.Errorf("%v, not %v", err, c.refused)
			}
		})
	}
}

func TestRequestsSeenAreForgottenWhenTheyAreOldOrTooMany(t *testing.T) {
	now := time.Now()
	seen := make(replays)
	for i := range maxSeen {
		at := now
		if i%2 == 0 {
			at = now.Add(-2 * fresh)
		}
		seen[[32]byte{byte(i), byte(i >> 8)}] = at
	}
	seen.makeRoom(now)
	if len(seen) != maxSeen/2 {
		t.Errorf("%d are left, not the %d that are fresh", len(seen), maxSeen/2)
	}
	for i := range maxSeen {
		seen[[32]byte{byte(i), byte(i >> 8), 1}] = now
	}
	seen.makeRoom(now)
	if len(seen) >= maxSeen {
		t.Errorf("there is no room: %d", len(seen))
	}
}

func TestOfEventsNobodyLooksAtTheNewestAreKept(t *testing.T) {
	c := &Client{rang: newBell()}
	for i := range maxEvents + 10 {
		c.trouble(nil, fmt.Errorf("%d", i))
		c.add(Requested{Peer: frames.Key{byte(i)}})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	troubles, requests := 0, 0
	for e, err := range c.Events(ctx) {
		if err != nil {
			break
		}
		switch e := e.(type) {
		case Trouble:
			if want := fmt.Sprint(troubles + 10); e.Err.Error() != want {
				t.Errorf("trouble %s, not %s", e.Err, want)
			}
			troubles++
		case Requested:
			requests++
		}
	}
	if troubles != maxEvents || requests != maxEvents {
		t.Errorf("%d troubles, %d requests", troubles, requests)
	}
}

// TestAFriendWhoIsAwayIsNotAskedForEver has a relay keep an older session with Bob, so that it says OFFLINE instead of UNAVAILABLE.
func TestAFriendWhoIsAwayIsNotAskedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		alice := r.client(t, "alice")
		defer func() { _ = alice.Close() }()
		if _, err := alice.StartSession(t.Context(), testIdentity(t, "bob").Key()); !IsRefused(err, frames.Offline) {
			t.Error(err)
		}
	})
}
