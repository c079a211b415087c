package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// relay is a small relay in virtual time: it forwards what its rule does not refuse or swallow.
type relay struct {
	mu       sync.Mutex
	began    time.Time
	users    map[string]*connection // by key
	delay    func(f frames.Raw) time.Duration
	rule     func(sender, recipient *connection, f frames.Raw) verdict
	identity ed25519.PrivateKey
	login    func(c *connection, f frames.Raw) verdict // what becomes of a Login or Prove that is in order
	hello    func(w frames.Welcome) frames.Frame       // what answers a Hello; nil: nothing
	deaf     bool                                      // to pings
	logins   int
}

type connection struct {
	name    string
	conn    net.Conn
	key     frames.Key
	number  uint64
	last    time.Duration // when the newest frame that takes its time arrives, since the relay began
	out     chan []byte
	closed  bool
	hello   []byte
	welcome []byte
	said    []frames.Type // what it has sent
	pongs   []frames.Pong
}

// verdict is what becomes of a frame: forwarded, refused with a code, or swallowed.
type verdict int

const (
	forwarded verdict = 0
	swallowed verdict = -1
)

const testInterval = time.Minute

func startTestRelay() *relay {
	_, identity, _ := ed25519.GenerateKey(nil)
	return &relay{
		began:    time.Now(),
		users:    make(map[string]*connection),
		delay:    func(frames.Raw) time.Duration { return 0 },
		rule:     func(*connection, *connection, frames.Raw) verdict { return forwarded },
		login:    func(*connection, frames.Raw) verdict { return forwarded },
		hello:    func(w frames.Welcome) frames.Frame { return w },
		identity: identity,
	}
}

func (r *relay) id() frames.RelayID { return frames.RelayID(r.identity.Public().(ed25519.PublicKey)) }

// rules sets what becomes of frames from now on.
func (r *relay) rules(rule func(sender, recipient *connection, f frames.Raw) verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rule = rule
}

// connect is the other end of a new connection of somebody.
func (r *relay) connect(name string, key frames.Key) (c *connection, theirs net.Conn) {
	ours, theirs := net.Pipe()
	c = &connection{name: name, conn: ours, key: key, out: make(chan []byte, 1000)}
	go r.read(c)
	go func() { // ends with the connection
		for b := range c.out {
			if _, err := c.conn.Write(b); err != nil {
				return
			}
		}
	}()
	return c, theirs
}

// client connects and logs in somebody.
func (r *relay) client(t *testing.T, name string) *Client {
	t.Helper()
	self := testIdentity(t, name)
	_, conn := r.connect(name, self.Key())
	client := New(conn, Options{})
	if err := client.Login(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	return client
}

// lasting connects and logs in somebody who connects again.
func (r *relay) lasting(t *testing.T, name string, patience time.Duration) *Client {
	t.Helper()
	self := testIdentity(t, name)
	options := Options{Reconnect: patience, DialContext: func(context.Context, string, string) (net.Conn, error) {
		_, conn := r.connect(name, self.Key())
		return conn, nil
	}}
	client, err := Dial(t.Context(), Address{HostPort: "relay:1", Pinned: true, ID: r.id()}.String(), options)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Login(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	return client
}

// send has the relay say something to somebody. The lock is held.
func (c *connection) send(f frames.Frame) {
	if !c.closed {
		c.out <- f.Append(nil)
	}
}

// cut breaks a connection; what waits to be written to it is lost. The lock is held.
func (r *relay) cut(c *connection) {
	if r.users[string(c.key)] == c { // else there is a newer one
		delete(r.users, string(c.key))
	}
	if !c.closed {
		c.closed = true
		c.conn.Close()
		for drained := false; !drained; { // who writes takes from it, too
			select {
			case <-c.out:
			default:
				drained = true
			}
		}
		close(c.out)
	}
}

func (r *relay) read(c *connection) {
	in := bufio.NewReader(c.conn)
	for {
		f, err := frames.Read(in, frames.MaxPayload)
		r.mu.Lock()
		if err != nil || c.closed {
			r.cut(c)
			r.mu.Unlock()
			return
		}
		c.number++
		c.said = append(c.said, f.Type)
		number := c.number
		if d := r.delay(f); d > 0 {
			c.last = max(c.last+1, time.Since(r.began)+d) // order is kept
			time.AfterFunc(c.last-time.Since(r.began), func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.handle(c, number, f)
			})
		} else {
			r.handle(c, number, f)
		}
		r.mu.Unlock()
	}
}

func (r *relay) handle(c *connection, number uint64, f frames.Raw) {
	if f.Type.Carries() || f.Type == frames.TypeEnd {
		r.forward(c, number, f)
		return
	}
	decoded, err := frames.DefaultKeys().Decode(frames.FromClient, f)
	if err != nil {
		panic(err)
	}
	switch d := decoded.(type) {
	case frames.Hello:
		r.greet(c, number, d, f.Payload)
	case frames.Ping:
		if !r.deaf {
			c.send(frames.Pong(d))
		}
	case frames.Pong:
		c.pongs = append(c.pongs, d)
	case frames.Prove:
		v := verdict(frames.ProofInvalid)
		if frames.NewGreeting(c.hello, c.welcome, frames.Binding{}).Proven(d) {
			v = r.login(c, f)
		}
		r.enter(c, number, f.Type, v)
	case frames.Login:
		r.enter(c, number, f.Type, r.login(c, f))
	}
}

func (r *relay) greet(c *connection, number uint64, h frames.Hello, payload []byte) {
	id := r.id()
	w := frames.Welcome{Elements: frames.Elements{
		Features: h.Features & presenceBit, Nonce: bytes.Repeat([]byte{byte(number)}, frames.NonceSize), RelayID: id[:],
		PingInterval: uint32(testInterval / time.Second), Software: "test",
	}}
	answer := r.hello(w.Sign(payload, frames.Binding{}, r.identity))
	if answer == nil {
		return
	}
	switch a := answer.(type) {
	case frames.Error:
		a.Request, a.Number = frames.TypeHello, number
		answer = a
	case resigned:
		answer = a.Sign(payload, frames.Binding{}, a.by)
	}
	c.hello, c.welcome = payload, answer.Append(nil)[frames.HeaderSize:]
	c.send(answer)
}

func (r *relay) enter(c *connection, number uint64, request frames.Type, v verdict) {
	if v != forwarded {
		if v != swallowed {
			c.send(frames.Error{Code: frames.Code(v), Request: request, Number: number})
		}
		return
	}
	r.users[string(c.key)] = c
	r.logins++
	c.send(frames.LoginAccepted{})
}

func (r *relay) forward(c *connection, number uint64, f frames.Raw) {
	key, rest, _ := frames.DefaultKeys().Split(f.Payload)
	to := r.users[string(key)]
	v := verdict(frames.Offline)
	if to != nil {
		v = r.rule(c, to, f)
	}
	switch {
	case v == forwarded && to.closed, v == swallowed, v != forwarded && f.Type == frames.TypeEnd:
	case v == forwarded:
		p := append(append([]byte(nil), c.key...), rest...)
		to.out <- append(frames.AppendHeader(nil, f.Type, len(p)), p...)
	default:
		c.send(frames.Error{Code: frames.Code(v), Request: f.Type, Number: number})
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
