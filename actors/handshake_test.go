package actors

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// shaking is a connection whose client is known when hands are shaken, or with whom it is not agreed.
type shaking struct {
	net.Conn
	shakes func() error
	from   string // where it turns out to come from
	shaken bool
}

func (s *shaking) Handshake() error {
	s.shaken = true
	return s.shakes()
}

func (s *shaking) RemoteAddr() net.Addr {
	if s.shaken {
		return from{address: s.from}.RemoteAddr()
	}
	return &net.UnixAddr{Net: "proxy"}
}

// agreed is a handshake that ends well.
func agreed() error { return nil }

func (v visits) comesBehindAProxy() *Admission {
	v.t.Helper()
	entry, text := v.Admit(&shaking{})
	if entry == nil {
		v.t.Fatalf("turned away: %s", text)
	}
	return entry
}

func TestAClientOfAProxyCountsWhereItComesFrom(t *testing.T) {
	v := visit(t, DoorLimits{AnonymousPerAddress: 2, OnlinePerAddress: 1})
	arrives := func(entry *Admission, ip, want string) {
		t.Helper()
		if arrived, text := entry.arrive(from{address: ip}); !arrived || text != want {
			t.Errorf("%v: %q, want %q", arrived, text, want)
		}
	}
	const tooMany = "too many connections from your address that are not logged in"
	v.comes("192.0.2.1")
	one, two, three := v.comesBehindAProxy(), v.comesBehindAProxy(), v.comesBehindAProxy()
	arrives(one, "192.0.2.1", "")
	arrives(two, "192.0.2.1", tooMany)
	v.isTurnedAway("192.0.2.1")
	arrives(two, "192.0.2.2", "") // it was moved nowhere
	arrives(three, "192.0.2.2", "")
	for _, entry := range []*Admission{one, two} {
		if !entry.logIn() {
			t.Error("a login found no place")
		}
	}
	if three.logIn() {
		t.Error("a login found the place of another")
	}
	if online, anonymous := v.Connections(); online != 2 || anonymous != 2 {
		t.Errorf("%d are logged in, and %d not", online, anonymous)
	}
	for _, entry := range []*Admission{one, two, three} {
		entry.Close()
	}
	if v.connections != 1 || v.anonymous != 1 || len(v.addresses) != 1 {
		t.Errorf("%d connections, %d not logged in, %d addresses", v.connections, v.anonymous, len(v.addresses))
	}
}

func TestAnAddressIsKnownOnce(t *testing.T) {
	v := visit(t, DoorLimits{})
	entry := v.comes("192.0.2.1")
	if arrived, _ := entry.arrive(from{address: "192.0.2.2"}); arrived || entry.from().prefix != prefixOf(from{address: "192.0.2.1"}) {
		t.Errorf("it is from %v now", entry.from().prefix)
	}
	unknown := v.comesBehindAProxy()
	for _, conn := range []net.Conn{unaddressed{}, lost{}} {
		if arrived, text := unknown.arrive(conn); arrived || text != "" {
			t.Errorf("%T arrives: %s", conn, text)
		}
	}
	gone := v.comesBehindAProxy()
	gone.Close()
	if arrived, _ := gone.arrive(from{address: "192.0.2.2"}); arrived || len(v.addresses) != 1 {
		t.Error("what has ended arrives")
	}
	if arrived, text := (*Admission)(nil).arrive(from{address: "192.0.2.2"}); arrived || text != "" {
		t.Error("who is not counted arrives")
	}
}

func TestAPenaltyIsForWhoStandsBehindTheProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := visit(t, DoorLimits{Penalties: penalties()})
		for range 4 {
			entry := v.comesBehindAProxy()
			entry.punish(lateLogin) // nobody's
			_, _ = entry.arrive(from{address: "192.0.2.1"})
			entry.punish(lateLogin)
			entry.Close()
		}
		entry := v.comesBehindAProxy()
		if _, text := entry.arrive(from{address: "192.0.2.1"}); text != "too many bad logins from your address; try again in some minutes" {
			t.Errorf("%q", text)
		}
		v.isTurnedAway("192.0.2.1")
		v.comes("192.0.2.2")
	})
}

// misunderstood is the error of a handshake.
type misunderstood struct {
	conn net.Conn
	text string
}

func (misunderstood) Error() string                 { return "misunderstood" }
func (m misunderstood) Parting() (net.Conn, string) { return m.conn, m.text }

// Whoever speaks something else is told over what is left, and in its own language if the layer knows that.
func TestHowAHandshakeEnds(t *testing.T) {
	const text = "this port speaks WebSocket, which you do not"
	word := frames.Error{Code: frames.Unsupported, Text: text}.Append(nil)
	for _, c := range []struct {
		name  string
		why   func(net.Conn) error
		hears string
	}{
		{"badly", func(net.Conn) error { return errors.New("no") }, ""},
		{"with who is told", func(conn net.Conn) error { return misunderstood{conn, text} }, string(word)},
		{"with who was told", func(conn net.Conn) error { return misunderstood{conn, ""} }, ""},
		{"with who cannot be told", func(net.Conn) error { return misunderstood{nil, text} }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				client, server := net.Pipe()
				conn := &shaking{Conn: server, shakes: func() error { return c.why(server) }}
				r := newReader(s.shared, conn, newSocket(conn), s.probe().PID)
				heard := make(chan string, 1)
				go func() { // ends when the connection is closed
					b := make([]byte, 1000)
					n, _ := client.Read(b)
					heard <- string(b[:n])
				}()
				if refusal, err := r.shakeHands(); refusal != nil || err == nil {
					t.Errorf("%v, %v", refusal, err)
				}
				_ = server.Close()
				if text := <-heard; text != c.hears {
					t.Errorf("it is told %q", text)
				}
			})
		})
	}
}

func TestWhoMayNotComeInIsToldWhenHandsAreShaken(t *testing.T) {
	s := newStage(t)
	s.shared.Door.limits.AnonymousPerAddress = 1
	v := visits{s.shared.Door, t}
	v.comes("192.0.2.1")
	_, server := net.Pipe()
	conn := &shaking{Conn: server, shakes: agreed, from: "192.0.2.1"}
	r := newReader(s.shared, conn, newSocket(conn), s.probe().PID)
	r.entry = v.comesBehindAProxy()
	if refusal, err := r.shakeHands(); refusal == nil || refusal.Code != frames.Limit || err != nil {
		t.Errorf("%v, %v", refusal, err)
	}
	if refusal, err := r.shakeHands(); refusal != nil || err != nil { // once
		t.Errorf("%v, %v", refusal, err)
	}
}

// around is a connection that is put around another.
type around struct {
	shaking
	below net.Conn
}

func (a *around) NetConn() net.Conn { return a.below }

// A client of a proxy counts for its address before it takes its time with other handshakes, and is turned away before.
func TestTheInnermostHandshakeIsTheFirst(t *testing.T) {
	for _, first := range []bool{true, false} {
		s := newStage(t)
		s.shared.Door.limits.AnonymousPerAddress = 1
		v := visits{s.shared.Door, t}
		if !first {
			v.comes("192.0.2.1")
		}
		_, server := net.Pipe()
		shaken := 0
		inner := &shaking{Conn: server, from: "192.0.2.1", shakes: func() error { shaken++; return nil }}
		outer := &around{shaking{Conn: inner, from: "192.0.2.1", shakes: func() error {
			shaken++
			v.isTurnedAway("192.0.2.1")
			return nil
		}}, inner}
		outer.shaken = true // it knows what the inner knows, and nothing more
		r := newReader(s.shared, outer, newSocket(outer), s.probe().PID)
		r.entry = v.comesBehindAProxy()
		refusal, err := r.shakeHands()
		if refusal != nil || (err == nil) != first || shaken != map[bool]int{true: 2, false: 1}[first] {
			t.Errorf("%d hands were shaken: %v, %v", shaken, refusal, err)
		}
	}
}

// What the inner handshake fails with the outer may explain.
func TestTheOutermostSaysWhyAHandshakeFails(t *testing.T) {
	s := newStage(t)
	_, server := net.Pipe()
	inner := &shaking{Conn: server, shakes: func() error { return errors.New("no") }}
	why := misunderstood{}
	outer := &around{shaking{Conn: inner, shakes: func() error { return why }}, inner}
	r := newReader(s.shared, outer, newSocket(outer), s.probe().PID)
	if _, err := r.shakeHands(); !errors.Is(err, why) {
		t.Error(err)
	}
}

// An ACME server that asks below another layer has seen all it wants to see.
func TestAChallengeIsAnsweredBelowOtherLayers(t *testing.T) {
	s := newStage(t)
	conn := &challenged{shaking: shaking{shakes: agreed}}
	outer := &around{shaking{Conn: conn, shakes: func() error { t.Error("it goes on"); return nil }}, conn}
	r := newReader(s.shared, outer, newSocket(outer), s.probe().PID)
	if _, err := r.shakeHands(); !errors.Is(err, errChallenge) {
		t.Error(err)
	}
}

// challenged is a connection of TLS by which an ACME server asks.
type challenged struct{ shaking }

func (*challenged) SetReadDeadline(time.Time) error  { return nil }
func (*challenged) SetWriteDeadline(time.Time) error { return nil }

func (*challenged) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: "acme-tls/1"}
}

// framed is a connection of which a header is all that is special.
type framed struct {
	shaking
	below net.Conn
}

func (f *framed) Bare() net.Conn { return f.below }

// Behind the header there is a socket as any other, which needs no buffers; and who is turned away before it is told why.
func TestBehindAHeaderThereIsAPlainConnection(t *testing.T) {
	client, server := tcp(t)
	conn := &framed{shaking{Conn: server}, server}
	if newDescriptor(server) == nil {
		t.Skip("on this system there are no others")
	}
	if !newSocket(conn).direct() {
		t.Error("it is waited for with buffers")
	}
	if newSocket(&shaking{Conn: server}).direct() {
		t.Error("what is put around another connection is gone past")
	}
	v := visit(t, DoorLimits{})
	var among sync.WaitGroup
	v.TurnAway(conn, "of the test", &among)
	if _, err := frames.Read(client, frames.MaxPayload); err != nil {
		t.Error(err)
	}
	_ = client.Close()
	among.Wait()
}

// To say anything before hands are shaken would cost what the handshake does.
func TestWhoWouldHaveToShakeHandsIsTurnedAwayWithoutAWord(t *testing.T) {
	v := visit(t, DoorLimits{})
	client, server := tcp(t)
	v.TurnAway(&shaking{Conn: server}, "of the test", nil)
	_ = client.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := client.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
