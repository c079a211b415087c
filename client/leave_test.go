package client

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// lastingCouple runs a test with Alice and Bob in a session, who both connect again.
func lastingCouple(t *testing.T, test func(t *testing.T, r *relay, toBob, toAlice *Session)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		alice, bob := r.lasting(t, "alice", Forever), r.lasting(t, "bob", Forever)
		defer func() { _, _ = alice.Close(), bob.Close() }()
		asked := asks(t, alice, bob)
		next[Requested](t, bob)
		toAlice, err := bob.AcceptSession(t.Context(), alice.self.Key())
		if err != nil {
			t.Fatal(err)
		}
		toBob := <-asked
		synctest.Wait()
		test(t, r, toBob, toAlice)
	})
}

func TestWhatHasArrivedIsHandedOutWhenTheRelaySaysThatThePeerHasEnded(t *testing.T) {
	for _, reason := range []string{"", "tired", disconnected} {
		lastingCouple(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
			if err := errors.Join(toBob.Send(t.Context(), []byte("one")), toAlice.Send(t.Context(), []byte("not taken"))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			r.tell("bob", frames.EndSession{Peer: toBob.client.self.Key(), Reason: reason})
			synctest.Wait()
			began, heard := time.Now(), 0
			for text, err := range toAlice.Messages(t.Context()) {
				if err == nil && string(text) == "one" {
					heard++
					continue
				}
				left, is := errors.AsType[*Left](err)
				if !is || left.Reason != reason || left.Disconnected() != (reason == disconnected) || Tampering(err) {
					t.Errorf("%q, %v", text, err)
				}
			}
			if heard != 1 || time.Since(began) > 0 {
				t.Errorf("%d texts after %v", heard, time.Since(began))
			}
			var left *Left
			if err := toAlice.End(t.Context(), ""); !errors.As(err, &left) || toAlice.Unconfirmed() != 1 {
				t.Errorf("%v, %d not confirmed: the relay's word counts as the peer's", err, toAlice.Unconfirmed())
			}
		})
	}
}

func TestTheRelayIsToldWhenASessionIsOver(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, toBob, toAlice *Session){
		"given up": func(_ *testing.T, toBob, _ *Session) { toBob.GiveUp() },
		"closed":   func(_ *testing.T, toBob, _ *Session) { _ = toBob.client.Close() },
		"parted": func(t *testing.T, toBob, toAlice *Session) {
			for _, s := range []*Session{toBob, toAlice} {
				go func() {
					for range s.Messages(t.Context()) { //nolint:errcheck // there is none
						t.Error("a text")
					}
				}()
				go func() { _ = s.End(t.Context(), "") }()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			lastingCouple(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
				ended := make(chan time.Time, 10)
				r.rules(func(_, _ *connection, f frames.Raw) verdict {
					if f.Type == frames.TypeEnd {
						ended <- time.Now()
					}
					return forwarded
				})
				began := time.Now()
				end(t, toBob, toAlice)
				if d := (<-ended).Sub(began); d > longestPause {
					t.Errorf("after %v", d)
				}
				<-toAlice.Done()
				time.Sleep(time.Minute) //nolint:forbidigo // virtual
				if n := len(ended); n > 1 {
					t.Errorf("%d times more", n)
				}
				if err := toAlice.Err(); errors.Is(err, ErrSilent) {
					t.Error(err)
				}
			})
		})
	}
}

func TestTheNewSessionIsNotEndedWithTheOld(t *testing.T) {
	lastingCouple(t, func(t *testing.T, r *relay, toBob, _ *Session) {
		alice, bob := toBob.client, toBob.peer.key
		r.rules(func(_, _ *connection, f frames.Raw) verdict {
			if f.Type == frames.TypeEnd {
				t.Error("the relay is told that the session is over")
			}
			return forwarded
		})
		toBob.GiveUp()
		go func() { _, _ = alice.StartSession(t.Context(), bob) }() // before the old one was left
		time.Sleep(time.Minute)                                     //nolint:forbidigo // virtual
		r.rules(func(*connection, *connection, frames.Raw) verdict { return forwarded })
	})
}

func TestADeclinedRequestIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		alice, bob := r.lasting(t, "alice", 0), r.lasting(t, "bob", 0)
		told := make(chan string, 1)
		r.rules(func(from, _ *connection, f frames.Raw) verdict {
			if f.Type == frames.TypeEnd && from.name == "bob" {
				told <- string(f.Payload[len(f.Payload)-3:])
				return swallowed
			}
			return forwarded
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = alice.StartSession(ctx, bob.self.Key()) }()
		next[Requested](t, bob)
		if err := bob.Decline(alice.self.Key(), "no!"); err != nil || <-told != "no!" {
			t.Error(err)
		}
		if _, err := bob.AcceptSession(t.Context(), alice.self.Key()); !errors.Is(err, ErrNoRequest) {
			t.Error(err)
		}
		if err := bob.Decline(alice.self.Key(), ""); !errors.Is(err, ErrNoRequest) {
			t.Error(err)
		}
		cancel()
		_, _ = alice.Close(), bob.Close()
	})
}

// TestACrashedPeerWhoComesBackSaysThatItKnowsNothing has Alice's program crash: the relay keeps the session, for she proved
// her login, and she knows nothing of it.
func TestACrashedPeerWhoComesBackSaysThatItKnowsNothing(t *testing.T) {
	lastingCouple(t, func(t *testing.T, r *relay, _, toAlice *Session) {
		again := r.lasting(t, "alice", 0) // in place of the other, as far as the relay knows
		defer func() { _ = again.Close() }()
		if err := toAlice.Send(t.Context(), []byte("are you there?")); err != nil {
			t.Fatal(err)
		}
		after, err := over(toAlice)
		if left, is := errors.AsType[*Left](err); !is || left.Disconnected() || after > time.Second {
			t.Errorf("%v after %v", err, after)
		}
	})
}

func TestPresenceIsTold(t *testing.T) {
	lastingCouple(t, func(t *testing.T, r *relay, toBob, _ *Session) {
		alice, bob := toBob.client, toBob.peer.key
		for _, online := range []bool{false, true} {
			r.tell("alice", frames.Presence{Peer: testIdentity(t, "carol").Key(), Online: online}, frames.Presence{Peer: bob, Online: online})
			if e := next[Presence](t, alice); e.Online != online || string(e.Peer) != string(bob) {
				t.Errorf("%v, not %v", e, online)
			}
		}
		for i := range 1000 { // nobody looks
			r.tell("alice", frames.Presence{Peer: bob, Online: i%2 == 0})
			synctest.Wait()
		}
		if e := next[Presence](t, alice); e.Online {
			t.Error("an older presence is told")
		}
		alice.mu.Lock()
		defer alice.mu.Unlock()
		if len(alice.events) > 0 {
			t.Errorf("%d events are left", len(alice.events))
		}
	})
}

func TestASessionThatTheRelayHasLostIsOver(t *testing.T) {
	lastingCouple(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
		if err := toBob.Send(t.Context(), []byte("before")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.rules(func(_, _ *connection, f frames.Raw) verdict {
			if f.Type == frames.TypeMessage {
				return verdict(frames.NoSession)
			}
			return forwarded
		})
		r.breakOff("alice")
		r.breakOff("bob")
		heard := 0
		for text, err := range toAlice.Messages(t.Context()) {
			if err == nil && string(text) == "before" {
				heard++
			} else if !errors.Is(err, ErrSessionLost) || Tampering(err) {
				t.Errorf("%q, %v", text, err)
			}
		}
		if _, err := over(toBob); !errors.Is(err, ErrSessionLost) || heard != 1 {
			t.Errorf("%v, %d heard", err, heard)
		}
		if err := errors.Join(toBob.client.Err(), toAlice.client.Err()); err != nil {
			t.Error(err)
		}
	})
}

func TestAnUnprovenSessionEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		bob := r.lasting(t, "bob", 0)
		alice := r.failing(t, Forever, func(int) error { return nil })
		alice.mu.Lock()
		alice.options.Unproven = true // from the next connection on
		alice.mu.Unlock()
		asked := asks(t, alice, bob)
		next[Requested](t, bob)
		if _, err := bob.AcceptSession(t.Context(), alice.self.Key()); err != nil {
			t.Fatal(err)
		}
		toBob := <-asked
		r.breakOff("alice")
		if _, err := over(toBob); !errors.Is(err, ErrSessionLost) {
			t.Error(err)
		}
		next[Reconnected](t, alice)
		_, _ = alice.Close(), bob.Close()
	})
}

// TestClocksStandStillWhileAConnectionIsBroken keeps Alice away for an hour, with much on its way.
func TestClocksStandStillWhileAConnectionIsBroken(t *testing.T) {
	for name, presence := range map[string]bool{"and presence is told": true, "and presence is not told": false} {
		for _, lost := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", the last of the peer is lost: ", lost), func(t *testing.T) {
				lastingCouple(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
					alice := toBob.client
					if err := errors.Join(toBob.Send(t.Context(), []byte("a")), toAlice.Send(t.Context(), []byte("b"))); err != nil {
						t.Fatal(err)
					}
					r.mu.Lock()
					r.login = func(*connection, frames.Raw) verdict { return verdict(frames.Limit) }
					if lost {
						r.rule = func(_, to *connection, _ frames.Raw) verdict {
							if to.name == "alice" {
								return swallowed // by her socket, while nobody knows that it is dead
							}
							return forwarded
						}
					}
					r.mu.Unlock()
					if err := toAlice.Send(t.Context(), []byte("c")); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					r.breakOff("alice")
					if presence {
						r.tell("bob", frames.Presence{Peer: alice.self.Key()})
					}
					time.Sleep(time.Hour) //nolint:forbidigo // virtual
					r.mu.Lock()
					r.login = func(*connection, frames.Raw) verdict { return forwarded }
					r.rule = func(*connection, *connection, frames.Raw) verdict { return forwarded }
					r.mu.Unlock()
					next[Reconnected](t, alice)
					if b := texts(t, toBob, 2); b[0] != "b" || b[1] != "c" {
						t.Error(b)
					}
					if a := texts(t, toAlice, 1); a[0] != "a" {
						t.Error(a)
					}
					if err := errors.Join(toBob.Flush(t.Context()), toAlice.Flush(t.Context())); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// TestAPeerWhoIsAwayIsNotTriedAllTheTime keeps Alice away for hours.
func TestAPeerWhoIsAwayIsNotTriedAllTheTime(t *testing.T) {
	lastingCouple(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
		alice, bob := toBob.client, toAlice.client
		r.mu.Lock()
		r.login = func(*connection, frames.Raw) verdict { return verdict(frames.Limit) }
		before := r.users[string(bob.self.Key())].number
		r.mu.Unlock()
		r.breakOff("alice")
		r.tell("bob", frames.Presence{Peer: alice.self.Key()})
		if err := toAlice.Send(t.Context(), []byte("when you are back")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour) //nolint:forbidigo // virtual
		r.mu.Lock()
		if n := r.users[string(bob.self.Key())].number - before; n > 300 { // pings included
			t.Errorf("Bob sends %d frames", n)
		}
		r.login = func(*connection, frames.Raw) verdict { return forwarded }
		r.mu.Unlock()
		next[Reconnected](t, alice)
		began := time.Now()
		r.tell("bob", frames.Presence{Peer: alice.self.Key(), Online: true})
		if got := texts(t, toBob, 1); got[0] != "when you are back" || time.Since(began) > time.Second {
			t.Errorf("%q after %v", got, time.Since(began))
		}
	})
}
