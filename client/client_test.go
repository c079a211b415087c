package client

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// relay is a small relay in virtual time: it forwards what its rule does not refuse or swallow.
type relay struct {
	mu    sync.Mutex
	users map[string]*connection // by key
	delay func(f frames.Raw) time.Duration
	rule  func(sender, recipient *connection, f frames.Raw) verdict
}

type connection struct {
	name   string
	conn   net.Conn
	key    frames.Key
	number uint64
	out    chan []byte
}

// verdict is what becomes of a frame: forwarded, refused with a code, or swallowed.
type verdict int

const (
	forwarded verdict = 0
	swallowed verdict = -1
)

func startTestRelay() *relay {
	return &relay{
		users: make(map[string]*connection),
		delay: func(frames.Raw) time.Duration { return 0 },
		rule:  func(*connection, *connection, frames.Raw) verdict { return forwarded },
	}
}

// rules sets what becomes of frames from now on.
func (r *relay) rules(rule func(sender, recipient *connection, f frames.Raw) verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rule = rule
}

// client connects and logs in somebody.
func (r *relay) client(t *testing.T, name string) *Client {
	t.Helper()
	self := testIdentity(t, name)
	ours, theirs := net.Pipe()
	c := &connection{name: name, conn: ours, key: self.Key(), out: make(chan []byte, 1000)}
	r.mu.Lock()
	r.users[string(c.key)] = c
	r.mu.Unlock()
	go r.read(c)
	go func() { // ends with the connection
		for b := range c.out {
			if _, err := c.conn.Write(b); err != nil {
				return
			}
		}
	}()
	client := New(theirs)
	if err := client.Login(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	return client
}

func (r *relay) read(c *connection) {
	in := bufio.NewReader(c.conn)
	for {
		f, err := frames.Read(in, frames.MaxPayload)
		r.mu.Lock()
		if err != nil {
			delete(r.users, string(c.key))
			close(c.out)
			c.conn.Close()
			r.mu.Unlock()
			return
		}
		c.number++
		number := c.number
		if d := r.delay(f); d > 0 {
			time.AfterFunc(d, func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.forward(c, number, f)
			})
		} else {
			r.forward(c, number, f)
		}
		r.mu.Unlock()
	}
}

func (r *relay) forward(c *connection, number uint64, f frames.Raw) {
	if f.Type == frames.TypeLogin {
		c.out <- frames.LoginAccepted{}.Append(nil)
		return
	}
	key, rest, _ := frames.DefaultKeys().Split(f.Payload)
	to := r.users[string(key)]
	v := verdict(frames.Offline)
	if to != nil {
		v = r.rule(c, to, f)
	}
	switch v {
	case forwarded:
		p := append(append([]byte(nil), c.key...), rest...)
		to.out <- append(frames.AppendHeader(nil, f.Type, len(p)), p...)
	case swallowed:
	default:
		c.out <- frames.Error{Code: frames.Code(v), Request: f.Type, Number: number}.Append(nil)
	}
}

// inVirtualTime runs a test with Alice and Bob in a session, in a bubble where time passes when everybody waits.
func inVirtualTime(t *testing.T, test func(t *testing.T, r *relay, toBob, toAlice *Session)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		alice, bob := r.client(t, "alice"), r.client(t, "bob")
		defer func() { _, _ = alice.Close(), bob.Close() }()
		asked := make(chan *Session, 1)
		go func() {
			s, err := alice.StartSession(t.Context(), bob.self.Key())
			if err != nil {
				t.Error(err)
			}
			asked <- s
		}()
		if e, err := bob.event(t.Context()); err != nil {
			t.Fatal(e, err)
		}
		toAlice, err := bob.AcceptSession(t.Context(), alice.self.Key())
		if err != nil {
			t.Fatal(err)
		}
		test(t, r, <-asked, toAlice)
	})
}

// texts returns the next texts.
func texts(t *testing.T, s *Session, n int) (list []string) {
	t.Helper()
	for text, err := range s.Messages(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if list = append(list, string(text)); len(list) == n {
			break
		}
	}
	return list
}

// over waits until a session is over, and returns how, and after how long.
func over(s *Session) (after time.Duration, err error) {
	began := time.Now()
	<-s.Done()
	return time.Since(began), s.Err()
}

// startBoth has Alice and Bob ask each other at once.
func startBoth(t *testing.T, alice, bob *Client) (toBob, toAlice *Session) {
	t.Helper()
	asked := make(chan *Session, 1)
	go func() {
		s, err := alice.StartSession(t.Context(), bob.self.Key())
		if err != nil {
			t.Error(err)
		}
		asked <- s
	}()
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
			said := 0
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
					said++
					return 2*time.Second + time.Duration(said) // in order
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
		if refused.Load() < 4 {
			t.Error("Bob leaves before Alice knows")
		}
		if err := <-ended; err != nil {
			t.Error(err)
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

func TestNobodyStarvesBehindASessionThatHasMuchToSay(t *testing.T) {
	c := &Client{rang: newBell(), asked: make(map[uint64]*request), wanted: make(chan struct{}, 1)}
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
		c.records(time.Now(), nil)
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

func TestAPeerThatBeginsAnewIsNotDisturbedByTheOldSession(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, r *relay, old, toAlice *Session) {
		bob := toAlice.client
		if err := old.client.Close(); err != nil {
			t.Fatal(err)
		}
		alice := r.client(t, "alice")
		defer func() { _ = alice.Close() }()
		asked := make(chan *Session, 1)
		go func() {
			s, err := alice.StartSession(t.Context(), bob.self.Key())
			if err != nil {
				t.Error(err)
			}
			asked <- s
		}()
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
		if len(alice.events) > 0 || len(alice.asked) > 0 || len(alice.peers) > 0 {
			t.Errorf("%d events, %d requests, %d peers are left", len(alice.events), len(alice.asked), len(alice.peers))
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
		asked := make(chan *Session, 1)
		go func() {
			s, err := alice.StartSession(t.Context(), bob.self.Key())
			if err != nil {
				t.Error(err)
			}
			asked <- s
		}()
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

func TestAnIdleSessionLivesForDaysAndRenewsItsKeys(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, _ *relay, toBob, toAlice *Session) {
		for day := range 3 {
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
		if toBob.talk.rekeyedAt.Equal(toBob.talk.heardAt) || time.Since(toBob.talk.rekeyedAt) > 26*time.Hour {
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
				c := New(conn)
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

func TestKeysInPEM(t *testing.T) {
	self := testIdentity(t, "bob")
	secret, err := self.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	public := MarshalKey(self.Key())
	if again, err := ParseIdentity(secret); err != nil || string(again.Key()) != string(self.Key()) {
		t.Error("the secret key does not come back", err)
	}
	if key, err := ParseKey(public); err != nil || string(key) != string(self.Key()) {
		t.Error("the public key does not come back", err)
	}
	for name, c := range map[string]struct {
		err  func() error
		says string
	}{
		"nothing":                {func() error { _, err := ParseIdentity(nil); return err }, "not a key in PEM"},
		"public for secret":      {func() error { _, err := ParseIdentity(public); return err }, "this is a public key"},
		"secret for public":      {func() error { _, err := ParseKey(secret); return err }, "never send this around"},
		"text for public":        {func() error { _, err := ParseKey([]byte("hello")); return err }, "not a key in PEM"},
		"another kind of secret": {func() error { _, err := ParseIdentity(block("RSA PRIVATE KEY")); return err }, "PKCS#8"},
		"another kind of public": {func() error { _, err := ParseKey(block("RSA PUBLIC KEY")); return err }, "BEGIN PUBLIC KEY"},
		"a broken secret":        {func() error { _, err := ParseIdentity(block("PRIVATE KEY")); return err }, "not a sound RSA key"},
		"a broken public":        {func() error { _, err := ParseKey(block("PUBLIC KEY")); return err }, "SubjectPublicKeyInfo"},
	} {
		if err := c.err(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v %s %x", self, self, self, self, self); strings.Contains(printed, "private") || len(printed) > 120 {
		t.Errorf("printed as %s", printed)
	}
}

// block is a PEM block of a type, with nonsense in it.
func block(label string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: []byte("nonsense")})
}
