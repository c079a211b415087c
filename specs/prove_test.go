package specs_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Proving possession of a key", func() {
	It("logs the owner in", func(ctx SpecContext) {
		alice := startRelay().proves(ctx, freshOwner(), 0)
		alice.says(rawType(0x7f))
		alice.isRefused(ctx, 0x7f, frames.Unsupported)
	}, SpecTimeout(patience))

	It("happens once on a connection: again it is ALREADY_LOGGED_IN, with the same proof or another key's", func(ctx SpecContext) {
		r := startRelay()
		alice := r.greets(ctx, freshOwner(), 0)
		proof := alice.proof()
		alice.says(proof)
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
		other, err := alice.greeting.Prove(freshOwner())
		Expect(err).NotTo(HaveOccurred())
		for _, p := range []frames.Prove{proof, other, {}} {
			alice.says(p)
			alice.isRefused(ctx, frames.TypeProve, frames.AlreadyLoggedIn)
		}
		alice.says(frames.Login{Key: alice.key})
		alice.isRefused(ctx, frames.TypeLogin, frames.AlreadyLoggedIn)
	}, SpecTimeout(patience))

	It("decides how the frames behind it are judged", func(ctx SpecContext) {
		r := startRelay()
		bob := r.login(ctx)
		alice := r.greets(ctx, freshOwner(), 0)
		before := alice.said
		sealed := make([]byte, frames.MaxSealed) // more than is read before login
		alice.says(
			frames.Message{Peer: bob.key}, frames.Ping{1}, alice.proof(), frames.Message{Peer: bob.key}, frames.Ping{2},
			frames.StartSession{Peer: bob.key, Sealed: sealed},
		)
		Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, before+1, frames.NotLoggedIn))
		Expect(alice.hears(ctx)).To(Equal(frames.Pong{1}))
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
		Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, before+4, frames.NoSession))
		Expect(alice.hears(ctx)).To(Equal(frames.Pong{2}))
		Expect(bob.hears(ctx)).To(Equal(frames.StartSession{Peer: alice.key, Sealed: sealed}))
	}, SpecTimeout(patience))

	It("has nothing behind it handled when it is not valid", func(ctx SpecContext) {
		alice := startRelay().greets(ctx, freshOwner(), 0)
		alice.says(frames.Prove{Key: alice.key})
		number := alice.said
		alice.says(frames.Ping{1}, frames.Login{Key: alice.key})
		Expect(alice.hears(ctx)).To(beError(frames.TypeProve, number, frames.ProofInvalid))
		alice.isClosed(ctx)
	}, SpecTimeout(patience))

	It("is MALFORMED without the end of a key, and may be said again", func(ctx SpecContext) {
		alice := startRelay().greets(ctx, freshOwner(), 0)
		for _, cut := range []int{0, 1, 3, len(alice.key) - 1} {
			alice.says(frames.Prove{Key: alice.key[:cut]})
			alice.isRefused(ctx, frames.TypeProve, frames.Malformed)
		}
		alice.says(alice.proof())
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	}, SpecTimeout(patience))
})

// signs makes a proof of a key as it stands, in any form.
func (o *owner) signs(private *rsa.PrivateKey, key frames.Key, hash crypto.Hash, salt int) frames.Prove {
	GinkgoHelper()
	h := hash.New()
	h.Write(o.greeting.LoginText(key))
	signature, err := rsa.SignPSS(rand.Reader, private, hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: salt, Hash: hash})
	Expect(err).NotTo(HaveOccurred())
	return frames.Prove{Key: key, Signature: signature}
}

// isFoundOut says a proof, which is to be refused as all bad ones are.
func (o *owner) isFoundOut(ctx context.Context, p frames.Prove) {
	GinkgoHelper()
	o.says(p)
	f := o.hears(ctx)
	Expect(f).To(beError(frames.TypeProve, o.said, frames.ProofInvalid))
	Expect(f).To(HaveField("Text", "the proof is not valid"), "whatever is wrong with it")
	o.isClosed(ctx)
}

// forgeries are what is wrong with a proof of a connection's.
var forgeries = []struct {
	name  string
	proof func(ctx context.Context, r *relay, o *owner) frames.Prove
}{
	{"by another key", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		return o.signs(freshOwner(), o.key, crypto.SHA256, 32)
	}},
	{"for another key", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		return frames.Prove{Key: publicOf(freshOwner()), Signature: o.proof().Signature}
	}},
	{"with another nonce", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		hello := slices.Clone(o.hello)
		hello[len(hello)-len("specs")-4]++ // the last of the nonce
		o.greeting = frames.NewGreeting(hello, o.welcome, o.channel())
		return o.proof()
	}},
	{"of another connection", func(ctx context.Context, r *relay, o *owner) frames.Prove {
		return r.greets(ctx, o.private, 0).proof()
	}},
	{"of another relay", func(ctx context.Context, _ *relay, o *owner) frames.Prove {
		return startRelay().greets(ctx, o.private, 0).proof()
	}},
	{"for a channel that it is not", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		o.greeting.Channel.Exported = !o.greeting.Channel.Exported
		return o.proof()
	}},
	{"with a shorter salt", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		return o.signs(o.private, o.key, crypto.SHA256, 20)
	}},
	{"with as much salt as there is room for", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		return o.signs(o.private, o.key, crypto.SHA256, rsa.PSSSaltLengthAuto)
	}},
	{"with another hash", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		return o.signs(o.private, o.key, crypto.SHA384, 32)
	}},
	{"as PKCS#1 v1.5", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		digest := sha256.Sum256(o.greeting.LoginText(o.key))
		signature, err := rsa.SignPKCS1v15(rand.Reader, o.private, crypto.SHA256, digest[:])
		Expect(err).NotTo(HaveOccurred())
		return frames.Prove{Key: o.key, Signature: signature}
	}},
	{"of a key that is too small", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		private, err := rsa.GenerateKey(rand.Reader, 1024)
		Expect(err).NotTo(HaveOccurred())
		return o.signs(private, publicOf(private), crypto.SHA256, 32)
	}},
	{"of a key that is too large", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		return frames.Prove{Key: freshKey(4104), Signature: o.proof().Signature}
	}},
	{"of a key that is not canonical", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		key := slices.Clone(o.key)
		key[17] = 0x0c // where there is to be NULL
		return o.signs(o.private, key, crypto.SHA256, 32)
	}},
	{"of an ECDSA key", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		key, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
		Expect(err).NotTo(HaveOccurred())
		digest := sha256.Sum256(o.greeting.LoginText(key))
		signature, err := ecdsa.SignASN1(rand.Reader, private, digest[:])
		Expect(err).NotTo(HaveOccurred())
		return frames.Prove{Key: key, Signature: signature}
	}},
	{"of what is no key", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		return frames.Prove{Key: frames.Key{0x30, 0}, Signature: o.proof().Signature}
	}},
	{"without a signature", func(_ context.Context, _ *relay, o *owner) frames.Prove { return frames.Prove{Key: o.key} }},
	{"with a longer signature", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		p := o.proof()
		return frames.Prove{Key: p.Key, Signature: append(p.Signature, 0)}
	}},
	{"with a shorter signature", func(_ context.Context, _ *relay, o *owner) frames.Prove {
		p := o.proof()
		return frames.Prove{Key: p.Key, Signature: p.Signature[:255]}
	}},
}

var _ = Describe("Proving possession of a key that one does not have", func() {
	for _, forgery := range forgeries {
		It("is PROOF_INVALID, closed, and never says why: a proof "+forgery.name, func(ctx SpecContext) {
			r := startRelay()
			mallory := r.greets(ctx, freshOwner(), 0)
			mallory.isFoundOut(ctx, forgery.proof(ctx, r, mallory))
			r.loginAs(ctx, mallory.key) // nothing was pinned
		}, SpecTimeout(patience))

		It("costs its address the same: a proof "+forgery.name, func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) {
				c.PenaltyBadProof, c.PenaltyBadLogin, c.PenaltyFrom = time.Minute, 10*time.Millisecond, time.Minute
			})
			honest := r.login(ctx)
			mallory := r.greets(ctx, freshOwner(), 0)
			mallory.isFoundOut(ctx, forgery.proof(ctx, r.from("127.0.0.2"), mallory))
			r.connect().isTurnedAway(ctx)
			r.from("127.0.0.2").isLetIn(ctx)
			honest.says(rawType(0x7f))
			honest.isRefused(ctx, 0x7f, frames.Unsupported)
		}, SpecTimeout(patience))
	}

	It("is PROOF_INVALID after a Hello without a nonce", func(ctx SpecContext) {
		key := freshOwner()
		alice := &owner{client: startRelay().connectAs(publicOf(key)), private: key}
		hello := frames.Hello{Elements: frames.Elements{Software: "specs"}}
		welcome := alice.client.welcome(ctx, hello)
		alice.greeting = frames.NewGreeting(hello.Append(nil)[frames.HeaderSize:], welcome.Append(nil)[frames.HeaderSize:], alice.channel())
		alice.isFoundOut(ctx, alice.proof())
	}, SpecTimeout(patience))

	It("is PROOF_INVALID with a bit changed in any byte of the signature", func(ctx SpecContext) {
		r, key := startRelay(), freshOwner()
		for at := range 256 {
			mallory := r.greets(ctx, key, 0)
			p := mallory.proof()
			p.Signature[at] ^= 1 << (at % 8)
			mallory.isFoundOut(ctx, p)
			Expect(mallory.conn.Close()).To(Succeed())
		}
		r.proves(ctx, key, 0)
	}, SpecTimeout(2*patience))

	It("costs nothing where the key has no end", func(ctx SpecContext) {
		r := limited(func(c *supervisor.Config) { c.PenaltyBadProof, c.PenaltyFrom = time.Minute, time.Minute })
		alice := r.greets(ctx, freshOwner(), 0)
		alice.says(frames.Prove{})
		alice.isRefused(ctx, frames.TypeProve, frames.Malformed)
		r.isLetIn(ctx)
	}, SpecTimeout(patience))
})

var replays = flag.Int("replays", 10, "proofs that are recorded and repeated")

var _ = Describe("Repeating what another has said", func() {
	It("is of no use on the same connection, a new one, or at another relay", func(ctx SpecContext) {
		r, other, key := startRelay(), startRelay(), freshOwner()
		for range *replays {
			alice := r.greets(ctx, key, 0)
			recorded := alice.proof()
			alice.says(recorded)
			Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
			alice.says(recorded)
			alice.isRefused(ctx, frames.TypeProve, frames.AlreadyLoggedIn)
			for _, at := range []*relay{r, other} {
				mallory := &owner{client: at.connectAs(alice.key), private: key}
				mallory.says(rawBytes(rawFrame(frames.TypeHello, alice.hello))) // the same Hello; the relay's nonce is another
				Expect(mallory.hears(ctx)).To(BeAssignableToTypeOf(frames.Welcome{}))
				mallory.isFoundOut(ctx, recorded)
				Expect(mallory.conn.Close()).To(Succeed())
			}
			alice.says(rawType(0x7f))
			alice.isRefused(ctx, 0x7f, frames.Unsupported)
			Expect(alice.conn.Close()).To(Succeed())
		}
	}, SpecTimeout(6*patience))

	It("is noticed by both where somebody in the middle ends TLS with a certificate of its own", func(ctx SpecContext) {
		needsInside("the relay is to listen for TLS")
		r, key := startRelay(), freshOwner()
		r.serveTLS()
		direct := r.greets(ctx, key, 0)
		welcome, err := frames.DefaultKeys().Decode(frames.FromRelay, frames.Raw{Type: frames.TypeHello, Payload: direct.welcome})
		Expect(err).NotTo(HaveOccurred())
		id := frames.RelayID(welcome.(frames.Welcome).RelayID)
		Expect(frames.SignedBy(id, direct.hello, direct.welcome, direct.channel())).To(BeTrue())

		middle := r.inTheMiddle()
		for range *replays {
			alice := middle.greets(ctx, key, 0)
			Expect(frames.SignedBy(id, alice.hello, alice.welcome, alice.channel())).To(BeFalse(), "so she can tell")
			Expect(frames.SignedBy(id, alice.hello, alice.welcome, frames.Binding{})).To(BeFalse())
			alice.isFoundOut(ctx, alice.proof())
			Expect(alice.conn.Close()).To(Succeed())
		}
		direct.says(direct.proof())
		Expect(direct.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	}, SpecTimeout(6*patience))
})

// inTheMiddle is somebody who looks like the relay, and passes on every byte, both ways, over TLS of its own.
func (r *relay) inTheMiddle() *relay {
	GinkgoHelper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	ln := tls.NewListener(inner, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{certificate(private, &private.PublicKey)}})
	var passing sync.WaitGroup
	passing.Go(func() { // ends with the listener
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			relay, err := r.dial()
			if err != nil {
				_ = client.Close()
				return
			}
			for _, way := range [][2]net.Conn{{client, relay}, {relay, client}} {
				passing.Go(func() { // ends with either connection
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
					_ = way[1].Close()
				})
			}
		}
	})
	DeferCleanup(func() {
		_ = ln.Close()
		passing.Wait()
	})
	return &relay{inside: r.inside, address: inner.Addr().String(), dial: func() (net.Conn, error) {
		return tls.Dial("tcp", inner.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	}}
}
