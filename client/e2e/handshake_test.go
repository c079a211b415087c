package e2e

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// testKeys are the users of testdata/keys. They are parsed once, since Go checks a private key thoroughly.
var testKeys = sync.OnceValues(func() (map[string]*rsa.PrivateKey, error) {
	keys := map[string]*rsa.PrivateKey{}
	for _, name := range []string{"alice", "bob", "carol", "dave", "erin", "frank"} {
		text, err := os.ReadFile(filepath.Join("..", "testdata", "keys", name+".pem"))
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%s.pem is no PEM", name)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		keys[name] = key.(*rsa.PrivateKey)
	}
	return keys, nil
})

// private returns the key of a user.
func private(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	return keys[name]
}

// public returns a user as the relay knows them.
func public(t testing.TB, name string) frames.Key {
	t.Helper()
	key, err := x509.MarshalPKIXPublicKey(&private(t, name).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// ends returns two users as each sees the other.
func ends(t testing.TB, one, other string) (*Ends, *Ends) {
	t.Helper()
	a, err := NewEnds(private(t, one), public(t, other))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewEnds(private(t, other), public(t, one))
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// noon is the time of every test: any will do, the package has no clock.
var noon = time.UnixMilli(1_700_000_000_123)

// start makes a request of a for b.
func start(t testing.TB, a *Ends) *Start {
	t.Helper()
	s, err := a.Start(noon)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// accept answers a request.
func accept(t testing.TB, b *Ends, body []byte) ([]byte, *Keys) {
	t.Helper()
	r, err := b.Open(body)
	if err != nil {
		t.Fatal(err)
	}
	answer, keys, err := r.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return answer, keys
}

// Where a body's fields begin.
const (
	atShare = 2
	atNonce = atShare + 384
	atFrom  = atNonce + 32
	atTo    = atFrom + 32
	atTime  = atTo + 32 // of a Start
	atHash  = atTo + 32 // of an Accept
)

// resigned puts a new signature behind what comes before the old one: what a peer can do who lies, and nobody else.
func resigned(t testing.TB, e *Ends, unsigned []byte) []byte {
	t.Helper()
	signature, err := e.sign(initiatorContext, hash(unsigned))
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.Clone(unsigned), signature...)
}

// forgedAnswer is an Accept that its sender signed whatever it says, confirmed with these keys.
func forgedAnswer(t testing.TB, e *Ends, start []byte, a answer, keys *Keys) []byte {
	t.Helper()
	body := a.append(nil)
	signature, err := e.sign(responderContext, hash(start, body))
	if err != nil {
		t.Fatal(err)
	}
	body = append(body, signature...)
	return append(body, keys.confirmation(start, body)...)
}

func TestBothEndsGetTheMirroredKeys(t *testing.T) {
	sizes := [][2]string{{"alice", "dave"}, {"bob", "erin"}, {"carol", "frank"}} // 2048, 3072, 4096
	for i, from := range sizes {
		for k, to := range sizes {
			a, b := ends(t, from[0], to[1])
			t.Run(fmt.Sprintf("%d to %d", 2048+1024*i, 2048+1024*k), func(t *testing.T) {
				s := start(t, a)
				secret := s.exponent
				keys := finishSealed(t, a, b, s)
				if *secret != (exponent{}) {
					t.Error("the secret was kept")
				}
				alice, alices := a.Records(keys[0])
				bobs, bob := b.Records(keys[1])
				opens(t, bob, seal(t, alice, "hello"), "hello")
				opens(t, alices, seal(t, bobs, "hello yourself"), "hello yourself")
			})
		}
	}
}

func TestAStartThatWasAnsweredTakesNoOtherAnswer(t *testing.T) {
	a, b := ends(t, "alice", "bob")
	s := start(t, a)
	finishSealed(t, a, b, s)
	request, err := b.Open(s.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := request.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(body); !errors.Is(err, ErrWrongStart) {
		t.Errorf("a second answer: %v", err)
	}
}

func TestARequestDoesNotChangeWithTheBufferItWasReadFrom(t *testing.T) {
	a, b := ends(t, "alice", "bob")
	s := start(t, a)
	buffer := append([]byte(nil), s.Body...)
	request, err := b.Open(buffer)
	if err != nil {
		t.Fatal(err)
	}
	clear(buffer)
	body, _, err := request.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Finish(body); err != nil {
		t.Error(err)
	}
}

// finishSealed carries a request and its answer as a relay does, sealed, and returns the keys of both ends.
func finishSealed(t *testing.T, a, b *Ends, s *Start) (keys [2]*Keys) {
	t.Helper()
	carry := func(from, to *Ends, body []byte) []byte {
		sealed, err := from.Seal(body)
		if err != nil || len(sealed) > frames.MaxSealed {
			t.Fatalf("%d bytes sealed, %v", len(sealed), err)
		}
		got, err := to.Unseal(sealed)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("it was not unsealed: %v", err)
		}
		return got
	}
	r, err := b.Open(carry(a, b, s.Body))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Time.Equal(noon) || r.Hash != hash(s.Body) {
		t.Errorf("the request is of %v, its hash %x", r.Time, r.Hash)
	}
	body, bobs, err := r.Accept()
	if err != nil {
		t.Fatal(err)
	}
	alices, err := s.Finish(carry(b, a, body))
	if err != nil {
		t.Fatal(err)
	}
	if alices.Send != bobs.Receive || alices.Receive != bobs.Send || alices.Exporter != bobs.Exporter || alices.confirm != bobs.confirm {
		t.Error("the keys are not mirrored")
	}
	if alices.Send.Chain == alices.Receive.Chain || alices.Send.IV == alices.Receive.IV || alices.Exporter == alices.confirm {
		t.Error("keys for two purposes are the same")
	}
	return [2]*Keys{alices, bobs}
}

func TestEveryHandshakeGivesOtherKeys(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	s, other := start(t, a), start(t, a)
	if bytes.Equal(s.Body[atShare:atNonce], other.Body[atShare:atNonce]) || bytes.Equal(s.Body[atNonce:atFrom], other.Body[atNonce:atFrom]) {
		t.Error("two requests have the same share or nonce")
	}
	one, oneKeys := accept(t, b, s.Body)
	two, twoKeys := accept(t, b, s.Body)
	if bytes.Equal(one[atShare:atNonce], two[atShare:atNonce]) || bytes.Equal(one[atNonce:atFrom], two[atNonce:atFrom]) {
		t.Error("two answers have the same share or nonce")
	}
	if oneKeys.Send == twoKeys.Send || oneKeys.Receive == twoKeys.Receive {
		t.Error("two answers gave the same keys")
	}
}

func TestEverythingSaidGoesIntoTheKeys(t *testing.T) {
	secret := pattern(384)
	keys := derive(secret, hash([]byte("one")), true)
	if other := derive(secret, hash([]byte("two")), true); other.Send == keys.Send || other.confirm == keys.confirm {
		t.Error("another transcript gives the same keys")
	}
	secret[383]++
	if other := derive(secret, hash([]byte("one")), true); other.Send == keys.Send || other.confirm == keys.confirm {
		t.Error("another secret gives the same keys")
	}
}

func TestWhoTheEndsAre(t *testing.T) {
	a, b := ends(t, "alice", "bob")
	if !bytes.Equal(a.Peer(), public(t, "bob")) || !bytes.Equal(b.Peer(), public(t, "alice")) {
		t.Error("the peer is not the peer")
	}
	alice, bob := public(t, "alice").Hex(), public(t, "bob").Hex()
	if a.SmallerFingerprint() != (alice < bob) || b.SmallerFingerprint() != (bob < alice) {
		t.Errorf("Alice has %s, Bob %s; each says of their own to be smaller: %v, %v", alice, bob, a.SmallerFingerprint(), b.SmallerFingerprint())
	}
}

func TestOnlyKeysThatCouldLogInMakeEnds(t *testing.T) {
	alice, bob := private(t, "alice"), public(t, "bob")
	self := func(n *big.Int, e int) *rsa.PrivateKey { return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: e}} }
	odd := func(bits uint) *big.Int { return new(big.Int).Add(power(bits-1), big.NewInt(1)) }
	spki := func(k *rsa.PrivateKey) frames.Key {
		b, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name string
		self *rsa.PrivateKey
		peer frames.Key
		want error
	}{
		{"two good keys", alice, bob, nil},
		{"the peer is oneself", alice, public(t, "alice"), ErrOwnKey},
		{"nobody", alice, nil, ErrKey},
		{"no key", alice, frames.Key("hello"), ErrKey},
		{"a key cut short", alice, bob[:len(bob)-1], ErrKey},
		{"something behind the key", alice, append(bytes.Clone(bob), 0), ErrKey},
		{"a peer of 2047 bits", alice, spki(self(odd(2047), 65537)), ErrKey},
		{"a peer of 4097 bits", alice, spki(self(odd(4097), 65537)), ErrKey},
		{"a peer with the exponent 3", alice, spki(self(odd(2048), 3)), ErrKey},
		{"a peer with an even modulus", alice, spki(self(power(2047), 65537)), ErrKey},
		{"oneself of 1024 bits", self(odd(1024), 65537), bob, ErrKey},
		{"oneself of 4097 bits", self(odd(4097), 65537), bob, ErrKey},
		{"oneself with the exponent 3", self(private(t, "carol").N, 3), bob, ErrKey},
	} {
		e, err := NewEnds(c.self, c.peer)
		if !errors.Is(err, c.want) || (err == nil) != (e != nil) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// flips is one bit in each field, and what is wrong with a body that has it flipped.
type flips []struct {
	field string
	at    int // from the end if negative
	want  error
}

func (all flips) try(t *testing.T, body []byte, read func([]byte) error) {
	t.Helper()
	for _, f := range all {
		if f.at < 0 {
			f.at += len(body)
		}
		for _, bit := range []byte{1, 0x80} {
			flipped := bytes.Clone(body)
			flipped[f.at] ^= bit
			if err := read(flipped); !errors.Is(err, f.want) {
				t.Errorf("%s, bit %#x: %v; it should say: %v", f.field, bit, err, f.want)
			}
		}
	}
	if err := read(body); err != nil {
		t.Errorf("the body as it was: %v", err)
	}
}

func TestEveryFieldOfAStartIsChecked(t *testing.T) {
	a, b := ends(t, "alice", "bob")
	flips{
		{"version", 0, ErrVersion},
		{"suite", 1, ErrVersion},
		{"share, first byte", atShare, ErrSignature},
		{"share, last byte", atNonce - 1, ErrSignature},
		{"nonce, first byte", atNonce, ErrSignature},
		{"nonce, last byte", atFrom - 1, ErrSignature},
		{"from, first byte", atFrom, ErrWrongUser},
		{"from, last byte", atTo - 1, ErrWrongUser},
		{"to, first byte", atTo, ErrWrongUser},
		{"to, last byte", atTime - 1, ErrWrongUser},
		{"time, first byte", atTime, ErrSignature},
		{"time, last byte", atTime + 7, ErrSignature},
		{"signature, first byte", atTime + 8, ErrSignature},
		{"signature, last byte", -1, ErrSignature},
	}.try(t, start(t, a).Body, func(body []byte) error {
		_, err := b.Open(body)
		return err
	})
}

func TestEveryFieldOfAnAcceptIsChecked(t *testing.T) {
	a, b := ends(t, "alice", "bob")
	s := start(t, a)
	body, _ := accept(t, b, s.Body)
	flips{
		{"version", 0, ErrVersion},
		{"suite", 1, ErrVersion},
		{"share, first byte", atShare, ErrSignature},
		{"share, last byte", atNonce - 1, ErrSignature},
		{"nonce, first byte", atNonce, ErrSignature},
		{"nonce, last byte", atFrom - 1, ErrSignature},
		{"from, first byte", atFrom, ErrWrongUser},
		{"from, last byte", atTo - 1, ErrWrongUser},
		{"to, first byte", atTo, ErrWrongUser},
		{"to, last byte", atHash - 1, ErrWrongUser},
		{"hash of the start, first byte", atHash, ErrWrongStart},
		{"hash of the start, last byte", atHash + 31, ErrWrongStart},
		{"signature, first byte", atHash + 32, ErrSignature},
		{"signature, last byte", -33, ErrSignature},
		{"confirmation, first byte", -32, ErrConfirmation},
		{"confirmation, last byte", -1, ErrConfirmation},
	}.try(t, body, func(body []byte) error {
		keys, err := s.Finish(body)
		if (err == nil) != (keys != nil) {
			t.Errorf("keys with the error %v", err)
		}
		return err // and the request is still good for the genuine answer, which comes last
	})
}

func TestAStartCutAtEveryLengthIsRefused(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	body := start(t, a).Body
	for n := range body {
		want := ErrSignature
		if n < atTime+8 {
			want = ErrMalformed
		}
		if r, err := b.Open(body[:n]); !errors.Is(err, want) || r != nil {
			t.Errorf("%d of %d bytes: %v", n, len(body), err)
		}
	}
	if _, err := b.Open(append(bytes.Clone(body), 0)); !errors.Is(err, ErrSignature) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestAnAcceptCutAtEveryLengthIsRefused(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	s := start(t, a)
	body, _ := accept(t, b, s.Body)
	for n := range body {
		want := ErrSignature
		if n < atHash+32+32 {
			want = ErrMalformed
		}
		if keys, err := s.Finish(body[:n]); !errors.Is(err, want) || keys != nil {
			t.Errorf("%d of %d bytes: %v", n, len(body), err)
		}
	}
	if _, err := s.Finish(append(bytes.Clone(body), 0)); !errors.Is(err, ErrSignature) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := s.Finish(body); err != nil {
		t.Errorf("the whole: %v", err)
	}
}

func TestAStartOfOrForSomebodyElseIsRefused(t *testing.T) {
	a, b := ends(t, "alice", "bob")
	mallory, bobOfMallory := ends(t, "dave", "bob")
	toErin, _ := ends(t, "alice", "erin")
	as := func(e *Ends, from, to [32]byte) []byte {
		o := offer{share: newExponent().share(), from: from, to: to, time: noon}
		return resigned(t, e, o.append(nil))
	}
	for _, c := range []struct {
		name string
		at   *Ends
		body []byte
		want error
	}{
		{"Alice's, the relay says Mallory's", bobOfMallory, start(t, a).Body, ErrWrongUser},
		{"Mallory's, the relay says Alice's", b, start(t, mallory).Body, ErrWrongUser},
		{"Mallory's in the name of Alice", b, as(mallory, a.selfID, b.selfID), ErrSignature},
		{"Alice's for Erin, which Erin sends on to Bob", b, start(t, toErin).Body, ErrWrongUser},
		{"Alice's, said to be from Bob to Alice", b, as(a, b.selfID, a.selfID), ErrWrongUser},
		{"Alice's own, sent back", a, start(t, a).Body, ErrWrongUser},
		{"Bob's own, sent back", b, start(t, b).Body, ErrWrongUser},
		{"Alice's for Bob", b, start(t, a).Body, nil},
	} {
		if _, err := c.at.Open(c.body); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAnAcceptOfSomethingElseIsRefused(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	s, earlier := start(t, a), start(t, a)
	genuine, keys := accept(t, b, s.Body)
	ofEarlier, _ := accept(t, b, earlier.Body)
	toErin, erin := ends(t, "alice", "erin")
	ofErin, _ := accept(t, erin, start(t, toErin).Body)
	ownAccept, _ := accept(t, a, start(t, b).Body)
	says := answer{share: newExponent().share(), from: b.selfID, to: a.selfID, start: hash(s.Body)}
	ofTheEarlierOne := says
	ofTheEarlierOne.start = hash(earlier.Body)
	for _, c := range []struct {
		name string
		body []byte
		want error
	}{
		{"of an earlier request", ofEarlier, ErrWrongStart},
		{"of an earlier request, signed over this one", forgedAnswer(t, b, s.Body, ofTheEarlierOne, keys), ErrWrongStart},
		{"of this request, signed over an earlier one", forgedAnswer(t, b, earlier.Body, says, keys), ErrSignature},
		{"Erin's", ofErin, ErrWrongUser},
		{"Erin's in the name of Bob", forgedAnswer(t, erin, s.Body, says, keys), ErrSignature},
		{"Alice's own, sent back", ownAccept, ErrWrongUser},
		{"Alice's own request, sent back", s.Body, ErrWrongUser},
		{"Bob's request", start(t, b).Body, ErrWrongStart}, // from Bob to Alice, and that long
		{"an answer that its sender has no keys for", forgedAnswer(t, b, s.Body, says, keys), ErrConfirmation},
		{"the genuine one", genuine, nil}, // the request outlived all of them
	} {
		if got, err := s.Finish(c.body); !errors.Is(err, c.want) || (got != nil) != (c.want == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if keys, err := s.Finish(genuine); err == nil || keys != nil {
		t.Error("an answer was good twice")
	}
}

// exchanged is an answer to s as somebody can make it who is between the two: a share of their own, and the keys that
// follow from it. Only the signature is missing.
func exchanged(t testing.TB, s *Start) (answer, *Keys) {
	t.Helper()
	x := newExponent()
	shared, err := x.shared(s.Body[atShare:atNonce])
	if err != nil {
		t.Fatal(err)
	}
	says := answer{share: x.share(), from: s.ends.peerID, to: s.ends.selfID, start: hash(s.Body)}
	return says, derive(shared, hash(s.Body, says.append([]byte{})), false)
}

// The confirmation proves that somebody has the keys, the signature alone who that is: without it the relay could put
// itself between the two.
func TestAnAnswerNeedsThePeersSignatureHoweverItIsConfirmed(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	mallory, _ := ends(t, "erin", "alice")
	s := start(t, a)
	says, keys := exchanged(t, s)
	unsigned := says.append([]byte{})
	transcript := hash(s.Body, unsigned)
	with := func(e *Ends, context string, transcript [32]byte) []byte {
		signature, err := e.sign(context, transcript)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	genuine := with(b, responderContext, transcript)
	flipped := bytes.Clone(genuine)
	flipped[100] ^= 1
	for _, c := range []struct {
		name      string
		signature []byte
		want      error
	}{
		{"none", nil, ErrSignature},
		{"zeros", make([]byte, 256), ErrSignature},
		{"Mallory's", with(mallory, responderContext, transcript), ErrSignature},
		{"Alice's own", with(a, responderContext, transcript), ErrSignature},
		{"Bob's, as an initiator", with(b, initiatorContext, transcript), ErrSignature},
		{"Bob's, without the request", with(b, responderContext, hash(unsigned)), ErrSignature},
		{"Bob's, a bit flipped", flipped, ErrSignature},
		{"Bob's, cut short", genuine[1:], ErrSignature},
		{"Bob's, and a zero", append(bytes.Clone(genuine), 0), ErrSignature},
		{"Bob's", genuine, nil},
	} {
		body := append(bytes.Clone(unsigned), c.signature...)
		body = append(body, keys.confirmation(s.Body, body)...)
		if got, err := s.Finish(body); !errors.Is(err, c.want) || (got != nil) != (c.want == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// One that knows the shared secret and signs rightly, but does not confirm the signature it sent, is refused as well.
func TestTheConfirmationCoversTheSignature(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	s := start(t, a)
	says, keys := exchanged(t, s)
	one, other := forgedAnswer(t, b, s.Body, says, keys), forgedAnswer(t, b, s.Body, says, keys)
	mixed := append(bytes.Clone(one[:len(one)-macSize]), other[len(other)-macSize:]...)
	if _, err := s.Finish(mixed); !errors.Is(err, ErrConfirmation) {
		t.Errorf("the confirmation of another signature: %v", err)
	}
	if _, err := s.Finish(one); err != nil {
		t.Errorf("its own: %v", err)
	}
}

// A signature for one purpose, or made in another way, is none for another: what Alice signs when she starts says nothing
// when Bob accepts.
func TestASignatureIsGoodForOnePurposeOnly(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	unsigned := (&offer{share: newExponent().share(), from: a.selfID, to: b.selfID, time: noon}).append(nil)
	text := hash(signedText(initiatorContext, hash(unsigned)))
	with := func(digest [32]byte, how crypto.SignerOpts) []byte {
		signature, err := private(t, "alice").Sign(rand.Reader, digest[:], how)
		if err != nil {
			t.Fatal(err)
		}
		return append(bytes.Clone(unsigned), signature...)
	}
	for _, c := range []struct {
		name string
		body []byte
		want error
	}{
		{"as it should be", with(text, pss), nil},
		{"as a responder", with(hash(signedText(responderContext, hash(unsigned))), pss), ErrSignature},
		{"without a context", with(hash(unsigned), pss), ErrSignature},
		{"without its spaces", with(hash(signedText(initiatorContext, hash(unsigned))[64:]), pss), ErrSignature},
		{"by PKCS #1 v1.5", with(text, crypto.SHA256), ErrSignature},
		{"with a salt of 20 bytes", with(text, &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}), ErrSignature},
		{"with a salt as long as can be", with(text, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto, Hash: crypto.SHA256}), ErrSignature},
	} {
		if _, err := b.Open(c.body); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTheContextsOfSignaturesDiffer(t *testing.T) {
	one, other := signedText(initiatorContext, [32]byte{}), signedText(responderContext, [32]byte{})
	if bytes.Equal(one, other) || len(one) != len(other) || len(one) != 64+28+1+32 {
		t.Errorf("%q and %q", one, other)
	}
}

func TestSharesOutsideTheGroupAreRefusedInAStart(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	for name, share := range outside {
		o := offer{share: share, from: a.selfID, to: b.selfID, time: noon}
		r, err := b.Open(resigned(t, a, o.append(nil)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if body, keys, err := r.Accept(); !errors.Is(err, ErrGroup) || body != nil || keys != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSharesOutsideTheGroupAreRefusedInAnAccept(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	s := start(t, a)
	genuine, keys := accept(t, b, s.Body)
	for name, share := range outside {
		says := answer{share: share, from: b.selfID, to: a.selfID, start: hash(s.Body)}
		if keys, err := s.Finish(forgedAnswer(t, b, s.Body, says, keys)); !errors.Is(err, ErrGroup) || keys != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Finish(genuine); err != nil {
		t.Errorf("the genuine answer after all that: %v", err)
	}
}

// A share has no length of its own on the wire: one that is too short or too long moves what stands behind it.
func TestSharesOfAnotherLengthAreRefused(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	s := start(t, a)
	_, keys := accept(t, b, s.Body)
	for _, n := range []int{383, 385} {
		o := offer{share: pattern(n), from: a.selfID, to: b.selfID, time: noon}
		if _, err := b.Open(resigned(t, a, o.append(nil))); !errors.Is(err, ErrWrongUser) {
			t.Errorf("a start with %d bytes: %v", n, err)
		}
		says := answer{share: pattern(n), from: b.selfID, to: a.selfID, start: hash(s.Body)}
		if _, err := s.Finish(forgedAnswer(t, b, s.Body, says, keys)); !errors.Is(err, ErrWrongUser) {
			t.Errorf("an answer with %d bytes: %v", n, err)
		}
	}
}

func TestOtherVersionsAndSuitesAreRefusedAsSuch(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	s := start(t, a)
	answer, _ := accept(t, b, s.Body)
	for _, head := range [][]byte{{0, 1}, {2, 1}, {255, 1}, {1, 0}, {1, 2}, {1, 255}, {2, 2}} {
		// a later version may have another length, or be signed
		for name, body := range map[string][]byte{
			"alone":      head,
			"a start":    append(bytes.Clone(head), s.Body[2:]...),
			"an accept":  append(bytes.Clone(head), answer[2:]...),
			"and signed": resigned(t, a, append(bytes.Clone(head), s.Body[2:atTime+8]...)),
		} {
			if _, err := b.Open(body); !errors.Is(err, ErrVersion) {
				t.Errorf("%x %s: %v", head, name, err)
			}
			if _, err := s.Finish(body); !errors.Is(err, ErrVersion) {
				t.Errorf("%x %s: %v", head, name, err)
			}
		}
	}
}

func TestSealingIsFreshEachTime(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	body := []byte("the same")
	one, err := a.Seal(body)
	two, err2 := a.Seal(body)
	if err != nil || err2 != nil || bytes.Equal(one[:256], two[:256]) || bytes.Equal(one[256:], two[256:]) {
		t.Errorf("%x\n%x\n%v, %v", one, two, err, err2)
	}
	for _, sealed := range [][]byte{one, two} {
		if got, err := b.Unseal(sealed); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestWhatWasSealedForSomebodyElseIsUnsealable(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	sealed, err := a.Seal([]byte("for Dave"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob", "carol"} { // its own maker among them, and keys of every size
		other, _ := ends(t, name, "erin")
		if body, err := other.Unseal(sealed); !errors.Is(err, ErrUnsealable) || body != nil {
			t.Errorf("%s reads %q, %v", name, body, err)
		}
	}
	if body, err := b.Unseal(sealed); err != nil || string(body) != "for Dave" {
		t.Errorf("%q, %v", body, err)
	}
}

// Keys wrapped for another protocol that uses the same RSA key, or of another length, are none of ours.
func TestWhatWasSealedInAnotherWayIsUnsealable(t *testing.T) {
	_, b := ends(t, "alice", "dave")
	with := func(key []byte, label string, nonce [12]byte, hash crypto.Hash) []byte {
		wrapped, err := rsa.EncryptOAEP(hash.New(), rand.Reader, &private(t, "dave").PublicKey, key, []byte(label))
		if err != nil {
			t.Fatal(err)
		}
		return gcm(key[:min(len(key), 32)]).Seal(wrapped, nonce[:], []byte("hello"), nil)
	}
	for _, c := range []struct {
		name   string
		sealed []byte
		want   error
	}{
		{"as it should be", with(pattern(32), sealLabel, [12]byte{}, crypto.SHA256), nil},
		{"without a label", with(pattern(32), "", [12]byte{}, crypto.SHA256), ErrUnsealable},
		{"with another label", with(pattern(32), sealLabel+"\x00", [12]byte{}, crypto.SHA256), ErrUnsealable},
		{"with another nonce", with(pattern(32), sealLabel, [12]byte{11: 1}, crypto.SHA256), ErrUnsealable},
		{"with AES-128", with(pattern(16), sealLabel, [12]byte{}, crypto.SHA256), ErrUnsealable},
		{"with AES-192", with(pattern(24), sealLabel, [12]byte{}, crypto.SHA256), ErrUnsealable},
		{"with a key too long", with(pattern(33), sealLabel, [12]byte{}, crypto.SHA256), ErrUnsealable},
		{"with SHA-512", with(pattern(32), sealLabel, [12]byte{}, crypto.SHA512), ErrUnsealable},
	} {
		if body, err := b.Unseal(c.sealed); !errors.Is(err, c.want) || (body != nil) != (c.want == nil) {
			t.Errorf("%s: %q, %v", c.name, body, err)
		}
	}
}

func TestWhatWasSealedIsRefusedWithAnyByteChangedOrMissing(t *testing.T) {
	a, b := ends(t, "alice", "dave")
	sealed, err := a.Seal([]byte("hello")) // short, since every try costs a decryption
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 1 << (i % 8)
		if body, err := b.Unseal(flipped); !errors.Is(err, ErrUnsealable) || body != nil {
			t.Errorf("byte %d flipped: %q, %v", i, body, err)
		}
	}
	for n := range sealed {
		if body, err := b.Unseal(sealed[:n]); !errors.Is(err, ErrUnsealable) || body != nil {
			t.Errorf("%d of %d bytes: %q, %v", n, len(sealed), body, err)
		}
	}
	for name, longer := range map[string][]byte{"behind": append(bytes.Clone(sealed), 0), "in front": append([]byte{0}, sealed...)} {
		if _, err := b.Unseal(longer); !errors.Is(err, ErrUnsealable) {
			t.Errorf("a zero %s: %v", name, err)
		}
	}
}

func TestWhichErrorsSayThatTheWayIsBroken(t *testing.T) {
	for _, c := range []struct {
		err    error
		broken bool
	}{
		{nil, false},
		{errors.New("something else"), false},
		{ErrKey, false},
		{ErrOwnKey, false},
		{ErrUnsealable, true},
		{ErrMalformed, false},
		{ErrVersion, false},
		{ErrWrongUser, true},
		{ErrGroup, false},
		{ErrSignature, true},
		{ErrWrongStart, false},
		{ErrConfirmation, true},
		{ErrForged, true},
		{ErrReplayed, true},
		{ErrReordered, true},
		{ErrWithheld, true},
		{ErrExhausted, false},
	} {
		wrapped := c.err
		if c.err != nil {
			wrapped = fmt.Errorf("record 5: %w", c.err)
		}
		if Broken(c.err) != c.broken || Broken(wrapped) != c.broken {
			t.Errorf("%v: %v", c.err, Broken(c.err))
		}
	}
}
