package supervisor_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// What a whole relay does in hours, days and years, in virtual time.

// house is a relay, and its door.
type house struct {
	t     *testing.T
	relay *supervisor.Relay
	door  entrance
}

// inVirtualTime plays a scene with a relay, which is stopped behind it.
func inVirtualTime(t *testing.T, config supervisor.Config, scene func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		relay, err := supervisor.New(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := relay.Spawn(supervisor.NewSystem(supervisor.Defaults().Log).Root, "relay"); err != nil {
			t.Fatal(err)
		}
		h := &house{t: t, relay: relay, door: make(entrance)}
		served := make(chan error)
		go func() { served <- relay.Serve(context.Background(), h.door) }() // ends with the relay
		defer h.closes(served)
		scene(h)
	})
}

// closes stops the relay, of which nothing may be left.
func (h *house) closes(served <-chan error) {
	if err := h.relay.Stop(h.t.Context()); err != nil {
		h.t.Error(err)
	}
	if err := <-served; err != nil {
		h.t.Error(err)
	}
	if a := h.relay.Account(); a.InFlight.Frames > 0 || a.DeadLetters > 0 {
		h.t.Error(a)
	}
	<-time.After(2 * time.Second) // Proto.Actor counts dead letters for a second
}

// after lets virtual time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// guest is a person with a key, of which it may have the private half.
type guest struct {
	*person
	t        *testing.T
	private  *rsa.PrivateKey
	key      frames.Key
	greeting frames.Greeting
	said     uint64
	taken    int // frames that were looked at
}

// privates are some keys, made once.
var privates = sync.OnceValue(func() (all [4]*rsa.PrivateKey) {
	for i := range all {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		all[i] = key
	}
	return all
})

// Who has them.
const (
	alice = iota
	bob
	carol
	dave
)

// comes is somebody at the door, from no address.
func (h *house) comes(who int) *guest { return h.receives(who, func(c line) net.Conn { return c }) }

// comesFrom is somebody from an address.
func (h *house) comesFrom(who int, ip string) *guest {
	return h.receives(who, func(c line) net.Conn { return located{c, ip} })
}

func (h *house) receives(who int, as func(line) net.Conn) *guest {
	hears, told := net.Pipe()
	says, said := net.Pipe()
	h.door <- as(line{Conn: said, out: told})
	g := &guest{
		person: &person{out: says, in: hears, ended: make(chan struct{})}, t: h.t, private: privates()[who],
	}
	go g.listens() // ends with the connection
	synctest.Wait()
	g.key, _ = x509.MarshalPKIXPublicKey(&g.private.PublicKey)
	return g
}

// located is a line from an address.
type located struct {
	line
	ip string
}

func (l located) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(l.ip), Port: 1} }

// tells says frames.
func (g *guest) tells(list ...frames.Frame) {
	var b []byte
	for _, f := range list {
		b = f.Append(b)
	}
	g.said += uint64(len(list))
	g.says(b, nil)
	synctest.Wait()
}

// news is what the guest heard since the last time.
func (g *guest) news() (all []frames.Frame) {
	g.t.Helper()
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, b := range g.heard[g.taken:] {
		f, err := frames.DefaultKeys().Decode(frames.FromRelay, frames.Raw{Type: frames.Type(b[0]), Payload: b[frames.HeaderSize:]})
		if err != nil {
			g.t.Fatal(err)
		}
		all = append(all, f)
	}
	g.taken = len(g.heard)
	return all
}

// hears expects that the guest heard just that since the last time. Of Errors the text does not matter.
func (g *guest) hears(want ...frames.Frame) {
	g.t.Helper()
	got := g.news()
	for i, f := range got {
		if e, ok := f.(frames.Error); ok {
			e.Text = ""
			got[i] = e
		}
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		g.t.Fatalf("heard %v, want %v", got, want)
	}
}

// isRefused expects that the last frame said was answered by that Error alone.
func (g *guest) isRefused(t frames.Type, code frames.Code) {
	g.t.Helper()
	g.hears(frames.Error{Code: code, Request: t, Number: g.said})
}

// hasEnded expects that the connection is closed.
func (g *guest) hasEnded() {
	g.t.Helper()
	after(time.Second)
	select {
	case <-g.ended:
	default:
		g.t.Fatal("not closed")
	}
}

// goes closes the connection.
func (g *guest) goes() {
	_ = g.in.Close()
	_ = g.out.Close()
	synctest.Wait()
}

// greets says Hello.
func (g *guest) greets(features uint32) *guest {
	g.t.Helper()
	nonce := make([]byte, frames.NonceSize)
	_, _ = rand.Read(nonce)
	hello := frames.Hello{Elements: frames.Elements{Features: features, Nonce: nonce}}
	g.tells(hello)
	answer := g.news()
	if len(answer) != 1 || answer[0].Type() != frames.TypeHello {
		g.t.Fatalf("heard %v", answer)
	}
	g.greeting = frames.NewGreeting(hello.Append(nil)[frames.HeaderSize:], answer[0].Append(nil)[frames.HeaderSize:], frames.Binding{})
	return g
}

func (g *guest) proof() frames.Prove {
	g.t.Helper()
	p, err := g.greeting.Prove(g.private)
	if err != nil {
		g.t.Fatal(err)
	}
	return p
}

// proves logs in with a proof.
func (g *guest) proves(features uint32) *guest {
	g.t.Helper()
	g.greets(features)
	g.tells(g.proof())
	return g.isIn()
}

// logsIn logs in without one.
func (g *guest) logsIn() *guest {
	g.t.Helper()
	g.tells(frames.Login{Key: g.key})
	return g.isIn()
}

// isIn expects that the first news is that of being logged in.
func (g *guest) isIn() *guest {
	g.t.Helper()
	synctest.Wait()
	g.mu.Lock()
	in := len(g.heard) > g.taken && g.heard[g.taken][0] == byte(frames.TypeLogin)
	g.mu.Unlock()
	if !in {
		g.t.Fatalf("not logged in: %v", g.news())
	}
	g.taken++
	return g
}

// meets opens a session with another.
func (g *guest) meets(other *guest) {
	g.t.Helper()
	g.tells(frames.StartSession{Peer: other.key, Sealed: []byte("a")})
	other.hears(frames.StartSession{Peer: g.key, Sealed: []byte("a")})
	other.tells(frames.AcceptSession{Peer: g.key, Sealed: []byte("b")})
	if got := g.news(); len(got) == 0 || !reflect.DeepEqual(got[0], frames.AcceptSession{Peer: other.key, Sealed: []byte("b")}) {
		g.t.Fatalf("heard %v", got)
	}
}
