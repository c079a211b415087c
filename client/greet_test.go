package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// edited is a Welcome whose payload was changed after it was signed.
type edited struct {
	frames.Welcome
	edit func(payload []byte) []byte
}

func (e edited) Append(b []byte) []byte {
	payload := e.edit(e.Welcome.Append(nil)[frames.HeaderSize:])
	return append(frames.AppendHeader(b, frames.TypeHello, len(payload)), payload...)
}

// TestTheRelayIsCheckedBeforeAnythingIsSaidToIt dials relays of every kind, and looks at what was said to them.
func TestTheRelayIsCheckedBeforeAnythingIsSaidToIt(t *testing.T) {
	_, other, _ := ed25519.GenerateKey(nil)
	whole := func(w frames.Welcome) frames.Frame { return w }
	edit := func(e func([]byte) []byte) func(frames.Welcome) frames.Frame {
		return func(w frames.Welcome) frames.Frame { return edited{w, e} }
	}
	for name, c := range map[string]struct {
		hello          func(w frames.Welcome) frames.Frame
		pinned, loose  string // what the error says; empty for none
		pinnedIsForged bool
	}{
		"the relay": {hello: whole},
		"another relay, which signs": {
			hello: func(w frames.Welcome) frames.Frame {
				w.RelayID = other.Public().(ed25519.PublicKey)
				return resigned{w, other}
			},
			pinned: "this is not the relay of that address: it says that it is " + frames.RelayID(other.Public().(ed25519.PublicKey)).String(),
		},
		"a signature that is wrong": {
			hello:  edit(func(p []byte) []byte { p[len(p)-1] ^= 1; return p }),
			pinned: "cannot prove it on this connection", loose: "cannot prove on this connection", pinnedIsForged: true,
		},
		"a Welcome that was changed": {
			hello:  edit(func(p []byte) []byte { p[6] ^= 2; return p }), // the features
			pinned: "cannot prove it on this connection", loose: "cannot prove on this connection", pinnedIsForged: true,
		},
		"something behind the signature": {
			hello:  edit(func(p []byte) []byte { return append(p, 99, 0, 1, 0) }),
			pinned: "cannot prove it on this connection", loose: "cannot prove on this connection", pinnedIsForged: true,
		},
		"no signature": {
			hello:  func(w frames.Welcome) frames.Frame { w.Signature = nil; return w },
			pinned: "cannot prove it on this connection", pinnedIsForged: true,
		},
		"no id, but a signature": {
			hello:  func(w frames.Welcome) frames.Frame { w.RelayID = nil; return w },
			pinned: "it does not say who it is", loose: "cannot prove on this connection", pinnedIsForged: true,
		},
		"neither id nor signature": {
			hello:  func(w frames.Welcome) frames.Frame { w.RelayID, w.Signature = nil, nil; return w },
			pinned: "it does not say who it is", pinnedIsForged: true,
		},
		"no nonce": {
			hello: func(w frames.Welcome) frames.Frame {
				w.Nonce, w.RelayID, w.Signature = nil, nil, nil
				return w
			},
			pinned: "it does not say who it is", loose: "has no nonce", pinnedIsForged: true,
		},
		"an older relay": {
			hello:  func(frames.Welcome) frames.Frame { return frames.Error{Code: frames.Unsupported} },
			pinned: "this is an older relay", loose: "Options.Unproven", pinnedIsForged: true,
		},
		"a relay that refuses": {
			hello:  func(frames.Welcome) frames.Frame { return frames.Error{Code: frames.Malformed} },
			pinned: "the relay refused Hello: MALFORMED", loose: "the relay refused Hello: MALFORMED",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pinned := range []bool{true, false} {
				says := c.loose
				if pinned {
					says = c.pinned
				}
				said, err := dialAndLogin(t, c.hello, pinned)
				if says == "" && (err != nil || !slices.Equal(said, []frames.Type{frames.TypeHello, frames.TypeProve})) {
					t.Errorf("pinned %v: %v, said %v", pinned, err, said)
				}
				if says != "" && (err == nil || !strings.Contains(err.Error(), says) || len(said) != 1) {
					t.Errorf("pinned %v: %v, said %v", pinned, err, said)
				}
				wrong, _ := errors.AsType[*WrongRelay](err)
				if pinned && c.pinnedIsForged && (wrong == nil || !wrong.Forged) {
					t.Errorf("it is %#v", err)
				}
			}
		})
	}
}

// resigned is a Welcome that somebody else has signed, in place of the relay.
type resigned struct {
	frames.Welcome
	by ed25519.PrivateKey
}

// dialAndLogin returns what was said to a relay that answers a Hello so.
func dialAndLogin(t *testing.T, hello func(frames.Welcome) frames.Frame, pinned bool) (said []frames.Type, err error) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		r.hello = hello
		end, conn := r.connect("alice", testIdentity(t, "alice").Key())
		address := Address{}
		if pinned {
			address = Address{Pinned: true, ID: r.id()}
		}
		c := newClient(conn, address, Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = c.Login(ctx, testIdentity(t, "alice"))
		synctest.Wait()
		_ = c.Close()
		synctest.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		said = end.said
	})
	return said, err
}

func TestAnUnprovenLoginSaysNoHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		end, conn := r.connect("alice", testIdentity(t, "alice").Key())
		c := New(conn, Options{Unproven: true})
		if err := c.Login(t.Context(), testIdentity(t, "alice")); err != nil {
			t.Fatal(err)
		}
		_, err := c.Ping(t.Context())
		if !errors.Is(err, ErrNoHello) || c.Relay() != (Relay{}) {
			t.Errorf("%v, %v", err, c.Relay())
		}
		_ = c.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		if !slices.Equal(end.said, []frames.Type{frames.TypeLogin}) {
			t.Errorf("it says %v", end.said)
		}
	})
}

func TestWhoTheRelayIsIsKnownAfterDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		c := r.lasting(t, "alice", 0)
		got := c.Relay()
		if got.ID != r.id() || !got.Signed || got.Software != "test" || got.PingInterval != testInterval || !got.Presence {
			t.Errorf("%+v", got)
		}
		_ = c.Close()
	})
}

func TestAPinNeedsAHello(t *testing.T) {
	_, err := Dial(t.Context(), Address{HostPort: "127.0.0.1:1", Pinned: true}.String(), Options{Unproven: true})
	if !errors.Is(err, ErrNoHello) {
		t.Error(err)
	}
}

// TestALoginIsNotAcceptedBeforeItWasAskedFor has a relay say so before it was checked: nothing may be said to it then.
func TestALoginIsNotAcceptedBeforeItWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		relay, conn := net.Pipe()
		c := newClient(conn, Address{Pinned: true}, Options{})
		go func() { _ = c.Login(t.Context(), testIdentity(t, "alice")) }()
		if _, err := frames.Read(relay, frames.MaxLoginPayload); err != nil {
			t.Fatal(err)
		}
		for _, f := range []frames.Frame{frames.LoginAccepted{}, frames.Ping{1}} {
			_, _ = relay.Write(f.Append(nil))
		}
		synctest.Wait()
		if _, err := c.StartSession(t.Context(), testIdentity(t, "bob").Key()); !errors.Is(err, ErrNotLoggedIn) {
			t.Error(err)
		}
		synctest.Wait()
		c.mu.Lock()
		if c.link.number != 1 || len(c.link.outbox) > 0 {
			t.Errorf("%d frames were said, %v", c.link.number, c.link.outbox)
		}
		c.mu.Unlock()
		_ = relay.Close()
		_ = c.Close()
	})
}

func TestTheHelloSaysWhatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startTestRelay()
		var hellos []frames.Hello
		for _, o := range []Options{{}, {NoPresence: true}, {}} {
			end, conn := r.connect("alice", testIdentity(t, "alice").Key())
			c := New(conn, o)
			if err := c.Login(t.Context(), testIdentity(t, "alice")); err != nil {
				t.Fatal(err)
			}
			if c.Relay().Presence == o.NoPresence {
				t.Errorf("presence is told: %v", c.Relay().Presence)
			}
			_ = c.Close()
			f, err := frames.Keys{}.Decode(frames.FromClient, frames.Raw{Type: frames.TypeHello, Payload: end.hello})
			if err != nil {
				t.Fatal(err)
			}
			hellos = append(hellos, f.(frames.Hello))
		}
		if hellos[0].Features != 1 || hellos[1].Features != 0 || hellos[0].Software != "blubbel" {
			t.Errorf("%+v", hellos)
		}
		if len(hellos[0].Nonce) != frames.NonceSize || string(hellos[0].Nonce) == string(hellos[2].Nonce) {
			t.Error("the nonce is not fresh")
		}
	})
}
