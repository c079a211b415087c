package frames_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"runtime"
	"testing"
	"unicode/utf8"

	"github.com/mdeiml/blubbel-server/frames"
)

// Each target compares the codec with something that knows nothing of it: crypto/x509, encoding/asn1, or a few lines written
// from docs/protocol.md. All vectors are seeds of all targets they make sense for; what only a fuzzer would think of stands in
// testdata/fuzz.

// payloads are those of the vectors of one type.
func payloads(of frames.Type) (all [][]byte) {
	for _, e := range examples() {
		if wire := e.wire(); wire[0] == byte(of) {
			all = append(all, wire[frames.HeaderSize:])
		}
	}
	return all
}

// refusedAs returns the code of a refusal; any other error is a fault.
func refusedAs(t *testing.T, err error) frames.Code {
	t.Helper()
	refusal, ok := errors.AsType[*frames.Refusal](err)
	if err != nil && (!ok || refusal.Text == "") {
		t.Fatalf("not a refusal with a text: %v", err)
	}
	if ok {
		return refusal.Code
	}
	return 0
}

// pieces is a stream that comes in pieces. A cut is the size of one, less 1; behind the last cut comes the rest.
type pieces struct{ stream, cuts []byte }

func (p *pieces) next() []byte {
	n := len(p.stream)
	if len(p.cuts) > 0 {
		n = min(n, int(p.cuts[0])+1)
		p.cuts = p.cuts[1:]
	}
	piece := p.stream[:n]
	p.stream = p.stream[n:]
	return piece
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	if len(p.stream) == 0 {
		return 0, io.EOF
	}
	full := p.stream
	n := copy(b, p.next())
	p.stream = full[n:]
	return n, nil
}

// inStream is what docs/protocol.md makes of a stream: its whole frames, then what is left, which may be the begin of a frame, or
// one that is too large.
func inStream(stream []byte, limit int) (all []frames.Raw, rest []byte, tooLarge bool) {
	for len(stream) >= 5 {
		n := int64(binary.BigEndian.Uint32(stream[1:5]))
		if n > int64(limit) {
			return all, stream, true
		}
		if int64(len(stream)-5) < n {
			break
		}
		all = append(all, frames.Raw{Type: frames.Type(stream[0]), Payload: stream[5 : 5+n]})
		stream = stream[5+n:]
	}
	return all, stream, false
}

func sameFrames(a, b []frames.Raw) bool {
	for i := range min(len(a), len(b)) {
		if a[i].Type != b[i].Type || !bytes.Equal(a[i].Payload, b[i].Payload) {
			return false
		}
	}
	return len(a) == len(b)
}

// FuzzStream has a stream come in any pieces. Cut, called after each, and Read find the same frames in it, end for the same
// reason, and take little memory.
func FuzzStream(f *testing.F) {
	var all []byte
	for _, e := range examples() {
		f.Add(e.wire(), []byte{4, 0}, frames.MaxPayload)
		all = append(all, e.wire()...)
	}
	f.Add(all, bytes.Repeat([]byte{0, 99}, 50), frames.MaxPayload)
	f.Fuzz(func(t *testing.T, stream, cuts []byte, limit int) {
		limit &= 0x1ffff
		want, rest, tooLarge := inStream(stream, limit)

		var got []frames.Raw
		var have []byte
		var err error
		for p := (pieces{stream, cuts}); len(p.stream) > 0; {
			have = append(have, p.next()...)
			for err = nil; err == nil; {
				var raw frames.Raw
				before := len(have)
				if raw, have, err = frames.Cut(have, limit); err == nil {
					got = append(got, raw)
				} else if len(have) != before {
					t.Fatal("bytes vanished with an error")
				}
			}
			if !errors.Is(err, frames.ErrShort) {
				have = append(have, p.stream...)
				break
			}
		}
		if !sameFrames(got, want) || !bytes.Equal(have, rest) {
			t.Errorf("Cut found %d frames and left %d bytes, want %d and %d", len(got), len(have), len(want), len(rest))
		}
		if len(stream) > 0 && tooLarge == errors.Is(err, frames.ErrShort) {
			t.Errorf("Cut ended with %v", err)
		}

		got, err = readAll(&pieces{stream, cuts}, limit)
		if !sameFrames(got, want) {
			t.Errorf("Read found %d frames, want %d", len(got), len(want))
		}
		switch {
		case tooLarge && refusedAs(t, err) != frames.TooLarge,
			!tooLarge && len(rest) == 0 && !errors.Is(err, io.EOF),
			!tooLarge && len(rest) > 0 && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("Read ended with %v, and %d bytes of a frame", err, len(rest))
		}
		takesLittle(t, stream, limit)
	})
}

func readAll(r io.Reader, limit int) (all []frames.Raw, err error) {
	for {
		raw, err := frames.Read(r, limit)
		if err != nil {
			return all, err
		}
		all = append(all, raw)
	}
}

// takesLittle expects that at most twice the input is allocated, and a little: by Read one payload more (in a block of
// memory that is up to an eighth larger), which may be declared and not come.
func takesLittle(t *testing.T, stream []byte, limit int) {
	t.Helper()
	little := 2*len(stream) + 4<<10
	if n := allocated(little, func() {
		for rest, err := stream, error(nil); err == nil; {
			_, rest, err = frames.Cut(rest, limit)
		}
	}); n > little {
		t.Errorf("Cut allocated %d bytes for %d", n, len(stream))
	}
	little += limit + limit/8
	if n := allocated(little, func() {
		r := bytes.NewReader(stream)
		for err := error(nil); err == nil; {
			_, err = frames.Read(r, limit)
		}
	}); n > little {
		t.Errorf("Read allocated %d bytes for %d", n, len(stream))
	}
}

// allocated returns how many bytes f allocates. Others in the process allocate as well: what is more than enough is measured again.
func allocated(enough int, f func()) int {
	least := int(^uint(0) >> 1)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if least = min(least, int(after.TotalAlloc-before.TotalAlloc)); least <= enough {
			break
		}
	}
	return least
}

// framedKey is what docs/protocol.md calls a key in front of a payload, by encoding/asn1.
func framedKey(p []byte) (key, rest []byte, ok bool) {
	var element asn1.RawValue
	rest, err := asn1.Unmarshal(p, &element)
	ok = err == nil && p[0] == 0x30 && len(element.FullBytes) <= 1024
	return element.FullBytes, rest, ok
}

// FuzzSplitKey splits a key off a payload where encoding/asn1 does.
func FuzzSplitKey(f *testing.F) {
	for _, e := range examples() {
		f.Add(e.wire()[min(frames.HeaderSize, len(e.wire())):], false)
	}
	f.Add(bytes.Repeat([]byte{0x80}, 200), true)
	f.Fuzz(func(t *testing.T, p []byte, seed bool) {
		want, behind, ok := framedKey(p)
		if seed && len(p) >= 128 && p[0] >= 0x80 {
			want, behind, ok = p[:128], p[128:], true
		}
		key, rest, err := frames.Keys{SeedRaw: seed}.Split(p)
		switch {
		case !ok && refusedAs(t, err) != frames.Malformed:
			t.Errorf("a key of %d bytes, where there is none: %v", len(key), err)
		case ok && (err != nil || !bytes.Equal(key, want) || !bytes.Equal(rest, behind)):
			t.Errorf("%v and %d bytes, want %d and %d: %v", key, len(rest), len(want), len(behind), err)
		}
	})
}

// FuzzCheckKey holds the walk over the bytes against crypto/x509: what may log in is exactly what x509 reads, what is the same when
// x509 writes it again, and what is odd and of an allowed size.
func FuzzCheckKey(f *testing.F) {
	for _, p := range payloads(frames.TypeLogin) {
		f.Add(p)
	}
	f.Add(spki(f, modulus(2047), exponent65537))
	f.Fuzz(func(t *testing.T, der []byte) {
		err := frames.DefaultKeys().Check(der)
		sane := false
		if public, err := x509.ParsePKIXPublicKey(der); err == nil {
			if key, ok := public.(*rsa.PublicKey); ok {
				again, err := x509.MarshalPKIXPublicKey(key)
				size := key.N.BitLen()
				sane = err == nil && bytes.Equal(again, der) && key.E == 65537 && size >= 2048 && size <= 4096 && key.N.Bit(0) == 1
			}
		}
		if code := refusedAs(t, err); sane != (code == 0) || !sane && code != frames.BadKey {
			t.Errorf("%v; x509 would take it: %v", err, sane)
		}
	})
}

// elements are those of a Hello or Welcome, by id, as docs/protocol.md has them; not ok if they are malformed.
func elements(p []byte, relay bool) (found map[byte][]byte, ok bool) {
	sizes := map[byte]int{1: 4, 2: 32, 6: -1}
	if relay {
		sizes = map[byte]int{1: 4, 2: 32, 3: 32, 4: 4, 5: 4, 6: -1, 7: 64}
	}
	found = map[byte][]byte{}
	for len(p) > 0 {
		if len(p) < 3 || len(p) < 3+int(p[1])<<8+int(p[2]) {
			return nil, false
		}
		id, value := p[0], p[3:3+int(p[1])<<8+int(p[2])]
		p = p[3+len(value):]
		size, known := sizes[id]
		if _, twice := found[id]; known && (twice || size >= 0 && size != len(value)) {
			return nil, false
		}
		if known {
			found[id] = value
		}
	}
	return found, true
}

// FuzzHello reads the elements of a Hello or a Welcome. What is understood is written again in order, without what is unknown and what
// says nothing.
func FuzzHello(f *testing.F) {
	for _, p := range payloads(frames.TypeHello) {
		f.Add(p, false)
		f.Add(p, true)
	}
	f.Fuzz(func(t *testing.T, p []byte, relay bool) {
		from := frames.FromClient
		if relay {
			from = frames.FromRelay
		}
		found, ok := elements(p, relay)
		frame, err := frames.DefaultKeys().Decode(from, frames.Raw{Type: frames.TypeHello, Payload: p})
		if code := refusedAs(t, err); ok != (code == 0) || !ok && code != frames.Malformed {
			t.Fatalf("%v; it is well formed: %v", err, ok)
		}
		if !ok {
			return
		}
		var want []byte
		for id := byte(1); id <= 7; id++ {
			value := found[id]
			number := id == 1 || id == 4 || id == 5
			if len(value) > 0 && !(number && binary.BigEndian.Uint32(value) == 0) {
				want = append(append(want, id, byte(len(value)>>8), byte(len(value))), value...)
			}
		}
		again := frame.Append(nil)
		if !bytes.Equal(again, raw(frames.TypeHello, want)) {
			t.Errorf("comes back as %x, want %x", again[frames.HeaderSize:], want)
		}
	})
}

// FuzzProve takes a Prove apart where encoding/asn1 does, and puts it together again. In one conversation one proof is valid, and nothing
// else is, whatever the key.
func FuzzProve(f *testing.F) {
	about := greeted(exported())
	valid := payload(about.proof())
	for _, p := range payloads(frames.TypeProve) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if _, err := frames.DefaultKeys().Decode(frames.FromRelay, frames.Raw{Type: frames.TypeProve, Payload: p}); refusedAs(t, err) != frames.Unsupported {
			t.Errorf("from the relay: %v", err)
		}
		key, signature, ok := framedKey(p)
		frame, err := frames.DefaultKeys().Decode(frames.FromClient, frames.Raw{Type: frames.TypeProve, Payload: p})
		if !ok {
			if refusedAs(t, err) != frames.Malformed {
				t.Errorf("it has no key, and is read as %T: %v", frame, err)
			}
			return
		}
		if want := (frames.Prove{Key: key, Signature: signature}); err != nil || !reflect.DeepEqual(frame, want) {
			t.Fatalf("%v, want %v: %v", frame, want, err)
		}
		if !bytes.Equal(frame.Append(nil), raw(frames.TypeProve, p)) {
			t.Error("appending it gives other bytes")
		}
		if proven := about.hashed().Proven(frame.(frames.Prove)); proven != bytes.Equal(p, valid) {
			t.Errorf("it is proven: %v", proven)
		}
	})
}

// FuzzGreeting changes what was said before a proof: the relay's is valid for what it signed, the user's for what the user did, and
// neither for anything else.
func FuzzGreeting(f *testing.F) {
	var all []greeting
	for _, channel := range channels() {
		all = append(all, greeted(channel))
	}
	proofs := []frames.Prove{all[0].proof(), all[1].proof()}
	for _, e := range examples() {
		if g := e.about; g != nil {
			f.Add(g.hello, g.welcome, g.channel.Exported, g.channel.Value[:])
		}
	}
	f.Fuzz(func(t *testing.T, hello, welcome []byte, overTLS bool, value []byte) {
		var channel frames.Binding
		channel.Exported = overTLS
		copy(channel.Value[:], value)
		signed := false
		for i, g := range all {
			same := bytes.Equal(hello, g.hello) && bytes.Equal(welcome, g.welcome) && channel == g.channel
			if proven := frames.NewGreeting(hello, welcome, channel).Proven(proofs[i]); proven != same {
				t.Errorf("the user's proof is valid: %v", proven)
			}
			signed = signed || same
		}
		if by := frames.SignedBy(relayID(), hello, welcome, channel); by != signed {
			t.Errorf("the relay's proof is valid: %v", by)
		}
	})
}

// FuzzError reads an Error, which is the same bytes when it is written again; and writes one with any text, of which whole characters
// are left.
func FuzzError(f *testing.F) {
	for _, p := range payloads(frames.TypeError) {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if _, err := frames.DefaultKeys().Decode(frames.FromClient, frames.Raw{Type: frames.TypeError, Payload: p}); refusedAs(t, err) != frames.Unsupported {
			t.Errorf("from a client: %v", err)
		}
		ok := len(p) >= 11 && len(p) <= 11+120
		frame, err := frames.DefaultKeys().Decode(frames.FromRelay, frames.Raw{Type: frames.TypeError, Payload: p})
		if code := refusedAs(t, err); ok != (code == 0) || !ok && code != frames.Malformed {
			t.Fatalf("of %d bytes: %v", len(p), err)
		}
		if ok && !bytes.Equal(frame.Append(nil), raw(frames.TypeError, p)) {
			t.Error("appending it gives other bytes")
		}
		text := frames.Error{Text: string(p)}.Append(nil)[frames.HeaderSize+11:]
		if len(text) > 120 || !bytes.HasPrefix(p, text) || utf8.Valid(p) && (!utf8.Valid(text) || len(text) < min(len(p), 117)) {
			t.Errorf("the text %q is cut to %q", p, text)
		}
	})
}

// FuzzDecode reads frames of all types from both sides. What is understood is the same bytes when it is written again, but for
// Hello, which has a target of its own; what is not is refused by its type, or else as malformed.
func FuzzDecode(f *testing.F) {
	for _, e := range examples() {
		if wire := e.wire(); len(wire) > frames.HeaderSize {
			f.Add(wire[0], wire[frames.HeaderSize:], e.from == frames.FromRelay)
		}
	}
	types := map[frames.Side]string{frames.FromClient: "\x01\x02\x03\x04\x10\x11\x14\x15\x16", frames.FromRelay: "\x01\x02\x03\x04\x05\x10\x14\x15\x16\x18\x1d"}
	f.Fuzz(func(t *testing.T, of byte, p []byte, relay bool) {
		from := frames.FromClient
		if relay {
			from = frames.FromRelay
		}
		frame, err := frames.DefaultKeys().Decode(from, frames.Raw{Type: frames.Type(of), Payload: p})
		code, known := refusedAs(t, err), bytes.IndexByte([]byte(types[from]), of) >= 0
		switch {
		case known != (code != frames.Unsupported), code != 0 && code != frames.Unsupported && code != frames.Malformed:
			t.Errorf("%v; the type is known: %v", err, known)
		case code == 0 && frame.Type() != frames.Type(of):
			t.Errorf("is read as %v", frame.Type())
		case code == 0 && of != byte(frames.TypeHello) && !bytes.Equal(frame.Append(nil), raw(frames.Type(of), p)):
			t.Errorf("%T comes back as other bytes", frame)
		}
	})
}
