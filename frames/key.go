package frames

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Key is a user: the DER SubjectPublicKeyInfo of an RSA key (or, where Keys.SeedRaw allows it, 128 raw bytes). As a peer
// it need not be a key at all, only be framed like one. Two keys are the same if their bytes are.
//
// Printing a Key shows its length only, so that it cannot end up in a log by mistake.
type Key []byte

// Fingerprint returns the SHA-256 of the key's bytes.
func (k Key) Fingerprint() [sha256.Size]byte { return sha256.Sum256(k) }

// Hex returns the fingerprint as people read it: lower-case hexadecimal.
func (k Key) Hex() string {
	f := k.Fingerprint()
	return hex.EncodeToString(f[:])
}

// Format implements fmt.Formatter for every verb: the length, never the bytes.
func (k Key) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "key of %d bytes", len(k)) }

// MarshalText keeps a key's bytes out of JSON logs, too.
func (k Key) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%v", k), nil }

// Keys says which keys may log in.
type Keys struct {
	MinBits, MaxBits int  // size of the modulus, in bits
	SeedRaw          bool // also take the raw 128-byte keys of the first server, as users and as peers
}

// DefaultKeys is what a relay takes unless told otherwise: RSA keys of 2048 to 4096 bits.
func DefaultKeys() Keys { return Keys{MinBits: 2048, MaxBits: 4096} }

// Split cuts a payload behind the key it begins with. The key is split off by its DER header alone and may be anything
// inside; both parts are slices of p. Where no key ends it returns a *Refusal with code Malformed.
func (k Keys) Split(p []byte) (key Key, rest []byte, err error) {
	if k.SeedRaw && len(p) >= SeedKeySize && p[0] >= 0x80 {
		return Key(p[:SeedKeySize:SeedKeySize]), p[SeedKeySize:], nil
	}
	_, rest, ok := element(p, tagSequence)
	if !ok {
		return nil, nil, refuse(Malformed, "the payload must begin with a key as DER SubjectPublicKeyInfo")
	}
	n := len(p) - len(rest)
	if n > MaxKey {
		return nil, nil, refuse(Malformed, "a key has at most 1024 bytes")
	}
	return Key(p[:n:n]), rest, nil
}

// Check reports whether p is exactly one key that may log in: canonical DER, an allowed size, an odd modulus and the
// exponent 65537. It looks at the bytes alone, so that a hostile key costs no arithmetic. The error is a *Refusal with
// code BadKey whose text says which form is expected.
func (k Keys) Check(p []byte) error {
	if k.SeedRaw && len(p) == SeedKeySize && p[0] >= 0x80 {
		return nil
	}
	if bytes.HasPrefix(p, []byte("-----BEGIN")) {
		return refuse(BadKey, "this is PEM; send the DER bytes it encodes (of a BEGIN PUBLIC KEY block)")
	}
	spki, rest, ok := element(p, tagSequence)
	if !ok || len(rest) > 0 {
		return refuse(BadKey, "the payload must be exactly one DER SubjectPublicKeyInfo")
	}
	if len(spki) > 0 && spki[0] == tagInteger {
		return refuse(BadKey, "this is PKCS#1; send the key as DER SubjectPublicKeyInfo")
	}
	modulus, ok := rsaModulus(spki)
	if !ok {
		return refuse(BadKey, "not a canonical DER SubjectPublicKeyInfo of an RSA key with exponent 65537")
	}
	if n := bitLen(modulus); n < k.MinBits || n > k.MaxBits {
		return refuse(BadKey, fmt.Sprintf("the RSA key must have %d to %d bits", k.MinBits, k.MaxBits))
	}
	if modulus[len(modulus)-1]&1 == 0 {
		return refuse(BadKey, "the RSA modulus is even")
	}
	return nil
}

// DER, as far as a key needs it (X.690; RFC 5280, 4.1; RFC 8017, A.1.1).
const (
	tagInteger   = 0x02
	tagBitString = 0x03
	tagSequence  = 0x30
)

// rsaEncryption is the AlgorithmIdentifier of every RSA key: OID 1.2.840.113549.1.1.1 with NULL parameters (RFC 3279, 2.3.1).
// exponent is the INTEGER 65537.
const (
	rsaEncryption = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"
	exponent      = "\x02\x03\x01\x00\x01"
)

// rsaModulus returns the modulus, big-endian and without leading zeroes, of the content of a SubjectPublicKeyInfo.
func rsaModulus(spki []byte) (modulus []byte, ok bool) {
	b, ok := bytes.CutPrefix(spki, []byte(rsaEncryption))
	if !ok {
		return nil, false
	}
	bitString, rest, ok := element(b, tagBitString)
	if !ok || len(rest) > 0 || len(bitString) == 0 || bitString[0] != 0 {
		return nil, false
	}
	public, rest, ok := element(bitString[1:], tagSequence)
	if !ok || len(rest) > 0 {
		return nil, false
	}
	modulus, rest, ok = element(public, tagInteger)
	if !ok || string(rest) != exponent || len(modulus) == 0 {
		return nil, false
	}
	if modulus[0] != 0 {
		return modulus, modulus[0] < 0x80 // negative otherwise
	}
	return modulus[1:], len(modulus) > 1 && modulus[1] >= 0x80 // zero, or not minimal, otherwise
}

func bitLen(b []byte) int { return len(b)*8 - bits.LeadingZeros8(b[0]) }

// element takes the DER element with this tag off the front of b. Its length must be minimal and have at most two bytes.
func element(b []byte, tag byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, head := int(b[1]), 2
	switch {
	case b[1] < 0x80:
	case b[1] == 0x81 && len(b) > 2 && b[2] >= 0x80:
		n, head = int(b[2]), 3
	case b[1] == 0x82 && len(b) > 3 && b[2] > 0:
		n, head = int(b[2])<<8|int(b[3]), 4
	default:
		return nil, nil, false
	}
	if len(b)-head < n {
		return nil, nil, false
	}
	return b[head : head+n], b[head+n:], true
}
