package specs_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Asking for a session", func() {
	It("reaches the peer, marked as coming from who asks", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.login(ctx), r.login(ctx)
		alice.says(frames.StartSession{Peer: bob.key, Sealed: []byte("g^a")})
		Expect(bob.hears(ctx)).To(Equal(frames.StartSession{Peer: alice.key, Sealed: []byte("g^a")}))
		alice.hearsNothing(ctx)
	}, SpecTimeout(patience))

	It("may be empty, and have 4096 bytes", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.login(ctx), r.login(ctx)
		for _, sealed := range [][]byte{{}, make([]byte, frames.MaxSealed)} {
			alice.says(frames.StartSession{Peer: bob.key, Sealed: sealed})
			Expect(bob.hears(ctx)).To(Equal(frames.StartSession{Peer: alice.key, Sealed: sealed}))
		}
	}, SpecTimeout(patience))

	When("it is asked again", func() {
		It("reaches the peer again, and counts once", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.login(ctx), r.login(ctx)
			alice.asks(ctx, bob)
			alice.meets(ctx, bob)
			bob.says(frames.AcceptSession{Peer: alice.key})
			bob.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
		}, SpecTimeout(patience))
	})

	When("the peer is not connected, or never was", func() {
		It("is refused with UNAVAILABLE after a moment, and what is behind it does not wait for that", func(ctx SpecContext) {
			r := startRelay()
			alice, gone := r.login(ctx), r.login(ctx)
			Expect(gone.conn.Close()).To(Succeed())
			r.settles(ctx)
			for _, key := range []frames.Key{freshKey(2048), {0x30, 0}} {
				alice.says(frames.StartSession{Peer: key}, frames.Message{Peer: key})
				Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, alice.said, frames.NoSession))
				Expect(alice.hears(ctx)).To(beError(frames.TypeStart, alice.said-1, frames.Unavailable))
			}
			Eventually(ctx, func(_ Gomega) { // Gone's end may be read later than Alice's frame
				alice.says(frames.StartSession{Peer: gone.key})
				alice.isRefused(ctx, frames.TypeStart, frames.Unavailable)
			}).Should(Succeed())
		}, SpecTimeout(patience))
	})

	When("the peer has as many requests of strangers as allowed", func() {
		It("is refused with UNAVAILABLE, but not between those who have a session", func(ctx SpecContext) {
			needsInside("the relay has to be told a small limit")
			r := startRelay(func(c *supervisor.Config) { c.AskedOf = 1 })
			alice, bob, carol, dave := r.login(ctx), r.login(ctx), r.login(ctx), r.login(ctx)
			alice.meets(ctx, bob)
			carol.asks(ctx, bob)
			dave.says(frames.StartSession{Peer: bob.key})
			dave.isRefused(ctx, frames.TypeStart, frames.Unavailable)
			alice.asks(ctx, bob)
			carol.asks(ctx, bob)
		}, SpecTimeout(patience))
	})

	When("the user has as many requests pending as allowed", func() {
		It("is refused with LIMIT, until one is accepted", func(ctx SpecContext) {
			needsInside("the relay has to be told a small limit")
			r := startRelay(func(c *supervisor.Config) { c.AskedBy = 1 })
			alice, bob, carol := r.login(ctx), r.login(ctx), r.login(ctx)
			alice.asks(ctx, bob)
			alice.says(frames.StartSession{Peer: carol.key})
			alice.isRefused(ctx, frames.TypeStart, frames.Limit)
			alice.meets(ctx, bob)
			alice.asks(ctx, carol)
		}, SpecTimeout(patience))
	})

	When("the user has as many sessions as allowed", func() {
		It("is refused with LIMIT, and so is accepting one", func(ctx SpecContext) {
			needsInside("the relay has to be told a small limit")
			r := startRelay(func(c *supervisor.Config) { c.Sessions = 1 })
			alice, bob, carol := r.login(ctx), r.login(ctx), r.login(ctx)
			alice.meets(ctx, bob)
			alice.asks(ctx, bob) // a new key for the session there is
			alice.says(frames.StartSession{Peer: carol.key})
			alice.isRefused(ctx, frames.TypeStart, frames.Limit)
			carol.asks(ctx, alice)
			alice.says(frames.AcceptSession{Peer: carol.key})
			alice.isRefused(ctx, frames.TypeAccept, frames.Limit)
		}, SpecTimeout(patience))
	})
})

var _ = Describe("Accepting a session", func() {
	It("opens it for both", func(ctx SpecContext) {
		alice, bob := startRelay().session(ctx)
		alice.says(frames.Message{Peer: bob.key, Body: []byte("hello Bob")})
		Expect(bob.hears(ctx)).To(Equal(message(alice, "hello Bob")))
		bob.says(frames.Message{Peer: alice.key, Body: []byte("hello Alice")})
		Expect(alice.hears(ctx)).To(Equal(message(bob, "hello Alice")))
	}, SpecTimeout(patience))

	It("may be followed by messages at once", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.login(ctx), r.login(ctx)
		alice.asks(ctx, bob)
		bob.says(frames.AcceptSession{Peer: alice.key}, frames.Message{Peer: alice.key, Body: []byte("1")}, frames.Message{Peer: alice.key, Body: []byte("2")})
		Expect(alice.hears(ctx)).To(Equal(frames.AcceptSession{Peer: bob.key, Sealed: []byte{}}))
		Expect(alice.hears(ctx)).To(Equal(message(bob, "1")))
		Expect(alice.hears(ctx)).To(Equal(message(bob, "2")))
	}, SpecTimeout(patience))

	When("nobody asked", func() {
		It("is refused with NO_REQUEST and never reaches the peer", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.login(ctx), r.login(ctx)
			bob.says(frames.AcceptSession{Peer: alice.key})
			bob.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
			alice.hearsNothing(ctx)
		}, SpecTimeout(patience))
	})

	When("both asked", func() {
		It("uses up both requests", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.login(ctx), r.login(ctx)
			alice.asks(ctx, bob)
			bob.asks(ctx, alice)
			alice.says(frames.AcceptSession{Peer: bob.key, Sealed: []byte("ok")})
			Expect(bob.hears(ctx)).To(Equal(frames.AcceptSession{Peer: alice.key, Sealed: []byte("ok")}))
			bob.says(frames.AcceptSession{Peer: alice.key})
			bob.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
			bob.says(frames.Message{Peer: alice.key, Body: []byte("fine")})
			Expect(alice.hears(ctx)).To(Equal(message(bob, "fine")))
		}, SpecTimeout(patience))
	})

	When("a new key is asked for while the session is open", func() {
		It("leaves the session open throughout", func(ctx SpecContext) {
			alice, bob := startRelay().session(ctx)
			alice.asks(ctx, bob)
			alice.says(frames.Message{Peer: bob.key, Body: []byte("old key")})
			Expect(bob.hears(ctx)).To(Equal(message(alice, "old key")))
			bob.says(frames.AcceptSession{Peer: alice.key})
			Expect(alice.hears(ctx)).To(Equal(frames.AcceptSession{Peer: bob.key, Sealed: []byte{}}))
			alice.says(frames.Message{Peer: bob.key, Body: []byte("new key")})
			Expect(bob.hears(ctx)).To(Equal(message(alice, "new key")))
		}, SpecTimeout(patience))
	})
})
