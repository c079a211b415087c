package specs_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Crashing at a socket", func() {
	var (
		r           *relay
		t           *trap
		carol, dave *client
	)
	BeforeEach(func(ctx SpecContext) {
		b := &bomb{}
		r = startRelayWith(b)
		carol, dave = r.session(ctx)
		t = &trap{told: b.told}
		r.serve(t.listens)
	})
	AfterEach(func(ctx SpecContext) { // nobody else has noticed
		carol.says(message(dave, "fine here"))
		Expect(dave.hears(ctx)).To(Equal(message(carol, "fine here")))
	}, NodeTimeout(patience))

	When("reading from Alice panics", func() {
		It("says so, closes her connection, and she can log in again", func(ctx SpecContext) {
			alice, bob := r.session(ctx)
			r.settles(ctx) // in the middle of a write there would be no last word
			t.reading.Store(1)
			alice.says(frames.Message{Peer: bob.key, Body: []byte("ouch")})
			alice.isTold(ctx, frames.Internal)
			bob.meets(ctx, r.returns(ctx, alice))
		}, SpecTimeout(patience))

		It("closes her connection before she has logged in, too", func(ctx SpecContext) {
			alice := r.connect()
			t.reading.Store(1)
			alice.says(frames.Login{Key: alice.key})
			alice.isTold(ctx, frames.Internal)
			r.loginAs(ctx, alice.key)
		}, SpecTimeout(patience))
	})

	When("writing to Bob panics", func() {
		It("closes his connection, and refuses what was for him with OFFLINE", func(ctx SpecContext) {
			alice, bob := r.session(ctx)
			t.writing.Store(1)
			alice.says(frames.Message{Peer: bob.key, Body: []byte("ouch")})
			alice.isRefused(ctx, frames.TypeMessage, frames.Offline)
			bob.isClosed(ctx)
			alice.meets(ctx, r.returns(ctx, bob))
		}, SpecTimeout(patience))
	})
})

var _ = Describe("Crashing with somebody who does not read", func() {
	for _, c := range []struct {
		what    string
		message string // that Bob's connection crashes on
		prepare func(ctx SpecContext, b *bomb, t *trap)
	}{
		{
			"Bob's connection, which cannot tell what waits, crashes after it has taken note of a write", "ready",
			func(_ SpecContext, b *bomb, _ *trap) { b.arm(1) },
		},
		{
			"Bob's connection crashes when it looks whether he keeps up", "tick",
			func(ctx SpecContext, b *bomb, _ *trap) {
				b.arm(1)
				Eventually(ctx, func() bool { return b.told.crashed(supervisor.KindConnection, 2) }).Should(BeTrue())
			},
		},
		{
			"what is writing to Bob panics in the middle", "",
			func(_ SpecContext, _ *bomb, t *trap) { t.writing.Store(3) },
		},
	} {
		When(c.what, func() {
			It("gives every message one outcome: Bob hears the first ones, and the others are refused with OFFLINE", func(ctx SpecContext) {
				b := &bomb{spot: spot{kind: supervisor.KindConnection, message: c.message, number: 2}, after: true}
				r := startRelayWith(b, func(c *supervisor.Config) { c.Window = 1 << 20 }) // it takes all at once
				t := &trap{told: b.told}
				r.servePipes(t.listens)
				alice, bob := r.session(ctx)
				const count = 16
				var list []frames.Frame
				for i := range count {
					list = append(list, frames.Message{Peer: bob.key, Body: numbered(i, 10000)})
				}
				said := alice.said
				alice.says(list...)
				r.stalls(ctx)
				c.prepare(ctx, b, t)
				heard := bob.hearsUntilClosed(ctx)
				Expect(len(heard)).To(BeNumerically("<", count))
				for i, f := range heard {
					Expect(f).To(Equal(frames.Message{Peer: alice.key, Body: numbered(i, 10000)}))
				}
				for i := len(heard); i < count; i++ {
					Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, said+uint64(i)+1, frames.Offline))
				}
				alice.hearsNothing(ctx)
				Expect(r.inside.Account().Delivered.Frames).To(BeEquivalentTo(len(heard) + 2)) // the request and the acceptance
			}, SpecTimeout(patience))
		})
	}

	When("closing Bob's connection panics", func() {
		It("refuses what waited for him, and his key can log in again", func(ctx SpecContext) {
			b := &bomb{}
			r := startRelayWith(b)
			t := &trap{told: b.told}
			r.servePipes(t.listens)
			alice, bob := r.session(ctx)
			for range 3 {
				alice.says(frames.Message{Peer: bob.key, Body: make([]byte, 1000)})
			}
			r.stalls(ctx)
			t.closing.Store(true)
			Expect(bob.conn.Close()).To(Succeed())
			for n := alice.said - 2; n <= alice.said; n++ {
				Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, n, frames.Offline))
			}
			alice.meets(ctx, r.returns(ctx, bob))
		}, SpecTimeout(patience))
	})
})
