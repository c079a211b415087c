package e2e

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// Ends are the two users of a session, as one of them sees it.
type Ends struct {
	self           *rsa.PrivateKey
	peer           *rsa.PublicKey
	peerKey        frames.Key
	selfID, peerID [32]byte // fingerprints
}

// NewEnds returns the ends of a session with peer. The error is ErrKey if one of the keys could not log in, ErrOwnKey if they
// are the same.
func NewEnds(self *rsa.PrivateKey, peer frames.Key) (*Ends, error) {
	selfKey, err := x509.MarshalPKIXPublicKey(&self.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	for _, k := range []frames.Key{selfKey, peer} {
		if err := frames.DefaultKeys().Check(k); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	public, err := x509.ParsePKIXPublicKey(peer)
	peerKey, ok := public.(*rsa.PublicKey)
	if err != nil || !ok {
		return nil, ErrKey
	}
	e := &Ends{self: self, peer: peerKey, peerKey: peer, peerID: peer.Fingerprint()}
	e.selfID = frames.Key(selfKey).Fingerprint()
	if e.selfID == e.peerID {
		return nil, ErrOwnKey
	}
	return e, nil
}

// Peer is the other user's key.
func (e *Ends) Peer() frames.Key { return e.peerKey }

// SmallerFingerprint reports whether our fingerprint is the smaller of the two, compared as bytes. Of requests that
// cross, that of the user with the smaller one counts (docs/protocol.md, Sessions).
func (e *Ends) SmallerFingerprint() bool { return string(e.selfID[:]) < string(e.peerID[:]) }

// What is signed names what it is for.
const (
	initiatorContext = "blubbel session v1 initiator"
	responderContext = "blubbel session v1 responder"
)

// Start is a request on its way: what we keep until it is answered.
type Start struct {
	Body     []byte // for the peer
	ends     *Ends
	exponent *exponent
}

// Start makes a request for a session. The time is for the peer to tell that the request is not an old one.
func (e *Ends) Start(now time.Time) (*Start, error) {
	s := &Start{ends: e, exponent: newExponent()}
	o := offer{share: s.exponent.share(), from: e.selfID, to: e.peerID, time: now}
	_, _ = rand.Read(o.nonce[:]) // never fails
	unsigned := o.append(nil)
	signature, err := e.sign(initiatorContext, hash(unsigned))
	if err != nil {
		return nil, err
	}
	s.Body = append(unsigned, signature...)
	return s, nil
}

// Forget forgets the secret of a request whose answer is not wanted any more.
func (s *Start) Forget() {
	if s.exponent != nil {
		s.exponent.erase()
		s.exponent = nil
	}
}

// Request is a peer's Start, opened and found to be theirs.
type Request struct {
	Time  time.Time // when it was made, by the peer's clock
	Hash  [32]byte  // the same for the same request only
	ends  *Ends
	body  []byte
	offer offer
}

// Open reads the body of the peer's Start, in this order: version, length, users, signature. The error is ErrMalformed, ErrVersion, ErrWrongUser or ErrSignature.
func (e *Ends) Open(body []byte) (*Request, error) {
	body = slices.Clone(body)
	r := &Request{ends: e, body: body, Hash: hash(body)}
	signature, err := r.offer.parse(body)
	if err != nil {
		return nil, err
	}
	if r.offer.from != e.peerID || r.offer.to != e.selfID {
		return nil, ErrWrongUser
	}
	r.Time = r.offer.time
	unsigned := body[:len(body)-len(signature)]
	if err := e.verify(initiatorContext, hash(unsigned), signature); err != nil {
		return nil, err
	}
	return r, nil
}

// Accept makes the answer to a request. The keys are good for nothing until the peer has proved, by a record that opens,
// that it was the one who asked, and now: the relay may have kept the request for another day. The error is ErrGroup.
func (r *Request) Accept() (body []byte, keys *Keys, err error) {
	x := newExponent()
	defer x.erase()
	shared, err := x.shared(r.offer.share)
	if err != nil {
		return nil, nil, err
	}
	defer clear(shared)
	a := answer{share: x.share(), from: r.ends.selfID, to: r.ends.peerID, start: r.Hash}
	_, _ = rand.Read(a.nonce[:]) // never fails
	body = a.append(nil)
	transcript := hash(r.body, body)
	signature, err := r.ends.sign(responderContext, transcript)
	if err != nil {
		return nil, nil, err
	}
	body = append(body, signature...)
	keys = derive(shared, transcript, false)
	return append(body, keys.confirmation(r.body, body)...), keys, nil
}

// Finish reads the body of the peer's answer to s, in this order: version, length, users, which Start it answers, signature,
// share, confirmation. It forgets the secret of s if the answer is good. The error is ErrMalformed, ErrVersion, ErrWrongUser,
// ErrWrongStart, ErrSignature, ErrGroup or ErrConfirmation; s is good for another answer then, and for none once it has had
// a good one.
func (s *Start) Finish(body []byte) (*Keys, error) {
	var a answer
	signature, mac, err := a.parse(body)
	switch {
	case err != nil:
		return nil, err
	case s.exponent == nil:
		return nil, ErrWrongStart
	case a.from != s.ends.peerID || a.to != s.ends.selfID:
		return nil, ErrWrongUser
	case a.start != hash(s.Body):
		return nil, ErrWrongStart
	}
	signed := body[:len(body)-len(mac)]
	transcript := hash(s.Body, signed[:len(signed)-len(signature)])
	if err := s.ends.verify(responderContext, transcript, signature); err != nil {
		return nil, err
	}
	shared, err := s.exponent.shared(a.share)
	if err != nil {
		return nil, err
	}
	defer clear(shared)
	keys := derive(shared, transcript, true)
	if !hmac.Equal(mac, keys.confirmation(s.Body, signed)) {
		return nil, ErrConfirmation
	}
	s.Forget()
	return keys, nil
}

// sign signs a transcript's hash for a context: RSASSA-PSS, SHA-256, salt of 32 bytes (RFC 8017, 8.1).
func (e *Ends) sign(context string, transcript [32]byte) ([]byte, error) {
	text := hash(signedText(context, transcript))
	return e.self.Sign(rand.Reader, text[:], pss)
}

func (e *Ends) verify(context string, transcript [32]byte, signature []byte) error {
	text := hash(signedText(context, transcript))
	if err := rsa.VerifyPSS(e.peer, crypto.SHA256, text[:], signature, pss); err != nil {
		return ErrSignature
	}
	return nil
}

var pss = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// signedText is what is signed, in the form of TLS 1.3 (RFC 8446, 4.4.3): no other protocol signs what begins so.
func signedText(context string, transcript [32]byte) []byte {
	return append([]byte(strings.Repeat(" ", 64)+context+"\x00"), transcript[:]...)
}
