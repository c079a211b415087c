package client

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// FuzzFromRelay plays bytes at a logged-in client, as a relay could. Whatever they are, it ends when they do.
func FuzzFromRelay(f *testing.F) {
	self, peer := testIdentity(f, "alice"), testIdentity(f, "bob").Key()
	for _, frame := range []frames.Frame{
		frames.StartSession{Peer: peer, Sealed: make([]byte, 700)},
		frames.AcceptSession{Peer: peer, Sealed: make([]byte, 700)},
		frames.Message{Peer: peer, Body: make([]byte, 400)},
		frames.Error{Code: frames.Busy, Request: frames.TypeMessage, Number: 2},
		frames.Error{Code: frames.ShuttingDown},
		frames.Presence{Peer: peer},
		frames.EndSession{Peer: peer, Reason: "tired"},
		frames.Ping{1},
		frames.Pong{1},
		frames.Restarting{ReconnectIn: 1, KeepTryingFor: 2},
		frames.Welcome{},
	} {
		f.Add(frame.Append(nil), true)
		f.Add(frame.Append(nil), false)
	}
	f.Fuzz(func(t *testing.T, sent []byte, greeted bool) {
		relay, conn := net.Pipe()
		c := New(conn, Options{Unproven: !greeted})
		login := make(chan error)
		go func() { login <- c.Login(t.Context(), self) }()
		if greeted {
			if _, err := frames.Read(relay, frames.MaxLoginPayload); err != nil {
				t.Fatal(err)
			}
			_, _ = relay.Write(frames.Welcome{Elements: frames.Elements{Nonce: make([]byte, frames.NonceSize)}}.Append(nil))
		}
		if _, err := frames.Read(relay, frames.MaxLoginPayload); err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, relay) }() // ends with the pipe
		for _, b := range [][]byte{frames.LoginAccepted{}.Append(nil), sent} {
			_, _ = relay.Write(b) // fails if the client has had enough
		}
		_ = relay.Close()
		if err := <-login; err != nil && c.Err() == nil {
			t.Error(err)
		}
		<-c.Done()
		_ = c.Close()
	})
}

// FuzzFromPeer has a peer say anything at all in records that are genuine. A session must not panic, and must not hand out
// more than was said.
func FuzzFromPeer(f *testing.F) {
	c := newCouple(f)
	keys := [2]*e2e.Keys{}
	start, err := c.alice.ends.Start(c.now)
	if err != nil {
		f.Fatal(err)
	}
	request, err := c.bob.ends.Open(start.Body)
	if err != nil {
		f.Fatal(err)
	}
	body, bobs, err := request.Accept()
	if err != nil {
		f.Fatal(err)
	}
	if keys[0], err = start.Finish(body); err != nil {
		f.Fatal(err)
	}
	keys[1] = bobs
	f.Add([]byte{2, 0, 0, 0, 1, 2, 0, 0, 0, 2, 3, 0, 0, 0, 3})
	f.Add([]byte{4, 0, 0, 0, 1, 5, 0, 0, 0, 2, 6, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0})
	f.Fuzz(func(t *testing.T, said []byte) {
		bob := newConversation(c.now, c.bob.ends, keys[1], false)
		sealer, _ := c.alice.ends.Records(keys[0])
		texts := 0
		for ; len(said) >= 5; said = said[5:] {
			content := e2e.Content{
				Kind: e2e.Kind(said[0]), Next: uint64(said[1]), Received: uint64(said[2]), Taken: uint64(said[3]),
				Number: uint64(said[4]), Body: said[:min(len(said), 64)],
			}
			record, err := sealer.Seal(nil, content.Append(nil))
			if err != nil {
				t.Fatal(err)
			}
			if content.Kind == e2e.Text {
				texts++
			}
			if bob.hear(c.now, record) != nil {
				return
			}
			if record, r, err := bob.produce(c.now); record != nil && err == nil {
				r.frame = binary.BigEndian.Uint64(append(make([]byte, 7), said[0]))
				bob.out.sent(r)
			}
		}
		for m, ok := bob.first(); ok; m, ok = bob.first() {
			if m.Kind == e2e.Text {
				texts--
			}
			bob.take()
		}
		if texts < 0 {
			t.Error("Bob took more texts than were said")
		}
	})
}
