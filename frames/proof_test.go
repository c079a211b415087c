package frames_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

// A proof, and everything that could be wrong with one.

// proven is a valid proof, and what it is about.
type proven struct {
	private        *rsa.PrivateKey
	hello, welcome []byte
	channel        frames.Binding
	proof          frames.Prove
}

func newProven(t *testing.T) *proven {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &proven{private: private, hello: make([]byte, 60), welcome: make([]byte, 160), channel: frames.Binding{Exported: true}}
	for _, b := range [][]byte{p.hello, p.welcome, p.channel.Value[:]} {
		_, _ = rand.Read(b)
	}
	if p.proof, err = p.greeting().Prove(private); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *proven) greeting() frames.Greeting {
	return frames.NewGreeting(p.hello, p.welcome, p.channel)
}

// holds is what the relay makes of it: the key is looked at first.
func (p *proven) holds() bool {
	return frames.DefaultKeys().Check(p.proof.Key) == nil && p.greeting().Proven(p.proof)
}

// A bit that is another one anywhere in what is signed, or in the signature, is enough.
func TestAProofWithOneBitChangedIsNone(t *testing.T) {
	p := newProven(t)
	if !p.holds() {
		t.Fatal("the proof as it is does not hold")
	}
	accepted, flips := 0, 0
	tries := func(b []byte, bit int) {
		b[bit/8] ^= 1 << (bit % 8)
		if flips++; p.holds() {
			accepted++
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	for _, part := range []struct {
		bytes []byte
		step  int // each so many bits
	}{{p.hello, 3}, {p.welcome, 7}, {p.channel.Value[:], 1}, {p.proof.Signature, 7}, {p.proof.Key, 9}} {
		for bit := 0; bit < 8*len(part.bytes); bit += part.step {
			tries(part.bytes, bit)
		}
	}
	if flips < 1000 {
		t.Errorf("only %d bits were changed", flips)
	}
	if accepted > 0 || !p.holds() {
		t.Errorf("%d of %d changed proofs hold; the one that is not: %v", accepted, flips, p.holds())
	}
}

func TestWhatIsNoProof(t *testing.T) {
	p := newProven(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, _ := x509.MarshalPKIXPublicKey(&other.PublicKey)
	digest := sha256.Sum256(p.greeting().LoginText(p.proof.Key))
	signed := func(private *rsa.PrivateKey, hash crypto.Hash, digest []byte, salt int) []byte {
		s, err := rsa.SignPSS(rand.Reader, private, hash, digest, &rsa.PSSOptions{SaltLength: salt, Hash: hash})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if good := signed(p.private, crypto.SHA256, digest[:], 32); !p.greeting().Proven(frames.Prove{Key: p.proof.Key, Signature: good}) {
		t.Fatal("what should hold does not")
	}
	pkcs1, _ := rsa.SignPKCS1v15(rand.Reader, p.private, crypto.SHA256, digest[:])
	long := crypto.SHA512.New()
	long.Write(p.greeting().LoginText(p.proof.Key))
	curve, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	curveKey, _ := x509.MarshalPKIXPublicKey(&curve.PublicKey)
	curveDigest := sha256.Sum256(p.greeting().LoginText(curveKey))
	curveSigned, _ := ecdsa.SignASN1(rand.Reader, curve, curveDigest[:])
	edPublic, edPrivate, _ := ed25519.GenerateKey(rand.Reader)
	edKey, _ := x509.MarshalPKIXPublicKey(edPublic)
	raw := slices.Concat(p.proof.Signature, []byte{0})
	for name, bad := range map[string]frames.Prove{
		"by another key":                 {Key: p.proof.Key, Signature: signed(other, crypto.SHA256, digest[:], 32)},
		"under another key":              {Key: otherKey, Signature: p.proof.Signature},
		"by another key, under it":       {Key: otherKey, Signature: signed(other, crypto.SHA256, digest[:], 32)}, // the text names the first
		"without salt":                   {Key: p.proof.Key, Signature: signed(p.private, crypto.SHA256, digest[:], 0)},
		"with a short salt":              {Key: p.proof.Key, Signature: signed(p.private, crypto.SHA256, digest[:], 31)},
		"with a long salt":               {Key: p.proof.Key, Signature: signed(p.private, crypto.SHA256, digest[:], 33)},
		"with as much salt as fits":      {Key: p.proof.Key, Signature: signed(p.private, crypto.SHA256, digest[:], rsa.PSSSaltLengthAuto)},
		"as PKCS#1 v1.5":                 {Key: p.proof.Key, Signature: pkcs1},
		"with SHA-512":                   {Key: p.proof.Key, Signature: signed(p.private, crypto.SHA512, long.Sum(nil), 32)},
		"of the digest's digest":         {Key: p.proof.Key, Signature: signed(p.private, crypto.SHA256, hashOf(digest[:]), 32)},
		"with nothing":                   {Key: p.proof.Key},
		"with a byte too many":           {Key: p.proof.Key, Signature: raw},
		"with a zero in front":           {Key: p.proof.Key, Signature: slices.Concat([]byte{0}, p.proof.Signature)},
		"with a byte missing":            {Key: p.proof.Key, Signature: p.proof.Signature[1:]},
		"with zeroes":                    {Key: p.proof.Key, Signature: make([]byte, 256)},
		"with the modulus and more":      {Key: p.proof.Key, Signature: slices.Repeat([]byte{0xff}, 256)},
		"by ECDSA":                       {Key: curveKey, Signature: curveSigned},
		"by Ed25519":                     {Key: edKey, Signature: ed25519.Sign(edPrivate, p.greeting().LoginText(edKey))},
		"with a key that is none":        {Key: []byte{0x30, 0}, Signature: p.proof.Signature},
		"with a raw key of 128 bytes":    {Key: slices.Repeat([]byte{0x99}, frames.SeedKeySize), Signature: p.proof.Signature},
		"with a signature as the key is": {Key: p.proof.Key, Signature: p.proof.Key[:256]},
	} {
		t.Run(name, func(t *testing.T) {
			if p.greeting().Proven(bad) {
				t.Error("it holds")
			}
		})
	}
}

func hashOf(b []byte) []byte { h := sha256.Sum256(b); return h[:] }

// What one side has signed proves nothing of the other, and what is bound to one channel nothing on another.
func TestAProofIsOfOneGreetingOnOneChannel(t *testing.T) {
	p := newProven(t)
	for name, g := range map[string]frames.Greeting{
		"without a channel":          frames.NewGreeting(p.hello, p.welcome, frames.Binding{}),
		"the same value, not bound":  frames.NewGreeting(p.hello, p.welcome, frames.Binding{Value: p.channel.Value}),
		"Hello and Welcome swapped":  frames.NewGreeting(p.welcome, p.hello, p.channel),
		"another Hello":              frames.NewGreeting(append(slices.Clip(p.hello), 0), p.welcome, p.channel),
		"a Welcome that is cut":      frames.NewGreeting(p.hello, p.welcome[:100], p.channel),
		"neither Hello, nor Welcome": frames.NewGreeting(nil, nil, p.channel),
	} {
		if g.Proven(p.proof) {
			t.Errorf("%s: it holds", name)
		}
	}
}

// The relay signs everything of its Welcome, and the Hello, for one channel.
func TestARelaysSignatureIsOfOneGreetingOnOneChannel(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, hello := frames.RelayID(public), frames.Hello{Elements: frames.Elements{Nonce: make([]byte, 32)}}.Append(nil)[frames.HeaderSize:]
	channel := frames.Binding{Exported: true, Value: [32]byte{1}}
	w := frames.Welcome{Elements: frames.Elements{Features: 1, Nonce: make([]byte, 32), RelayID: public, MaxPayload: 65536, PingInterval: 60, Software: "test"}}
	welcome := w.Sign(hello, channel, private).Append(nil)[frames.HeaderSize:]
	if !frames.SignedBy(id, hello, welcome, channel) {
		t.Fatal("what is signed is not")
	}
	for bit := range 8 * len(welcome) {
		changed := slices.Clone(welcome)
		changed[bit/8] ^= 1 << (bit % 8)
		if frames.SignedBy(id, hello, changed, channel) {
			t.Errorf("bit %d of the Welcome is not signed", bit)
		}
	}
	for bit := range 8 * len(hello) {
		changed := slices.Clone(hello)
		changed[bit/8] ^= 1 << (bit % 8)
		if frames.SignedBy(id, changed, welcome, channel) {
			t.Errorf("bit %d of the Hello is not signed", bit)
		}
	}
	stranger, _, _ := ed25519.GenerateKey(rand.Reader)
	for name, signed := range map[string]bool{
		"by another relay":          frames.SignedBy(frames.RelayID(stranger), hello, welcome, channel),
		"for another channel":       frames.SignedBy(id, hello, welcome, frames.Binding{Exported: true}),
		"for none":                  frames.SignedBy(id, hello, welcome, frames.Binding{}),
		"with something behind it":  frames.SignedBy(id, hello, append(slices.Clone(welcome), 9, 0, 0), channel),
		"with something before it":  frames.SignedBy(id, hello, append([]byte{9, 0, 0}, welcome...), channel),
		"with nothing":              frames.SignedBy(id, hello, nil, channel),
		"without its last element":  frames.SignedBy(id, hello, w.Append(nil)[frames.HeaderSize:], channel),
		"with its last byte cut":    frames.SignedBy(id, hello, welcome[:len(welcome)-1], channel),
		"with the last element two": frames.SignedBy(id, hello, append(slices.Clone(welcome), welcome[len(welcome)-67:]...), channel),
	} {
		if signed {
			t.Errorf("signed %s", name)
		}
	}
}
