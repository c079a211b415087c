package frames_test

import (
	"bytes"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

var update = flag.Bool("update", false, "write testdata/vectors afresh from the table in this file")

// example is one vector: a frame as one side sends it, and what the other makes of it.
type example struct {
	name    string // also the file's name
	from    frames.Side
	frame   frames.Frame // what the bytes say; nil if they are refused
	bytes   []byte       // of the frame; nil if Append gives them
	refusal frames.Code  // why they are refused

	about  *greeting // what the proof in the frame is about; nil if that does not matter
	proves bool      // whether it is valid
}

// keyFile reads one of testdata/keys, as DER.
func keyFile(name string) []byte {
	text, err := os.ReadFile(filepath.Join("testdata", "keys", name+".pem"))
	if err != nil {
		panic(err)
	}
	block, _ := pem.Decode(text)
	return block.Bytes
}

func publicKey(name string) frames.Key { return keyFile(name) }

func raw(t frames.Type, parts ...[]byte) []byte {
	p := bytes.Join(parts, nil)
	return append(frames.AppendHeader(nil, t, len(p)), p...)
}

// times returns n bytes that tell their place.
func times(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func examples() []example {
	alice, bob, carol := publicKey("alice"), publicKey("bob"), publicKey("carol")
	client, relay := frames.FromClient, frames.FromRelay
	list := []example{
		{name: "login-2048", from: client, frame: frames.Login{Key: alice}},
		{name: "login-3072", from: client, frame: frames.Login{Key: bob}},
		{name: "login-4096", from: client, frame: frames.Login{Key: carol}},
		{name: "login-accepted", from: relay, frame: frames.LoginAccepted{}},
		{name: "start", from: client, frame: frames.StartSession{Peer: bob, Sealed: []byte("half a key, sealed")}},
		{name: "start-sealed-longest", from: client, frame: frames.StartSession{Peer: bob, Sealed: times(frames.MaxSealed)}},
		{name: "start-sealed-empty", from: client, frame: frames.StartSession{Peer: bob, Sealed: []byte{}}},
		{name: "session-requested", from: relay, frame: frames.StartSession{Peer: alice, Sealed: []byte("half a key, sealed")}},
		{name: "accept", from: client, frame: frames.AcceptSession{Peer: alice, Sealed: []byte("the other half")}},
		{name: "session-accepted", from: relay, frame: frames.AcceptSession{Peer: bob, Sealed: []byte("the other half")}},
		{name: "message", from: client, frame: frames.Message{Peer: bob, Body: []byte("ciphertext")}},
		{name: "message-empty", from: client, frame: frames.Message{Peer: bob, Body: []byte{}}},
		{name: "message-from-peer", from: relay, frame: frames.Message{Peer: alice, Body: []byte("ciphertext")}},
		{name: "message-to-a-key-nobody-has", from: client, frame: frames.Message{Peer: frames.Key("\x30\x00"), Body: []byte("x")}},
		{name: "message-to-the-longest-key", from: client, frame: frames.Message{
			Peer: append(frames.Key("\x30\x82\x03\xfc"), times(1020)...), Body: []byte("x"),
		}},
		{name: "hello", from: client, frame: frames.Hello{Elements: frames.Elements{
			Features: 1, Nonce: times(32), Software: "example 1.0",
		}}},
		{name: "hello-empty", from: client, frame: frames.Hello{}},
		{
			name: "hello-unknown-element", from: client, frame: frames.Hello{Elements: frames.Elements{Features: 1}},
			bytes: raw(frames.TypeHello, []byte{99, 0, 2, 7, 7, 1, 0, 4, 0, 0, 0, 1}),
		},
		{
			name: "hello-element-of-the-relay", from: client, frame: frames.Hello{},
			bytes: raw(frames.TypeHello, []byte{4, 0, 1, 0}),
		},
		{
			name: "hello-element-0", from: client, frame: frames.Hello{},
			bytes: raw(frames.TypeHello, []byte{0, 0, 0, 0, 0, 1, 0}),
		},
		{
			name: "hello-unknown-element-twice", from: client, frame: frames.Hello{},
			bytes: raw(frames.TypeHello, []byte{8, 0, 0, 8, 0, 1, 7}),
		},
		{
			name: "hello-elements-of-the-relay-twice", from: client, frame: frames.Hello{},
			bytes: raw(frames.TypeHello, []byte{7, 0, 0, 7, 0, 0, 3, 0, 1, 0, 3, 0, 1, 0}),
		},
		{
			name: "hello-elements-backwards", from: client,
			frame: frames.Hello{Elements: frames.Elements{Features: 1, Nonce: times(32), Software: "x"}},
			bytes: raw(frames.TypeHello, []byte{6, 0, 1, 'x', 2, 0, 32}, times(32), []byte{1, 0, 4, 0, 0, 0, 1}),
		},
		{
			name: "hello-software-empty", from: client, frame: frames.Hello{},
			bytes: raw(frames.TypeHello, []byte{6, 0, 0}),
		},
		{
			name: "hello-features-zero", from: client, frame: frames.Hello{},
			bytes: raw(frames.TypeHello, []byte{1, 0, 4, 0, 0, 0, 0}),
		},
		{name: "hello-features-unknown", from: client, frame: frames.Hello{Elements: frames.Elements{Features: 1<<32 - 1}}},
		{name: "welcome-empty", from: relay, frame: frames.Welcome{}},
		{name: "welcome-without-nonce", from: relay, frame: frames.Welcome{Elements: frames.Elements{
			RelayID: times(32), MaxPayload: 65536, PingInterval: 60, Software: "blubbel-server",
		}}},
		{
			name: "welcome-unknown-element", from: relay, frame: frames.Welcome{Elements: frames.Elements{MaxPayload: 65536}},
			bytes: raw(frames.TypeHello, []byte{99, 0, 2, 7, 7, 4, 0, 4, 0, 1, 0, 0}),
		},
		{name: "welcome", from: relay, frame: frames.Welcome{Elements: frames.Elements{
			Features: 1, Nonce: times(32), RelayID: times(32), MaxPayload: 65536, PingInterval: 60,
			Software: "blubbel-server", Signature: times(64),
		}}},
		{name: "prove", from: client, frame: frames.Prove{Key: alice, Signature: times(256)}},
		{name: "ping", from: client, frame: frames.Ping(times(8))},
		{name: "pong", from: client, frame: frames.Pong(times(8))},
		{name: "ping-from-relay", from: relay, frame: frames.Ping(times(8))},
		{name: "pong-from-relay", from: relay, frame: frames.Pong(times(8))},
		{name: "end", from: client, frame: frames.EndSession{Peer: bob, Reason: "good night"}},
		{name: "end-from-peer", from: relay, frame: frames.EndSession{Peer: alice, Reason: ""}},
		{name: "end-reason-longest", from: client, frame: frames.EndSession{Peer: bob, Reason: strings.Repeat("ab", 128)}},
		{name: "presence-online", from: relay, frame: frames.Presence{Online: true, Peer: bob}},
		{name: "presence-gone", from: relay, frame: frames.Presence{Peer: bob}},
		{name: "restarting", from: relay, frame: frames.Restarting{ReconnectIn: 1500, KeepTryingFor: 60000}},

		{name: "refused-ack", from: client, bytes: raw(frames.TypeAck), refusal: frames.Unsupported},
		{name: "refused-unknown-type", from: client, bytes: raw(0x7f, []byte("?")), refusal: frames.Unsupported},
		{name: "refused-error-from-client", from: client, bytes: raw(frames.TypeError, times(11)), refusal: frames.Unsupported},
		{name: "refused-no-key", from: client, bytes: raw(frames.TypeMessage, []byte("hello")), refusal: frames.Malformed},
		{name: "refused-key-cut-off", from: client, bytes: raw(frames.TypeMessage, bob[:200]), refusal: frames.Malformed},
		{name: "refused-key-length-not-minimal", from: client, bytes: raw(frames.TypeMessage, []byte("\x30\x81\x05hello")), refusal: frames.Malformed},
		{name: "refused-key-length-three-bytes", from: client, bytes: raw(frames.TypeMessage, []byte("\x30\x83\x00\x01\x00"), times(256)), refusal: frames.Malformed},
		{name: "refused-key-too-long", from: client, bytes: raw(frames.TypeMessage, []byte("\x30\x82\x03\xfd"), times(1021)), refusal: frames.Malformed},
		{name: "refused-sealed-too-long", from: client, bytes: raw(frames.TypeStart, bob, times(frames.MaxSealed+1)), refusal: frames.Malformed},
		{name: "refused-ping-of-seven-bytes", from: client, bytes: raw(frames.TypePing, times(7)), refusal: frames.Malformed},
		{name: "refused-element-twice", from: client, bytes: raw(frames.TypeHello, []byte{1, 0, 4, 0, 0, 0, 1, 1, 0, 4, 0, 0, 0, 1}), refusal: frames.Malformed},
		{name: "refused-element-cut-off", from: client, bytes: raw(frames.TypeHello, []byte{1, 0, 4, 0}), refusal: frames.Malformed},
		{name: "refused-element-behind-cut-off", from: client, bytes: raw(frames.TypeHello, []byte{1, 0, 4, 0, 0, 0, 1, 6, 0}), refusal: frames.Malformed},
		{name: "refused-element-length-65535", from: client, bytes: raw(frames.TypeHello, []byte{99, 255, 255, 7}), refusal: frames.Malformed},
		{name: "refused-features-of-five-bytes", from: client, bytes: raw(frames.TypeHello, []byte{1, 0, 5, 0, 0, 0, 0, 1}), refusal: frames.Malformed},
		{name: "refused-nonce-empty", from: client, bytes: raw(frames.TypeHello, []byte{2, 0, 0}), refusal: frames.Malformed},
		{name: "refused-nonce-of-31-bytes", from: client, bytes: raw(frames.TypeHello, []byte{2, 0, 31}, times(31)), refusal: frames.Malformed},
		{name: "refused-software-twice", from: client, bytes: raw(frames.TypeHello, []byte{6, 0, 0, 6, 0, 0}), refusal: frames.Malformed},
		{name: "refused-welcome-relay-id-of-33-bytes", from: relay, bytes: raw(frames.TypeHello, []byte{3, 0, 33}, times(33)), refusal: frames.Malformed},
		{name: "refused-welcome-signature-twice", from: relay, bytes: raw(frames.TypeHello, []byte{7, 0, 64}, times(64), []byte{7, 0, 64}, times(64)), refusal: frames.Malformed},
		{name: "refused-welcome-signature-of-63-bytes", from: relay, bytes: raw(frames.TypeHello, []byte{7, 0, 63}, times(63)), refusal: frames.Malformed},
		{name: "refused-reason-too-long", from: client, bytes: raw(frames.TypeEnd, bob, bytes.Repeat([]byte("a"), 257)), refusal: frames.Malformed},
		{name: "refused-end-without-key", from: client, bytes: raw(frames.TypeEnd), refusal: frames.Malformed},
		{name: "refused-prove-without-key", from: client, bytes: raw(frames.TypeProve, times(256)), refusal: frames.Malformed},
		{name: "refused-prove-from-relay", from: relay, bytes: raw(frames.TypeProve, alice, times(256)), refusal: frames.Unsupported},
		{name: "refused-presence-of-state-2", from: relay, bytes: raw(frames.TypePresence, []byte{2}, bob), refusal: frames.Malformed},
		{name: "refused-presence-from-client", from: client, bytes: raw(frames.TypePresence, []byte{1}, bob), refusal: frames.Unsupported},
		{name: "refused-restarting-of-seven-bytes", from: relay, bytes: raw(frames.TypeRestarting, times(7)), refusal: frames.Malformed},
		{name: "refused-restarting-from-client", from: client, bytes: raw(frames.TypeRestarting, times(8)), refusal: frames.Unsupported},
		{name: "refused-length-4-gib", from: client, bytes: []byte{4, 0xff, 0xff, 0xff, 0xff}, refusal: frames.TooLarge},
		{name: "refused-login-pkcs1", from: client, bytes: raw(frames.TypeLogin, alice[24:]), refusal: frames.BadKey},
		{name: "refused-login-pem", from: client, bytes: raw(frames.TypeLogin, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: alice})), refusal: frames.BadKey},
		{name: "refused-login-rest-behind-key", from: client, bytes: raw(frames.TypeLogin, alice, []byte{0}), refusal: frames.BadKey},
		{name: "refused-login-empty", from: client, bytes: raw(frames.TypeLogin), refusal: frames.BadKey},
	}
	for code := frames.Code(1); code <= frames.LastCode; code++ {
		e := frames.Error{Code: code, Request: frames.TypeMessage, Number: 258, Text: code.Text()}
		if code == frames.ShuttingDown {
			e.Request, e.Number = 0, 0
		}
		name := fmt.Sprintf("error-%02d-%s", code, strings.ToLower(strings.ReplaceAll(code.String(), "_", "-")))
		list = append(list, example{name: name, from: relay, frame: e})
	}
	return append(list, proofs()...)
}

func (e example) wire() []byte {
	if e.bytes != nil {
		return e.bytes
	}
	return e.frame.Append(nil)
}

// header lists what a decoder must find, as "name: value" lines.
func (e example) header() string {
	h := map[string]string{}
	put := func(name string, value any) { h[name] = fmt.Sprint(value) }
	blob := func(name string, b []byte) { h[name] = strings.TrimSpace("hex " + hex.EncodeToString(b)) }
	key := func(name string, k frames.Key) { h[name] = fmt.Sprintf("fingerprint %s of %d bytes", k.Hex(), len(k)) }
	elements := func(m frames.Elements) {
		put("features", m.Features)
		blob("nonce", m.Nonce)
		blob("relay id", m.RelayID)
		put("max payload", m.MaxPayload)
		put("ping interval", m.PingInterval)
		put("software", m.Software)
		blob("signature", m.Signature)
	}
	switch f := e.frame.(type) {
	case frames.Login:
		key("key", f.Key)
	case frames.LoginAccepted:
	case frames.StartSession:
		key("peer", f.Peer)
		blob("sealed", f.Sealed)
	case frames.AcceptSession:
		key("peer", f.Peer)
		blob("sealed", f.Sealed)
	case frames.Message:
		key("peer", f.Peer)
		blob("body", f.Body)
	case frames.Error:
		put("code", fmt.Sprintf("%d %s", f.Code, f.Code))
		put("request type", fmt.Sprintf("0x%02x", byte(f.Request)))
		put("request number", f.Number)
		put("text", f.Text)
	case frames.Prove:
		key("key", f.Key)
		blob("signature", f.Signature)
	case frames.Ping:
		blob("bytes", f[:])
	case frames.Pong:
		blob("bytes", f[:])
	case frames.EndSession:
		key("peer", f.Peer)
		put("reason", f.Reason)
	case frames.Presence:
		put("online", f.Online)
		key("peer", f.Peer)
	case frames.Restarting:
		put("reconnect in ms", f.ReconnectIn)
		put("keep trying for ms", f.KeepTryingFor)
	case frames.Hello:
		elements(f.Elements)
	case frames.Welcome:
		elements(f.Elements)
	}
	if e.about != nil {
		e.proofHeader(put, blob)
	}
	from := [...]string{"client", "relay"}[e.from]
	valid := "yes"
	if e.refusal != 0 {
		valid = fmt.Sprintf("no, %d %s", e.refusal, e.refusal)
	}
	lines := []string{}
	for name, value := range h {
		lines = append(lines, strings.TrimSpace(name+": "+value)+"\n")
	}
	sort.Strings(lines)
	return fmt.Sprintf("from: %s\ntype: 0x%02x\nvalid: %s\n", from, e.wire()[0], valid) + strings.Join(lines, "")
}

func (e example) file() string {
	var b strings.Builder
	b.WriteString(e.header() + "\n")
	for wire := e.wire(); len(wire) > 0; wire = wire[min(32, len(wire)):] {
		fmt.Fprintf(&b, "%x\n", wire[:min(32, len(wire))])
	}
	return b.String()
}

// decode is what a receiver does with a whole frame.
func decode(from frames.Side, wire []byte) (frames.Frame, error) {
	keys := frames.DefaultKeys()
	f, _, err := frames.Cut(wire, frames.MaxPayload+frames.MaxGrowth)
	if err != nil {
		return nil, err
	}
	frame, err := keys.Decode(from, f)
	if login, ok := frame.(frames.Login); ok && err == nil {
		err = keys.Check(login.Key)
	}
	return frame, err
}

func TestVectors(t *testing.T) {
	for _, e := range examples() {
		t.Run(e.name, func(t *testing.T) {
			path := filepath.Join("testdata", "vectors", e.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(e.file()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			header, body, _ := strings.Cut(string(text), "\n\n")
			wire, err := hex.DecodeString(strings.ReplaceAll(body, "\n", ""))
			if err != nil {
				t.Fatal(err)
			}
			frame, err := decode(e.from, wire)
			got := example{from: e.from, bytes: wire, about: e.about}
			if refusal, ok := errors.AsType[*frames.Refusal](err); ok {
				got.refusal = refusal.Code
			} else {
				got.frame = frame
				got.proves = proves(frame, wire[frames.HeaderSize:], e.about)
			}
			if got := got.header(); got != header+"\n" {
				t.Errorf("decoded:\n%s\nthe file says:\n%s", got, header)
			}
			if e.frame != nil && e.bytes == nil && !bytes.Equal(got.frame.Append(nil), wire) {
				t.Error("appending the decoded frame gives other bytes")
			}
		})
	}
}

func TestEveryVectorFileIsListed(t *testing.T) {
	listed := map[string]bool{"README.md": true}
	for _, e := range examples() {
		listed[e.name+".txt"] = true
	}
	files, err := os.ReadDir(filepath.Join("testdata", "vectors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !listed[f.Name()] {
			t.Errorf("%s is not in the table of this test", f.Name())
		}
	}
}

func TestEveryTypeAndCodeHasAVector(t *testing.T) {
	types := map[frames.Side]map[frames.Type]bool{frames.FromClient: {}, frames.FromRelay: {}}
	codes := map[frames.Code]bool{}
	for _, e := range examples() {
		if e.frame == nil {
			continue
		}
		types[e.from][e.frame.Type()] = true
		if f, ok := e.frame.(frames.Error); ok {
			codes[f.Code] = true
		}
	}
	keys := frames.DefaultKeys()
	for n := range 256 {
		for _, from := range []frames.Side{frames.FromClient, frames.FromRelay} {
			_, err := keys.Decode(from, frames.Raw{Type: frames.Type(n)})
			var refusal *frames.Refusal
			known := !errors.As(err, &refusal) || refusal.Code != frames.Unsupported
			if known && !types[from][frames.Type(n)] {
				t.Errorf("%v from side %d has no vector", frames.Type(n), from)
			}
		}
	}
	for code := frames.Code(1); code <= frames.LastCode; code++ {
		if !codes[code] || strings.HasPrefix(code.String(), "CODE_") || code.Text() == "" || len(code.Text()) > frames.MaxText {
			t.Errorf("code %d (%s) lacks a vector, a name or a text of at most %d bytes", code, code, frames.MaxText)
		}
	}
}
