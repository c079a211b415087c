package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

func TestBothMaySaySomethingAndEnd(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *relay, toBob, toAlice *Session) {
		began := time.Now()
		ended := make(chan error)
		if err := errors.Join(toBob.Send(t.Context(), []byte("hi")), toAlice.Send(t.Context(), []byte("hi"))); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Session{toBob, toAlice} {
			go func() {
				for text, err := range s.Messages(t.Context()) {
					if err != nil || string(text) != "hi" {
						t.Errorf("%q, %v", text, err)
					}
					time.Sleep(time.Millisecond) //nolint:forbidigo // virtual
				}
				ended <- nil
			}()
			go func() { ended <- s.End(t.Context(), "") }()
		}
		for range 4 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("it takes %v", d)
		}
	})
}

func TestWhoTakesTheLastStaysUntilThePeerKnows(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
		if err := toBob.Send(t.Context(), []byte("hi")); err != nil {
			t.Fatal(err)
		}
		if got := texts(t, toAlice, 1); got[0] != "hi" {
			t.Fatal(got)
		}
		if err := toBob.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var refused atomic.Int32
		r.rules(func(_, to *connection, f frames.Raw) verdict {
			if to.name == "alice" && f.Type == frames.TypeMessage && refused.Add(1) <= 3 {
				return verdict(frames.Busy)
			}
			return forwarded
		})
		ended := make(chan error)
		go func() { ended <- toBob.End(t.Context(), "") }()
		for text, err := range toAlice.Messages(t.Context()) {
			t.Errorf("%q, %v", text, err)
		}
		if err := errors.Join(toAlice.End(t.Context(), ""), <-ended); err != nil {
			t.Error(err)
		}
		if _, err := over(toAlice); refused.Load() < 4 {
			t.Errorf("Bob leaves before Alice knows: %v", err)
		}
	})
}

func TestWhoLeavesIsNotWaitedFor(t *testing.T) {
	for _, gone := range []frames.Code{frames.NoSession, frames.Offline} {
		inVirtualTime(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
			go func() { _ = toBob.End(t.Context(), "") }()
			synctest.Wait()
			r.rules(func(*connection, *connection, frames.Raw) verdict { return verdict(gone) })
			began := time.Now()
			for text, err := range toAlice.Messages(t.Context()) {
				t.Errorf("%q, %v", text, err)
			}
			if d := time.Since(began); d > 0 {
				t.Errorf("%v: Bob waits %v for Alice, who has gone", gone, d)
			}
		})
	}
}

func TestWhoHasSaidItsLastRenewsNoKeys(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.bob.end("")
	c.alice.offerKeys(c.now)
	c.send(c.alice)
	c.send(c.bob)
	for len(c.alice.wire)+len(c.bob.wire) > 0 {
		for _, s := range []*side{c.alice, c.bob} {
			if len(s.wire) == 0 {
				continue
			}
			if err := c.deliver(s); err != nil {
				t.Fatalf("%s: %v", c.other(s).name, err)
			}
			c.send(c.other(s))
		}
	}
	if m := c.bob.out.waiting(); m != nil {
		t.Errorf("Bob has kind %d to say", m.kind)
	}
	if n := len(c.bob.out.messages); n != 1 {
		t.Errorf("Bob has said %d messages that are not taken, not his last alone", n)
	}
}

func TestCloseWritesWhatSendHasTaken(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *relay, toBob, toAlice *Session) {
		for i := range 20 {
			if err := toBob.Send(t.Context(), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := toBob.client.Close(); err != nil {
			t.Fatal(err)
		}
		if got := texts(t, toAlice, 20); got[19] != "19" {
			t.Error(got)
		}
	})
}

func TestNothingIsSaidBehindTheLast(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *relay, toBob, toAlice *Session) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := toBob.End(ctx, "first"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if err := toBob.Send(t.Context(), []byte("and")); err == nil {
			t.Error("something was said behind the last")
		}
		go func() {
			for range toAlice.Messages(context.Background()) { //nolint:errcheck // there is none
				t.Error("a text")
			}
		}()
		if err := toBob.End(t.Context(), "again"); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatArrivedIsHandedOutOnceWhenTheSessionIsLost(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
		for i := range 3 {
			if err := toBob.Send(t.Context(), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		r.rules(func(*connection, *connection, frames.Raw) verdict { return verdict(frames.NoSession) })
		if err := toAlice.Send(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		<-toAlice.Done()
		var heard []string
		for text, err := range toAlice.Messages(t.Context()) {
			if err == nil {
				heard = append(heard, string(text))
			} else if !IsRefused(err, frames.NoSession) {
				t.Error(err)
			}
			if len(heard) > 3 {
				break
			}
		}
		if !slices.Equal(heard, []string{"0", "1", "2"}) {
			t.Errorf("heard %q", heard)
		}
	})
}

func TestASessionThatHasFailedHearsNothingMore(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *relay, toBob, toAlice *Session) {
		bob := toAlice.client
		bob.mu.Lock()
		toAlice.finish(ErrSilent)
		bob.mu.Unlock()
		if err := toBob.Send(t.Context(), []byte("too late")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for text, err := range toAlice.Messages(t.Context()) {
			if !errors.Is(err, ErrSilent) {
				t.Errorf("%q, %v", text, err)
			}
		}
	})
}

func TestASessionThatIsOverStillAnswers(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
		r.mu.Lock()
		r.delay = func(frames.Raw) time.Duration { return time.Second } // so that one is done before the other
		r.mu.Unlock()
		began := time.Now()
		for _, s := range []*Session{toBob, toAlice} {
			go func() {
				for text, err := range s.Messages(t.Context()) {
					t.Errorf("%q, %v", text, err)
				}
				if err := s.End(t.Context(), ""); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		if err := toBob.End(t.Context(), ""); err != nil {
			t.Error(err)
		}
		for _, s := range []*Session{toBob, toAlice} {
			if _, err := over(s); !errors.Is(err, s.talk.how) {
				t.Error(err)
			}
		}
		if d := time.Since(began); d > 10*time.Second {
			t.Errorf("it takes %v until both know", d)
		}
	})
}

func TestTheLastIsSaidEvenIfNothingElseIs(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.end("")
	c.send(c.alice)
	if err := c.deliver(c.alice); err != nil {
		t.Fatal(err)
	}
	c.bob.takeEnd()
	c.settle()
	c.bob.end("")
	if c.bob.parted() {
		t.Error("Bob leaves before he has said his last")
	}
}

func TestATextThatIsNotTakenIsNotConfirmed(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *relay, toBob, toAlice *Session) {
		if err := toBob.Send(t.Context(), []byte("write me down")); err != nil {
			t.Fatal(err)
		}
		for range toAlice.Messages(t.Context()) { //nolint:errcheck // the pen is empty
			toAlice.GiveUp()
			break
		}
		if err := toBob.Flush(t.Context()); !errors.Is(err, ErrGivenUp) || Tampering(err) || toBob.Unconfirmed() != 1 {
			t.Errorf("%v, %d not confirmed", err, toBob.Unconfirmed())
		}
	})
}

func TestBothMayEndASessionThatNobodyReads(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *relay, toBob, toAlice *Session) {
		ended := make(chan error)
		go func() { ended <- toBob.End(t.Context(), "") }()
		synctest.Wait() // Bob has heard it, and not read it
		if err := toAlice.End(t.Context(), ""); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestCloseInEveryStateLeavesNoGoroutine(t *testing.T) {
	for name, state := range map[string]func(t *testing.T, c *Client){
		"connected":      func(*testing.T, *Client) {},
		"closed already": func(_ *testing.T, c *Client) { _ = c.Close() },
		"logging in": func(t *testing.T, c *Client) {
			go func() { _ = c.Login(context.Background(), testIdentity(t, "alice")) }()
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
				relay, conn := net.Pipe() // a relay that neither reads nor writes
				defer func() { _ = relay.Close() }()
				c := New(conn, Options{})
				state(t, c)
				began := time.Now()
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if d := time.Since(began); d > 2*lingering {
					t.Errorf("it takes %v", d)
				}
				if err := c.Err(); !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			})
		})
	}
}
