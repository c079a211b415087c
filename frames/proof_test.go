package frames_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // what must be refused
	"crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

// privateKey reads one of the private keys of testdata/keys, which are for tests only.
func privateKey(name string) any {
	key, err := x509.ParsePKCS8PrivateKey(keyFile(name + "-private-for-tests-only"))
	if err != nil {
		panic(err)
	}
	return key
}

// The two who can prove something: a relay, and Dave.
var (
	relayKey = sync.OnceValue(func() ed25519.PrivateKey { return privateKey("relay").(ed25519.PrivateKey) })
	daveKey  = sync.OnceValue(func() *rsa.PrivateKey { return privateKey("dave").(*rsa.PrivateKey) })
)

func relayID() frames.RelayID { return frames.RelayID(relayKey().Public().(ed25519.PublicKey)) }

func publicHalf(private crypto.Signer) frames.Key {
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		panic(err)
	}
	return der
}

// greeting is a Hello and its Welcome, both as payloads, and the channel they went over.
type greeting struct {
	hello, welcome []byte
	channel        frames.Binding
}

func (g greeting) hashed() frames.Greeting { return frames.NewGreeting(g.hello, g.welcome, g.channel) }

// exported is a channel over TLS.
func exported() frames.Binding {
	return frames.Binding{Exported: true, Value: sha256.Sum256([]byte("what TLS exports"))}
}

func payload(f frames.Frame) []byte { return f.Append(nil)[frames.HeaderSize:] }

// greeted is what a relay and a client say to each other over a channel.
func greeted(channel frames.Binding) greeting {
	hello := payload(frames.Hello{Elements: frames.Elements{Features: 1, Nonce: times(32), Software: "example 1.0"}})
	nonce, id := sha256.Sum256([]byte("the relay's nonce")), relayID()
	welcome := frames.Welcome{Elements: frames.Elements{
		Features: 1, Nonce: nonce[:], RelayID: id[:], MaxPayload: 65536, PingInterval: 60, Software: "blubbel-server",
	}}
	return greeting{hello, payload(welcome.Sign(hello, channel, relayKey())), channel}
}

// signatureSize is the length of element 7.
const signatureSize = 3 + 64

// signedText is what docs/protocol.md says about both proofs, but for the key of a login.
func signedText(purpose string, hello, welcome []byte, channel frames.Binding) []byte {
	h, w := sha256.Sum256(hello), sha256.Sum256(welcome)
	kind := "\x00"
	if channel.Exported {
		kind = "\x01"
	}
	return []byte("                                                                " +
		purpose + "\x00" + string(h[:]) + string(w[:]) + kind + string(channel.Value[:]))
}

func (g greeting) loginText(key frames.Key) []byte {
	of := sha256.Sum256(key)
	return append(signedText("blubbel login v1", g.hello, g.welcome, g.channel), of[:]...)
}

func (g greeting) relayText() []byte {
	return signedText("blubbel relay v1", g.hello, g.unsigned(), g.channel)
}

// unsigned is the Welcome before its last element, the signature.
func (g greeting) unsigned() []byte { return g.welcome[:len(g.welcome)-signatureSize] }

// pss signs as RFC 8017 has it (8.1.1 and 9.1.1), with a salt of our choice: so the vectors' signatures stay the same, and the salt may
// be a wrong one.
func pss(private *rsa.PrivateKey, of crypto.Hash, text, salt []byte) []byte {
	sum := func(parts ...[]byte) []byte {
		h := of.New()
		for _, p := range parts {
			_, _ = h.Write(p)
		}
		return h.Sum(nil)
	}
	size := of.Size()
	emBits := private.N.BitLen() - 1
	em := make([]byte, (emBits+7)/8)
	db, h := em[:len(em)-size-1], em[len(em)-size-1:]
	copy(h, sum(make([]byte, 8), sum(text), salt))
	h[size] = 0xbc
	db[len(db)-len(salt)-1] = 1
	copy(db[len(db)-len(salt):], salt)
	for at, n := 0, uint32(0); at < len(db); n++ {
		for _, b := range sum(h[:size], binary.BigEndian.AppendUint32(nil, n)) {
			if at < len(db) {
				db[at] ^= b
			}
			at++
		}
	}
	em[0] &= 0xff >> (8*len(em) - emBits)
	return new(big.Int).Exp(new(big.Int).SetBytes(em), private.D, private.N).FillBytes(make([]byte, private.Size()))
}

// proof is how Dave logs in, with a salt that stands still.
func (g greeting) proof() frames.Prove {
	key := publicHalf(daveKey())
	return frames.Prove{Key: key, Signature: pss(daveKey(), crypto.SHA256, g.loginText(key), times(32))}
}

func channels() []frames.Binding { return []frames.Binding{{}, exported()} }

func TestTheSignedTexts(t *testing.T) {
	for _, channel := range channels() {
		g := greeted(channel)
		for _, name := range []string{"alice", "bob", "carol"} {
			key := publicKey(name)
			if got, want := g.hashed().LoginText(key), g.loginText(key); !bytes.Equal(got, want) || len(got) != 64+17+32+32+33+32 {
				t.Errorf("%s signs\n%x, want\n%x", name, got, want)
			}
		}
		signature := g.welcome[len(g.welcome)-64:]
		if !ed25519.Verify(relayKey().Public().(ed25519.PublicKey), g.relayText(), signature) {
			t.Errorf("the relay does not sign\n%x", g.relayText())
		}
	}
}

// Both ends of a proof, each against one that knows nothing of it.
func TestProve(t *testing.T) {
	for _, channel := range channels() {
		g := greeted(channel)
		if !g.hashed().Proven(g.proof()) {
			t.Error("a proof made by hand is not taken")
		}
		p, err := g.hashed().Prove(daveKey())
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(g.loginText(p.Key))
		strict := &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}
		if err := rsa.VerifyPSS(&daveKey().PublicKey, crypto.SHA256, digest[:], p.Signature, strict); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(p.Key, publicHalf(daveKey())) || !g.hashed().Proven(p) {
			t.Error("it is not Dave who proves")
		}
	}
}

func TestProvenRefuses(t *testing.T) {
	plain, over := greeted(frames.Binding{}), greeted(exported())
	proof := over.proof()
	key, text := proof.Key, over.loginText(proof.Key)
	with := func(signature []byte) frames.Prove { return frames.Prove{Key: key, Signature: signature} }
	salted := func(n int) frames.Prove { return with(pss(daveKey(), crypto.SHA256, text, times(n))) }
	hashed := func(h crypto.Hash) frames.Prove { return with(pss(daveKey(), h, text, times(32))) }
	digest := sha256.Sum256(text)
	old, err := rsa.SignPKCS1v15(nil, daveKey(), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curveKey := publicHalf(curve)
	curveDigest := sha256.Sum256(over.loginText(curveKey))
	curveSignature, err := ecdsa.SignASN1(rand.Reader, curve, curveDigest[:])
	if err != nil {
		t.Fatal(err)
	}
	edKey := publicHalf(relayKey())
	plus := new(big.Int)
	for salt := times(32); plus.BitLen() == 0 || plus.BitLen() > 2048; salt[0]++ { // the same modulo N, and not longer
		plus.SetBytes(pss(daveKey(), crypto.SHA256, text, salt))
		plus.Add(plus, daveKey().N)
	}
	typeZero := over
	typeZero.channel.Exported = false

	for _, c := range []struct {
		name  string
		about greeting
		proof frames.Prove
	}{
		{"empty", over, with(nil)},
		{"zeros", over, with(make([]byte, 256))},
		{"ones", over, with(append(make([]byte, 255), 1))},
		{"cut off", over, with(proof.Signature[:255])},
		{"a byte behind", over, with(append(bytes.Clone(proof.Signature), 0))},
		{"a zero in front", over, with(append([]byte{0}, proof.Signature...))},
		{"more than the modulus", over, with(plus.Bytes())},
		{"no salt", over, salted(0)},
		{"a salt of 20 bytes", over, salted(20)},
		{"a salt of 31 bytes", over, salted(31)},
		{"a salt of 33 bytes", over, salted(33)},
		{"the longest salt", over, salted(256 - 32 - 2)},
		{"PKCS#1 v1.5", over, with(old)},
		{"SHA-1", over, hashed(crypto.SHA1)},
		{"SHA-384", over, hashed(crypto.SHA384)},
		{"SHA-512", over, hashed(crypto.SHA512)},
		{"SHA-512/256", over, hashed(crypto.SHA512_256)},
		{"an ECDSA key", over, frames.Prove{Key: curveKey, Signature: curveSignature}},
		{"an Ed25519 key", over, frames.Prove{Key: edKey, Signature: ed25519.Sign(relayKey(), over.loginText(edKey))}},
		{"no key", over, frames.Prove{Signature: proof.Signature}},
		{"an empty key", over, frames.Prove{Key: frames.Key("\x30\x00"), Signature: proof.Signature}},
		{"half a key", over, frames.Prove{Key: key[:100], Signature: proof.Signature}},
		{"a byte behind the key", over, frames.Prove{Key: append(bytes.Clone(key), 0), Signature: proof.Signature}},
		{"somebody else's key", over, frames.Prove{Key: publicKey("alice"), Signature: proof.Signature}},
		{"on plain TCP", plain, proof},
		{"of plain TCP", over, plain.proof()},
		{"the type 0 with a value", over, typeZero.proof()},
		{"the relay's text", over, with(pss(daveKey(), crypto.SHA256, over.relayText(), times(32)))},
		{"without the key", over, with(pss(daveKey(), crypto.SHA256, text[:len(text)-32], times(32)))},
		{"the digest in place of the text", over, with(pss(daveKey(), crypto.SHA256, digest[:], times(32)))},
		{"another Hello", greeting{payload(frames.Hello{}), over.welcome, over.channel}, proof},
		{"another Welcome", greeting{over.hello, over.unsigned(), over.channel}, proof},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.about.hashed().Proven(c.proof) {
				t.Error("it is proven")
			}
		})
	}
	if !over.hashed().Proven(proof) {
		t.Error("the proof of which these are made is not one")
	}
}

// flip returns its input with one bit changed.
func flip(b []byte, bit int) []byte {
	b = bytes.Clone(b)
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// A thousand single bits, anywhere in the proof and in what it is about.
func TestNoBitOfAProofMayDiffer(t *testing.T) {
	g := greeted(exported())
	proof := g.proof()
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for range 1000 {
		parts := [][]byte{proof.Signature, proof.Key, g.hello, g.welcome, g.channel.Value[:]}
		part := random.IntN(len(parts))
		bit := random.IntN(8 * len(parts[part]))
		parts[part] = flip(parts[part], bit)
		about := greeting{parts[2], parts[3], frames.Binding{Exported: true, Value: [32]byte(parts[4])}}
		if about.hashed().Proven(frames.Prove{Key: parts[1], Signature: parts[0]}) {
			t.Errorf("bit %d of part %d does not matter", bit, part)
		}
	}
}

func TestSignedBy(t *testing.T) {
	plain, over := greeted(frames.Binding{}), greeted(exported())
	stranger := ed25519.NewKeyFromSeed(times(32))
	unsigned := over.unsigned()
	signature := over.welcome[len(unsigned):]
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	typeZero := over.channel
	typeZero.Exported = false

	for _, c := range []struct {
		name           string
		id             frames.RelayID
		hello, welcome []byte
		channel        frames.Binding
		signed         bool
	}{
		{"over TLS", relayID(), over.hello, over.welcome, over.channel, true},
		{"plain", relayID(), plain.hello, plain.welcome, plain.channel, true},
		{"another relay", frames.RelayID(stranger.Public().(ed25519.PublicKey)), over.hello, over.welcome, over.channel, false},
		{"no relay", frames.RelayID{}, over.hello, over.welcome, over.channel, false},
		{"another Hello", relayID(), payload(frames.Hello{}), over.welcome, over.channel, false},
		{"no Hello", relayID(), nil, over.welcome, over.channel, false},
		{"no Welcome", relayID(), over.hello, nil, over.channel, false},
		{"no signature", relayID(), over.hello, unsigned, over.channel, false},
		{"a signature alone", relayID(), over.hello, signature, over.channel, false},
		{"of plain TCP", relayID(), plain.hello, plain.welcome, over.channel, false},
		{"on plain TCP", relayID(), over.hello, over.welcome, plain.channel, false},
		{"the type 0 with a value", relayID(), over.hello, over.welcome, typeZero, false},
		{"something behind it", relayID(), over.hello, join(over.welcome, []byte{99, 0, 0}), over.channel, false},
		{"twice", relayID(), over.hello, join(over.welcome, signature), over.channel, false},
		{"not last", relayID(), over.hello, join(signature, unsigned), over.channel, false},
		{"another id", relayID(), over.hello, join(unsigned, []byte{8}, signature[1:]), over.channel, false},
		{"another length", relayID(), over.hello, join(unsigned, []byte{7, 1, 64}, signature[3:]), over.channel, false},
		{"of a login's text", relayID(), over.hello, join(unsigned, signature[:3],
			ed25519.Sign(relayKey(), signedText("blubbel login v1", over.hello, unsigned, over.channel))), over.channel, false},
		{"of the whole Welcome", relayID(), over.hello, join(unsigned, signature[:3],
			ed25519.Sign(relayKey(), signedText("blubbel relay v1", over.hello, over.welcome, over.channel))), over.channel, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if signed := frames.SignedBy(c.id, c.hello, c.welcome, c.channel); signed != c.signed {
				t.Errorf("signed: %v", signed)
			}
		})
	}
}

func TestNoBitOfAWelcomeMayDiffer(t *testing.T) {
	g, id := greeted(exported()), relayID()
	parts := [][]byte{id[:], g.hello, g.welcome, g.channel.Value[:]}
	for i, part := range parts {
		for bit := range 8 * len(part) {
			parts[i] = flip(part, bit)
			channel := frames.Binding{Exported: true, Value: [32]byte(parts[3])}
			if frames.SignedBy(frames.RelayID(parts[0]), parts[1], parts[2], channel) {
				t.Errorf("bit %d of part %d does not matter", bit, i)
			}
		}
		parts[i] = part
	}
	for n := range g.welcome {
		if frames.SignedBy(id, g.hello, g.welcome[:n], g.channel) {
			t.Errorf("the first %d bytes of a Welcome pass for one", n)
		}
	}
}

// A Welcome that is signed twice has one signature.
func TestSign(t *testing.T) {
	g := greeted(exported())
	frame, err := decode(frames.FromRelay, raw(frames.TypeHello, g.welcome))
	if err != nil {
		t.Fatal(err)
	}
	welcome := frame.(frames.Welcome)
	before := bytes.Clone(welcome.Signature)
	other := welcome.Sign(nil, frames.Binding{}, relayKey())
	if bytes.Equal(other.Signature, before) || !frames.SignedBy(relayID(), nil, payload(other), frames.Binding{}) {
		t.Error("it is signed for another Hello, and not seen to be")
	}
	if again := payload(other.Sign(g.hello, g.channel, relayKey())); !bytes.Equal(again, g.welcome) {
		t.Errorf("signed again it is\n%x, want\n%x", again, g.welcome)
	}
	if !bytes.Equal(welcome.Signature, before) {
		t.Error("signing a Welcome changes the one it was made of")
	}
}

func TestRelayID(t *testing.T) {
	id := relayID()
	text := id.String()
	if text != strings.TrimRight(base64.URLEncoding.EncodeToString(id[:]), "=") || len(text) != 43 {
		t.Errorf("%x is written %s", id, text)
	}
	all := strings.Repeat("_", 42) + "8" // 255, 32 times
	for s, want := range map[string]frames.RelayID{
		text: id, strings.Repeat("A", 43): {}, all: frames.RelayID(bytes.Repeat([]byte{0xff}, 32)),
	} {
		if got, err := frames.ParseRelayID(s); err != nil || got != want || got.String() != s {
			t.Errorf("%s is read as %v: %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "=", text + "=", text + "==", text[:42] + "=", text[:42], text + "A", text + text, text[:42] + " ", " " + text,
		text + "\n", text + "\r\n", text[:20] + "\n" + text[20:], "\n" + text[:42], text[:42] + "\x00", text[:41] + "é",
		strings.ReplaceAll(all, "_", "/"), "+" + text[1:], "=" + text[1:], "blubbel://" + text, fmt.Sprintf("%x", id[:]),
		strings.Repeat("_", 43), strings.Repeat("A", 42) + "B", strings.Repeat("A", 42) + "C", // bits behind the last byte
	} {
		got, err := frames.ParseRelayID(s)
		mistyped := len(s) == 43 && !strings.ContainsAny(s, "\n\x00 =+/é")
		if err == nil || got != (frames.RelayID{}) || strings.Contains(err.Error(), "mistyped") != mistyped {
			t.Errorf("%q is read as %v: %v", s, got, err)
		}
	}
	for i := range 64 { // of the last letter's six bits two are behind the last byte
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		s := text[:42] + alphabet[i:i+1]
		got, err := frames.ParseRelayID(s)
		if (err == nil) != (i%4 == 0) || err == nil && got.String() != s || err != nil && !strings.Contains(err.Error(), "mistyped") {
			t.Errorf("%s is read as %v: %v", s, got, err)
		}
	}
}
