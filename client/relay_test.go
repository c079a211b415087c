package client

import (
	"bufio"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// relay is a small relay in virtual time: it forwards what its rule does not refuse or swallow.
type relay struct {
	mu    sync.Mutex
	began time.Time
	users map[string]*connection // by key
	delay func(f frames.Raw) time.Duration
	rule  func(sender, recipient *connection, f frames.Raw) verdict
}

type connection struct {
	name   string
	conn   net.Conn
	key    frames.Key
	number uint64
	last   time.Duration // when the newest frame that takes its time arrives, since the relay began
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
		began: time.Now(),
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
			if r.users[string(c.key)] == c { // else there is a newer one
				delete(r.users, string(c.key))
			}
			close(c.out)
			c.conn.Close()
			r.mu.Unlock()
			return
		}
		c.number++
		number := c.number
		if d := r.delay(f); d > 0 {
			c.last = max(c.last+1, time.Since(r.began)+d) // order is kept
			time.AfterFunc(c.last-time.Since(r.began), func() {
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
		asked := asks(t, alice, bob)
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

// asks has somebody ask another for a session, which must open some time.
func asks(t *testing.T, from, to *Client) <-chan *Session {
	t.Helper()
	asked := make(chan *Session, 1)
	go func() {
		s, err := from.StartSession(t.Context(), to.self.Key())
		if err != nil {
			t.Error(err)
		}
		asked <- s
	}()
	return asked
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
