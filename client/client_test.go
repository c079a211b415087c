package client

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

func TestNobodyStarvesBehindASessionThatHasMuchToSay(t *testing.T) {
	c := &Client{rang: newBell(), link: newLink(nil), wanted: make(chan struct{}, 1)}
	for range 3 {
		couple := newCouple(t)
		s := newSession(c, &peer{ends: couple.alice.ends}, &e2e.Keys{}, true)
		for range window {
			s.talk.out.say(e2e.Text, make([]byte, e2e.MaxBody))
		}
		c.sessions = append(c.sessions, s)
	}
	sent := map[*Session]int{}
	for range 6 {
		all := slices.Clone(c.sessions)
		c.records(c.link, time.Now(), nil)
		for _, s := range all {
			sent[s] = len(s.talk.out.records)
		}
	}
	for s, n := range sent {
		if n < 6 || n > 10 {
			t.Errorf("session %p has sent %d", s, n)
		}
	}
}

func TestMessagesThatRenewKeysAreTakenWithoutTheApplication(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.rekeyedBy = c.alice.sealer.Counter()
	for range 20 {
		c.send(c.alice)
		c.send(c.bob)
		for _, s := range []*side{c.alice, c.bob} {
			for len(s.wire) > 0 {
				if err := c.deliver(s); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, s := range []*side{c.alice, c.bob} {
		if len(s.out.messages) > 0 || s.epoch() == 0 {
			t.Errorf("%s: %d messages are not taken, epoch %d", s.name, len(s.out.messages), s.epoch())
		}
	}
}

func TestAnIdleSessionLivesForADayAndRenewsItsKeys(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *relay, toBob, toAlice *Session) {
		for day := range 1 {
			time.Sleep(25 * time.Hour) //nolint:forbidigo // virtual
			text := fmt.Sprintf("day %d", day)
			if err := errors.Join(toBob.Send(t.Context(), []byte(text)), toAlice.Send(t.Context(), []byte(text))); err != nil {
				t.Fatal(err)
			}
			if a, b := texts(t, toAlice, 1), texts(t, toBob, 1); a[0] != text || b[0] != text {
				t.Errorf("%q, %q", a, b)
			}
		}
		if err := toBob.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if toBob.talk.rekeyedAt.Equal(toBob.talk.heardAt) || time.Since(toBob.talk.rekeyedAt) > 2*time.Hour {
			t.Error("the keys were not renewed")
		}
	})
}

func TestABusyPeerIsWaitedFor(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
		var refused atomic.Int32
		r.rules(func(_, to *connection, f frames.Raw) verdict {
			if to.name == "bob" && f.Type == frames.TypeMessage {
				refused.Add(1)
				return verdict(frames.Busy)
			}
			return forwarded
		})
		for i := range 20 {
			if err := toBob.Send(t.Context(), fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30 * time.Second) //nolint:forbidigo // virtual
		if n := refused.Load(); n < 10 || n > 100 {
			t.Errorf("in 30 s Alice tries %d times", n)
		}
		r.rules(func(*connection, *connection, frames.Raw) verdict { return forwarded })
		began := time.Now()
		for i, text := range texts(t, toAlice, 20) {
			if text != fmt.Sprint(i) {
				t.Errorf("text %d is %q", i, text)
			}
		}
		if d := time.Since(began); d > 2*longestPause {
			t.Errorf("it takes %v until Alice goes on", d)
		}
	})
}

func TestAPeerWhoCannotBeReachedGivesUpAndNobodySpins(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
		var refused atomic.Int32
		r.rules(func(_, to *connection, f frames.Raw) verdict {
			if to.name == "bob" && f.Type == frames.TypeMessage {
				refused.Add(1)
				return verdict(frames.Busy)
			}
			return forwarded
		})
		if err := toBob.Send(t.Context(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Session{toAlice, toBob} {
			if _, err := over(s); !errors.Is(err, ErrSilent) {
				t.Error(err)
			}
		}
		time.Sleep(time.Hour) //nolint:forbidigo // virtual
		if n := refused.Load(); n > 50 {
			t.Errorf("Alice tried %d times", n)
		}
	})
}

func TestAPeerWhoIsSilentIsGivenUp(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
		r.rules(func(*connection, *connection, frames.Raw) verdict { return swallowed })
		after, err := over(toBob)
		if !errors.Is(err, ErrSilent) || after < quiet || after > quiet+silence+time.Second {
			t.Errorf("%v after %v", err, after)
		}
		if _, err := over(toAlice); !errors.Is(err, ErrSilent) {
			t.Error(err)
		}
	})
}

func TestAPeerWhoReadsSlowlyIsNotGivenUp(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *relay, toBob, toAlice *Session) {
		for range 5 {
			if err := toBob.Send(t.Context(), []byte("read me when you can")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Minute) //nolint:forbidigo // virtual
		if n := toBob.Unconfirmed(); n != 5 {
			t.Errorf("%d texts are not confirmed", n)
		}
		if len(texts(t, toAlice, 5)) != 5 || toBob.Flush(t.Context()) != nil {
			t.Error("the texts were not taken")
		}
	})
}

func TestWhatIsWithheldIsNamedByBothWithinSeconds(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, r *relay, toBob, toAlice *Session) {
		done := false
		r.rules(func(_, to *connection, f frames.Raw) verdict {
			if to.name == "bob" && f.Type == frames.TypeMessage && !done {
				done = true
				return swallowed
			}
			return forwarded
		})
		for range 2 {
			if err := toBob.Send(t.Context(), []byte("text")); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []*Session{toBob, toAlice} {
			if after, err := over(s); !errors.Is(err, e2e.ErrWithheld) || after > grace+time.Second {
				t.Errorf("%v after %v", err, after)
			}
		}
	})
}
