package supervisor_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"fmt"

	"github.com/mdeiml/blubbel-server/frames"
)

// reference is what two users may expect of a relay, one frame after the other, written from docs/protocol.md. Of the relay's code it
// has the names of types and Errors only.
type reference struct {
	users [2]expected
	open  bool // the two have a session

	taken, delivered, unavailable int
	refused                       map[frames.Code]uint64 // of those taken
}

// expected is one of them, and what is to come to it.
type expected struct {
	key    []byte // nil unless logged in
	hello  bool
	asks   bool   // its request is pending at the other
	rest   []byte // what was said of a frame that is not whole
	said   uint64
	closed bool
	hears  [][]byte           // frames that are no Errors, in order; of a Welcome and a Restarting, which are never the same, the type
	errors map[uint64]refusal // by the number of the frame refused
}

type refusal struct {
	code frames.Code
	of   frames.Type
}

func newReference() *reference {
	return &reference{
		users:   [2]expected{{errors: map[uint64]refusal{}}, {errors: map[uint64]refusal{}}},
		refused: map[frames.Code]uint64{},
	}
}

// wire is a frame of these parts.
func wire(t frames.Type, parts ...[]byte) []byte {
	payload := bytes.Join(parts, nil)
	return append(binary.BigEndian.AppendUint32([]byte{byte(t)}, uint32(len(payload))), payload...)
}

// says takes note of what one of the two sends.
func (r *reference) says(who int, b []byte) {
	u := &r.users[who]
	u.rest = append(u.rest, b...)
	for len(u.rest) >= 5 && !u.closed {
		t, n, limit := frames.Type(u.rest[0]), int64(binary.BigEndian.Uint32(u.rest[1:])), int64(2048)
		if u.key != nil {
			limit = 65536
		}
		switch {
		case n > limit:
			u.said++
			u.errors[u.said] = refusal{frames.TooLarge, t}
			r.leaves(who)
		case int64(len(u.rest)-5) < n:
			return
		default:
			payload := u.rest[5 : 5+n]
			u.rest = u.rest[5+n:]
			u.said++
			r.frame(who, t, payload)
		}
	}
}

// leaves takes note that a connection ends.
func (r *reference) leaves(who int) {
	u, other := &r.users[who], &r.users[1-who]
	if r.open && other.hello {
		other.hears = append(other.hears, wire(frames.TypeEnd, u.key, []byte("disconnected")))
	}
	u.key, u.closed = nil, true
	r.open, u.asks, other.asks = false, false, false
}

// stops takes note that the relay tells all that are left that it stops.
func (r *reference) stops() {
	for i := range r.users {
		if u := &r.users[i]; !u.closed {
			u.errors[0] = refusal{frames.ShuttingDown, 0}
			u.closed = true
			if u.hello {
				u.hears = append(u.hears, wire(frames.TypeRestarting))
			}
		}
	}
}

// frame takes note of a whole frame.
func (r *reference) frame(who int, t frames.Type, payload []byte) {
	u, carries := &r.users[who], t >= 2 && t <= 4
	code := frames.Unsupported
	switch {
	case t == frames.TypeHello && u.key == nil:
		code = u.greets(payload)
	case u.key == nil && t == frames.TypeLogin:
		code = r.login(who, payload)
	case u.key == nil && (carries || t == frames.TypeEnd && u.hello):
		code = frames.NotLoggedIn
	case u.key != nil && (t == frames.TypeLogin || t == frames.TypeHello || t == frames.TypeProve && u.hello):
		code = frames.AlreadyLoggedIn
	case u.hello && !carries:
		code = r.extension(who, t, payload)
	case u.key != nil && carries:
		r.taken++
		if code = r.carry(who, t, payload); code != 0 {
			r.refused[code]++
		}
	}
	if code != 0 {
		u.errors[u.said] = refusal{code, t}
	}
	if code == frames.ProofInvalid {
		r.leaves(who)
	}
}

// greets takes note of a Hello, whose known elements are to be of their length, and given once.
func (u *expected) greets(payload []byte) frames.Code {
	lengths, seen := map[byte]int{1: 4, 2: 32, 6: -1}, map[byte]bool{}
	for len(payload) > 0 {
		if len(payload) < 3 || len(payload)-3 < int(binary.BigEndian.Uint16(payload[1:])) {
			return frames.Malformed
		}
		id, n := payload[0], int(binary.BigEndian.Uint16(payload[1:]))
		payload = payload[3+n:]
		want, known := lengths[id]
		if known && (seen[id] || want >= 0 && n != want) {
			return frames.Malformed
		}
		seen[id] = true
	}
	if u.hello {
		return frames.Malformed
	}
	u.hello = true
	u.hears = append(u.hears, wire(frames.TypeHello))
	return 0
}

// extension takes note of a frame of those that Hello brings. Nobody here can prove anything.
func (r *reference) extension(who int, t frames.Type, payload []byte) frames.Code {
	u, other := &r.users[who], &r.users[1-who]
	switch t { //nolint:exhaustive // the others are unsupported
	case frames.TypePing, frames.TypePong:
		if len(payload) != 8 {
			return frames.Malformed
		}
		if t == frames.TypePing {
			u.hears = append(u.hears, wire(frames.TypePong, payload))
		}
		return 0
	case frames.TypeProve:
		if peer, _ := split(payload); peer == nil {
			return frames.Malformed
		}
		return frames.ProofInvalid
	case frames.TypeEnd:
		peer, reason := split(payload)
		switch {
		case peer == nil || len(reason) > 256:
			return frames.Malformed
		case bytes.Equal(peer, u.key):
			return frames.BadKey
		case !bytes.Equal(peer, other.key):
			return 0
		case r.open && other.hello:
			other.hears = append(other.hears, wire(t, u.key, reason))
		}
		r.open, u.asks, other.asks = false, false, false
		return 0
	}
	return frames.Unsupported
}

func (r *reference) login(who int, key []byte) frames.Code {
	u := &r.users[who]
	switch {
	case !mayLogIn(key):
		return frames.BadKey
	case bytes.Equal(key, r.users[1-who].key):
		return frames.KeyInUse
	}
	u.key = bytes.Clone(key)
	u.hears = append(u.hears, wire(frames.TypeLogin))
	return 0
}

// mayLogIn has crypto/x509 decide.
func mayLogIn(der []byte) bool {
	public, _ := x509.ParsePKIXPublicKey(der)
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return false
	}
	again, err := x509.MarshalPKIXPublicKey(key)
	size := key.N.BitLen()
	return err == nil && bytes.Equal(again, der) && key.E == 65537 && size >= 2048 && size <= 4096 && key.N.Bit(0) == 1
}

// split returns the key that a payload begins with, nil if there is none, and what is behind it.
func split(payload []byte) (key, rest []byte) {
	var der asn1.RawValue
	rest, err := asn1.Unmarshal(payload, &der)
	if err != nil || payload[0] != 0x30 || len(der.FullBytes) > 1024 {
		return nil, nil
	}
	return der.FullBytes, rest
}

// carry takes note of what one says to the other, or to somebody who is not there.
func (r *reference) carry(who int, t frames.Type, payload []byte) frames.Code {
	peer, body := split(payload)
	if peer == nil || t != frames.TypeMessage && len(body) > 4096 {
		return frames.Malformed
	}
	u, other := &r.users[who], &r.users[1-who]
	there := bytes.Equal(peer, other.key)
	switch {
	case bytes.Equal(peer, u.key):
		return frames.BadKey
	case t == frames.TypeStart && !there:
		r.unavailable++
		return frames.Unavailable
	case t == frames.TypeStart:
		u.asks = true
	case t == frames.TypeAccept && !(there && other.asks):
		return frames.NoRequest
	case t == frames.TypeAccept:
		r.open, u.asks, other.asks = true, false, false
	case !(there && r.open):
		return frames.NoSession
	}
	r.delivered++
	other.hears = append(other.hears, wire(t, u.key, body))
	return 0
}

// compare says what is wrong with what a user has heard. If it was cut short some may be missing: of what is not an Error, the end.
func (u *expected) compare(heard [][]byte, cutShort bool) error {
	next, refused := 0, map[uint64]bool{}
	for _, f := range heard {
		if frames.Type(f[0]) != frames.TypeError {
			if next == len(u.hears) || !bytes.Equal(f, u.hears[next]) && !alike(f, u.hears[next]) {
				return fmt.Errorf("heard a frame of type %d and %d bytes, as number %d of %d that were to come", f[0], len(f), next+1, len(u.hears))
			}
			next++
			continue
		}
		if len(f) < 5+11 || len(f) > 5+11+120 {
			return fmt.Errorf("heard an Error of %d bytes", len(f))
		}
		number := binary.BigEndian.Uint64(f[8:])
		got := refusal{frames.Code(binary.BigEndian.Uint16(f[5:])), frames.Type(f[7])}
		if want, ok := u.errors[number]; !ok || got != want || refused[number] {
			return fmt.Errorf("number %d of %d was refused as %v, want %v; heard before: %v", number, u.said, got, want, refused[number])
		}
		refused[number] = true
	}
	if !cutShort && (next < len(u.hears) || len(refused) < len(u.errors)) {
		return fmt.Errorf("heard %d frames of %d, and %d Errors of %d", next, len(u.hears), len(refused), len(u.errors))
	}
	return nil
}

// alike reports whether both are one of the frames that are never the same.
func alike(f, want []byte) bool {
	return f[0] == want[0] && (f[0] == byte(frames.TypeHello) || f[0] == byte(frames.TypeRestarting))
}
