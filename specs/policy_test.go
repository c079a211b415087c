package specs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// isAskedForProof expects that a Login without one is refused for that, on a connection that goes on.
func (c *client) isAskedForProof(ctx context.Context) {
	GinkgoHelper()
	c.says(frames.Login{Key: c.key})
	c.isRefused(ctx, frames.TypeLogin, frames.ProofRequired)
}

// keepingIn has a relay keep its pins in a store.
func keepingIn(s store.Store) func(*supervisor.Config) {
	return func(c *supervisor.Config) { c.Store = s }
}

var _ = Describe("Having proved possession of a key", func() {
	It("pins it: from then on it opens only to proof, whether somebody is logged in with it or not", func(ctx SpecContext) {
		r, key := startRelay(), freshOwner()
		alice := r.proves(ctx, key, 0)
		mallory := r.connectAs(alice.key)
		mallory.isAskedForProof(ctx) // this goes before KEY_IN_USE
		alice.dies()
		mallory.isAskedForProof(ctx)
		r.proves(ctx, key, 0)
	}, SpecTimeout(patience))

	It("pins no other key", func(ctx SpecContext) {
		r := startRelay()
		r.proves(ctx, freshOwner(), 0)
		r.login(ctx)
	}, SpecTimeout(patience))

	It("does not keep a proof from coming on the connection that was asked for it", func(ctx SpecContext) {
		r, key := startRelay(), freshOwner()
		r.proves(ctx, key, 0)
		alice := r.greets(ctx, key, 0)
		alice.isAskedForProof(ctx)
		alice.says(alice.proof())
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	}, SpecTimeout(patience))

	It("survives the relay's restart, with the same store", func(ctx SpecContext) {
		needsInside("the relay has to be restarted")
		pins, key := store.NewMemory(), freshOwner()
		first := startRelay(keepingIn(pins))
		first.proves(ctx, key, 0).dies()
		Expect(first.inside.Stop(ctx)).To(Succeed())
		second := startRelay(keepingIn(pins))
		second.connectAs(publicOf(key)).isAskedForProof(ctx)
		second.proves(ctx, key, 0)
		startRelay().loginAs(ctx, publicOf(key)) // of which another relay knows nothing
	}, SpecTimeout(patience))

	It("counts for a year", func(ctx SpecContext) {
		needsInside("the relay has to be told what it remembers")
		pins, lately, longAgo := store.NewMemory(), freshKey(2048), freshKey(2048)
		Expect(pins.Pin(lately.Fingerprint(), time.Now().Add(-365*24*time.Hour))).To(Succeed())
		Expect(pins.Pin(longAgo.Fingerprint(), time.Now().Add(-367*24*time.Hour))).To(Succeed())
		r := startRelay(keepingIn(pins))
		r.connectAs(lately).isAskedForProof(ctx)
		r.loginAs(ctx, longAgo)
	}, SpecTimeout(patience))

	It("pins nobody when there are as many pins as may be, and logs in all the same", func(ctx SpecContext) {
		needsInside("the relay has to be told a small limit")
		pins := store.NewMemory()
		r := startRelay(keepingIn(pins), func(c *supervisor.Config) { c.Pins = 2 })
		known, second, late := freshOwner(), freshOwner(), freshOwner()
		r.proves(ctx, known, 0)
		r.proves(ctx, second, 0)
		alice, bob := r.proves(ctx, late, 0), r.proves(ctx, known, 0)
		Expect(pins.Pins()).To(Equal(2))
		alice.meets(ctx, bob.client) // it has proved as well as any
		again := r.connectAs(alice.key)
		again.says(frames.Login{Key: alice.key})
		again.isRefused(ctx, frames.TypeLogin, frames.KeyInUse)
		alice.dies()
		again = r.insists(ctx, again)
		bob.says(message(again, "who is it now?"))
		bob.isRefusedUntilGone(ctx, again)
		bob.dies()
		again.dies()
		r.connectAs(bob.key).isAskedForProof(ctx)
	}, SpecTimeout(patience))
})

// isRefusedUntilGone expects that the last Message was refused: nobody who has not proved comes into a session of who has.
func (o *owner) isRefusedUntilGone(ctx context.Context, from *client) {
	GinkgoHelper()
	Expect(o.hears(ctx)).To(Equal(frames.EndSession{Peer: from.key, Reason: "disconnected"}))
	o.isRefused(ctx, frames.TypeMessage, frames.NoSession)
}

var _ = Describe("Logging in where the relay", func() {
	BeforeEach(func() { needsInside("the relay has to be told its policy") })

	When("requires proof of everybody", func() {
		It("is PROOF_REQUIRED without one, for any key, and may go on to prove", func(ctx SpecContext) {
			r := startRelay(func(c *supervisor.Config) { c.LoginProof = supervisor.ProofRequired })
			alice := &owner{private: freshOwner()}
			alice.client = r.connectAs(publicOf(alice.private))
			alice.isAskedForProof(ctx)
			alice.saysHello(ctx, 0)
			alice.isAskedForProof(ctx)
			alice.says(alice.proof())
			Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
			r.connectAs(alice.key).isAskedForProof(ctx)
		}, SpecTimeout(patience))

		It("is still BAD_KEY with what is no key", func(ctx SpecContext) {
			mallory := startRelay(func(c *supervisor.Config) { c.LoginProof = supervisor.ProofRequired }).connect()
			mallory.says(frames.Login{Key: frames.Key{0x30, 0}})
			mallory.isRefused(ctx, frames.TypeLogin, frames.BadKey)
		}, SpecTimeout(patience))
	})

	When("serves listed keys only", func() {
		var listed atomic.Pointer[store.Fingerprint]
		var r *relay
		BeforeEach(func() {
			listed.Store(nil)
			r = startRelay(func(c *supervisor.Config) {
				c.Allow = func(key store.Fingerprint) bool { l := listed.Load(); return l != nil && *l == key }
			})
		})

		It("is NOT_ALLOWED with a valid proof of another key, which is not pinned, and what is behind it NOT_LOGGED_IN", func(ctx SpecContext) {
			alice := r.greets(ctx, freshOwner(), 0)
			alice.says(alice.proof())
			alice.isRefused(ctx, frames.TypeProve, frames.NotAllowed)
			alice.says(frames.Message{Peer: alice.key})
			alice.isRefused(ctx, frames.TypeMessage, frames.NotLoggedIn)
			Expect(r.inside.Config().Store.Pins()).To(BeZero())
		}, SpecTimeout(patience))

		It("is PROOF_INVALID with a bad proof, and PROOF_REQUIRED without one, listed or not: who asks does not learn which", func(ctx SpecContext) {
			alice, mallory := r.greets(ctx, freshOwner(), 0), r.greets(ctx, freshOwner(), 0)
			fingerprint := alice.key.Fingerprint()
			listed.Store(&fingerprint)
			for _, o := range []*owner{alice, mallory} {
				o.isAskedForProof(ctx)
				o.isFoundOut(ctx, frames.Prove{Key: o.key})
			}
		}, SpecTimeout(patience))

		It("is accepted with a listed key and a proof, from the moment it is listed", func(ctx SpecContext) {
			alice := r.greets(ctx, freshOwner(), 0)
			alice.says(alice.proof())
			alice.isRefused(ctx, frames.TypeProve, frames.NotAllowed)
			fingerprint := alice.key.Fingerprint()
			listed.Store(&fingerprint)
			r.proves(ctx, alice.private, 0)
		}, SpecTimeout(patience))
	})
})

// moody is a store that fails, or panics, where it is told to.
type moody struct {
	*store.Memory
	pin, pinned func() error
}

func (m *moody) Pin(key store.Fingerprint, at time.Time) error {
	if err := m.pin(); err != nil {
		return err
	}
	return m.Memory.Pin(key, at)
}

func (m *moody) Pinned(key store.Fingerprint) (time.Time, bool, error) {
	if err := m.pinned(); err != nil {
		return time.Time{}, false, err
	}
	return m.Memory.Pinned(key)
}

var _ = Describe("Proving where the relay cannot remember it", func() {
	fine := func() error { return nil }
	fails := func() error { return errors.New("the disk is on fire") }
	BeforeEach(func() { needsInside("the relay is to have a bad store") })

	It("is INTERNAL, not logged in, and may be tried again", func(ctx SpecContext) {
		s := &moody{store.NewMemory(), fails, fine}
		r := startRelay(keepingIn(s))
		bob := r.login(ctx)
		alice := r.greets(ctx, freshOwner(), 0)
		alice.says(alice.proof())
		alice.isRefused(ctx, frames.TypeProve, frames.Internal)
		alice.says(frames.StartSession{Peer: bob.key})
		alice.isRefused(ctx, frames.TypeStart, frames.NotLoggedIn)
		bob.says(frames.StartSession{Peer: alice.key})
		bob.isRefused(ctx, frames.TypeStart, frames.Unavailable)
		holder := r.loginAs(ctx, alice.key)
		holder.says(rawType(0x7f))
		holder.isRefused(ctx, 0x7f, frames.Unsupported) // was replaced by nobody
	}, SpecTimeout(patience))

	It("logs in all the same when there is no room, and is not pinned", func(ctx SpecContext) {
		r := startRelay(keepingIn(&moody{store.NewMemory(), func() error { return store.ErrNoRoom }, fine}))
		alice := r.proves(ctx, freshOwner(), 0)
		mallory := r.connectAs(alice.key)
		mallory.says(frames.Login{Key: alice.key})
		mallory.isRefused(ctx, frames.TypeLogin, frames.KeyInUse)
	}, SpecTimeout(patience))

	It("asks everybody for proof when it cannot look up who has proved", func(ctx SpecContext) {
		r := startRelay(keepingIn(&moody{store.NewMemory(), fine, fails}))
		r.connect().isAskedForProof(ctx)
		r.proves(ctx, freshOwner(), 0)
	}, SpecTimeout(patience))
})

var _ = Describe("Showing a certificate", func() {
	BeforeEach(func() { needsInside("the relay is to listen for TLS") })

	It("of the login's key is a proof, for a seed client as well", func(ctx SpecContext) {
		r, key := startRelay(), freshOwner()
		squatter := r.loginAs(ctx, publicOf(key))
		r.serveTLS(certificate(key, &key.PublicKey))
		alice := r.loginAs(ctx, publicOf(key))
		squatter.isTold(ctx, frames.Replaced)
		r.serve()
		r.connectAs(alice.key).isAskedForProof(ctx)
	}, SpecTimeout(patience))

	It("of another key is none", func(ctx SpecContext) {
		r, key := startRelay(), freshOwner()
		r.serveTLS(certificate(key, &key.PublicKey))
		squatter := r.login(ctx)
		second := r.connectAs(squatter.key)
		second.says(frames.Login{Key: squatter.key})
		second.isRefused(ctx, frames.TypeLogin, frames.KeyInUse)
		r.proves(ctx, freshOwner(), 0).says(frames.Ping{})
		second.dies()
		squatter.dies()
		r.insists(ctx, squatter)
	}, SpecTimeout(patience))

	It("that is not of an RSA key is none, and disturbs nobody", func(ctx SpecContext) {
		r := startRelay()
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		r.serveTLS(certificate(private, &private.PublicKey))
		alice := r.login(ctx)
		alice.says(rawType(0x7f))
		alice.isRefused(ctx, 0x7f, frames.Unsupported)
	}, SpecTimeout(patience))

	It("counts in a full handshake only: a ticket is not the key", func(ctx SpecContext) {
		r, key := startRelay(), freshOwner()
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		then := func() time.Time { return time.Now().Add(-90 * time.Minute) } // when the certificates were valid
		config := &tls.Config{                                                // of a host that does not know better
			MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, Time: then,
			Certificates: []tls.Certificate{certificate(private, &private.PublicKey)},
		}
		r.serve(func(ln net.Listener) net.Listener { return tls.NewListener(ln, config) })
		address, tickets := r.address, tls.NewLRUClientSessionCache(1)
		mine := []tls.Certificate{certificate(key, &key.PublicKey)}
		r.dial = func() (net.Conn, error) {
			return tls.Dial("tcp", address, &tls.Config{
				InsecureSkipVerify: true, ClientSessionCache: tickets, Certificates: mine, Time: then,
			})
		}
		r.loginAs(ctx, publicOf(key)).dies()
		mine = nil // whoever comes now has the ticket alone
		thief := r.connectAs(publicOf(key))
		thief.says(frames.Login{Key: thief.key})
		answer := thief.hears(ctx)
		Expect(thief.conn.(*tls.Conn).ConnectionState().DidResume).To(BeTrue())
		Expect(answer).To(beError(frames.TypeLogin, 1, frames.ProofRequired))
	}, SpecTimeout(patience))
})
