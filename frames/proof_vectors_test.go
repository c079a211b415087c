package frames_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"sync"

	"github.com/mdeiml/blubbel-server/frames"
)

// proves reports whether a frame is a valid proof, to whoever knows what it is to be about.
func proves(frame frames.Frame, payload []byte, about *greeting) bool {
	if about == nil {
		return false
	}
	if p, ok := frame.(frames.Prove); ok {
		return about.hashed().Proven(p)
	}
	return frames.SignedBy(relayID(), about.hello, payload, about.channel)
}

// proofHeader lists what the proof in a frame is about.
func (e example) proofHeader(put func(string, any), blob func(string, []byte)) {
	g := *e.about
	hashed := func(name string, b []byte) {
		blob(name, b)
		of := sha256.Sum256(b)
		blob(name+" sha256", of[:])
	}
	hashed("hello", g.hello)
	put("binding type", map[bool]int{true: 1}[g.channel.Exported])
	blob("binding", g.channel.Value[:])
	if p, ok := e.frame.(frames.Prove); ok {
		hashed("welcome", g.welcome)
		blob("text", g.loginText(p.Key))
	} else {
		if g.welcome = e.wire()[frames.HeaderSize:]; g.welcome[len(g.unsigned())] == 7 {
			hashed("welcome before signature", g.unsigned())
			blob("text", g.relayText())
		}
		put("address id", relayID())
	}
	put("proves", map[bool]string{true: "yes", false: "no"}[e.proves])
}

// proofs are the examples of both proofs, and of what is none.
var proofs = sync.OnceValue(func() []example {
	plain, over := greeted(frames.Binding{}), greeted(exported())
	return append(relayProofs(plain, over), loginProofs(plain, over)...)
})

func relayProofs(plain, over greeting) []example {
	say := func(name string, about greeting, welcome []byte, valid bool) example {
		frame, err := decode(frames.FromRelay, raw(frames.TypeHello, welcome))
		if err != nil {
			panic(err)
		}
		return example{name: name, from: frames.FromRelay, frame: frame, bytes: raw(frames.TypeHello, welcome), about: &about, proves: valid}
	}
	unsigned, signature := over.unsigned(), over.welcome[len(over.unsigned()):]
	signed := func(by ed25519.PrivateKey, welcome []byte) []byte {
		text := signedText("blubbel relay v1", over.hello, welcome, over.channel)
		return bytes.Join([][]byte{welcome, {7, 0, 64}, ed25519.Sign(by, text)}, nil)
	}
	other := over
	other.hello = payload(frames.Hello{Elements: frames.Elements{Nonce: times(32)}})
	return []example{
		say("relay-proof", plain, plain.welcome, true),
		say("relay-proof-tls", over, over.welcome, true),
		say("relay-proof-unknown-element", over, signed(relayKey(), append(bytes.Clone(unsigned), 99, 0, 2, 7, 7)), true),
		say("no-relay-proof-signature-flipped", over, flip(over.welcome, 8*len(over.welcome)-300), false),
		say("no-relay-proof-nonce-flipped", over, flip(over.welcome, 8*20), false),
		say("no-relay-proof-other-hello", other, over.welcome, false),
		say("no-relay-proof-over-tls", over, plain.welcome, false),
		say("no-relay-proof-without-tls", plain, over.welcome, false),
		say("no-relay-proof-other-relay", over, signed(ed25519.NewKeyFromSeed(times(32)), unsigned), false),
		say("no-relay-proof-element-behind", over, append(bytes.Clone(over.welcome), 99, 0, 0), false),
		say("no-relay-proof-not-last", over, append(bytes.Clone(signature), unsigned...), false),
	}
}

func loginProofs(plain, over greeting) []example {
	dave := publicHalf(daveKey())
	say := func(name string, about greeting, key frames.Key, signature []byte, valid bool) example {
		return example{name: name, from: frames.FromClient, frame: frames.Prove{Key: key, Signature: signature}, about: &about, proves: valid}
	}
	good, text := over.proof().Signature, over.loginText(dave)
	sign := func(of crypto.Hash, salt int) []byte { return pss(daveKey(), of, text, times(salt)) }
	digest := sha256.Sum256(text)
	old, err := rsa.SignPKCS1v15(nil, daveKey(), crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	other := over
	other.hello = payload(frames.Hello{Elements: frames.Elements{Nonce: times(32)}})
	return []example{
		say("login-proof", plain, dave, plain.proof().Signature, true),
		say("login-proof-tls", over, dave, good, true),
		say("no-login-proof-signature-flipped", over, dave, flip(good, 1000), false),
		say("no-login-proof-signature-cut-off", over, dave, good[:255], false),
		say("no-login-proof-signature-longer", over, dave, append(bytes.Clone(good), 0), false),
		say("no-login-proof-signature-empty", over, dave, []byte{}, false),
		say("no-login-proof-without-salt", over, dave, sign(crypto.SHA256, 0), false),
		say("no-login-proof-salt-of-20-bytes", over, dave, sign(crypto.SHA256, 20), false),
		say("no-login-proof-salt-longest", over, dave, sign(crypto.SHA256, 222), false),
		say("no-login-proof-sha1", over, dave, sign(crypto.SHA1, 32), false),
		say("no-login-proof-sha512", over, dave, sign(crypto.SHA512, 32), false),
		say("no-login-proof-pkcs1-v15", over, dave, old, false),
		say("no-login-proof-other-hello", other, dave, good, false),
		say("no-login-proof-other-welcome", greeting{over.hello, plain.welcome, over.channel}, dave, good, false),
		say("no-login-proof-over-tls", over, dave, plain.proof().Signature, false),
		say("no-login-proof-without-tls", plain, dave, good, false),
		say("no-login-proof-other-key", over, publicKey("alice"), good, false),
	}
}
