package e2e

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
)

// infoPrefix stands before every label of HKDF-Expand.
const infoPrefix = "blubbel session v1 "

// Keys are what a handshake gave, as one side sees them. Each direction has its own, so that nothing sent can be taken
// for something received.
type Keys struct {
	Send, Receive Direction
	Exporter      [32]byte // for what applications may want to bind to this session; never used here
	confirm       [32]byte
}

// Direction is the secrets of the records in one direction.
type Direction struct {
	Chain [32]byte // the first chain key
	IV    [12]byte // combined with a record's counter it is the record's nonce
}

// derive is the key schedule: HKDF-SHA256 (RFC 5869) over the shared secret, salted with the hash of all that was said.
func derive(shared []byte, transcript [32]byte, initiator bool) *Keys {
	prk, err := hkdf.Extract(sha256.New, shared, transcript[:])
	if err != nil {
		panic(err) // only in FIPS mode, with keys shorter than ours
	}
	defer clear(prk)
	var k Keys
	starting, accepting := &k.Send, &k.Receive
	if !initiator {
		starting, accepting = accepting, starting
	}
	expand(starting.Chain[:], prk, "initiator key")
	expand(starting.IV[:], prk, "initiator iv")
	expand(accepting.Chain[:], prk, "responder key")
	expand(accepting.IV[:], prk, "responder iv")
	expand(k.confirm[:], prk, "responder confirm")
	expand(k.Exporter[:], prk, "exporter")
	return &k
}

// expand fills out with HKDF-Expand of the secret for a label.
func expand(out, secret []byte, label string) {
	b, err := hkdf.Expand(sha256.New, secret, infoPrefix+label, len(out))
	if err != nil {
		panic(err) // only for outputs over 8160 bytes
	}
	copy(out, b)
	clear(b)
}

// confirmation is the responder's proof that it has the keys: an HMAC over all that was said, its signature included.
func (k *Keys) confirmation(start, accept []byte) []byte {
	transcript := hash(start, accept)
	mac := hmac.New(sha256.New, k.confirm[:])
	_, _ = mac.Write(transcript[:])
	return mac.Sum(nil)
}

// hash is the SHA-256 of the parts, one behind the other.
func hash(parts ...[]byte) (sum [32]byte) {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}
