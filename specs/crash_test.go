package specs_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// Who of two is whose actor: of a session's, Alice is the first who logged in, and Bob the second.
var (
	alicesTake = spot{kind: supervisor.KindUser, message: "Take", number: 1}
	bobsHear   = spot{kind: supervisor.KindUser, message: "Hear", number: 2}
)

var _ = Describe("Crashing", func() {
	for who, crashing := range map[string]spot{"Alice's": alicesTake, "Bob's": bobsHear} {
		for _, after := range []bool{false, true} {
			moment := map[bool]string{false: "before", true: "after"}[after]
			When(who+" actor crashes once, "+moment+" it handled Alice's message", func() {
				It("costs nothing: every frame arrives once, in order", func(ctx SpecContext) {
					b := &bomb{spot: crashing, after: after}
					r := startRelayWith(b)
					alice, bob := r.session(ctx)
					b.arm(1)
					for _, body := range []string{"1", "2", "3"} {
						alice.says(frames.Message{Peer: bob.key, Body: []byte(body)})
					}
					for _, body := range []string{"1", "2", "3"} {
						Expect(bob.hears(ctx)).To(Equal(message(alice, body)))
					}
				}, SpecTimeout(patience))
			})
		}

		When(who+" actor crashes again and again on Alice's message", func() {
			It("refuses that frame with INTERNAL, and goes on with the session", func(ctx SpecContext) {
				b := &bomb{spot: crashing}
				r := startRelayWith(b)
				alice, bob := r.session(ctx)
				b.arm(2)
				alice.says(frames.Message{Peer: bob.key, Body: []byte(canary)})
				alice.isRefused(ctx, frames.TypeMessage, frames.Internal)
				alice.says(frames.Message{Peer: bob.key, Body: []byte("next")})
				Expect(bob.hears(ctx)).To(Equal(message(alice, "next")))
			}, SpecTimeout(patience))

			It("closes that user's connection when it is too often, and nobody else's", func(ctx SpecContext) {
				b := &bomb{spot: crashing}
				r := startRelayWith(b, func(c *supervisor.Config) { c.Crashes = 1 })
				alice, bob := r.session(ctx)
				victim, other := alice, bob
				if crashing == bobsHear {
					victim, other = bob, alice
				}
				b.arm(2)
				alice.says(frames.Message{Peer: bob.key, Body: []byte("ouch")})
				if victim == alice {
					alice.isRefused(ctx, frames.TypeMessage, frames.Internal)
				}
				victim.isTold(ctx, frames.Internal)
				if other == alice {
					alice.isRefused(ctx, frames.TypeMessage, frames.Internal)
				}
				again := r.returns(ctx, victim)
				other.says(frames.Message{Peer: victim.key})
				other.isRefused(ctx, frames.TypeMessage, frames.NoSession)
				other.meets(ctx, again)
			}, SpecTimeout(patience))

			It("goes on with the session when it is often, but not within the time that counts", func(ctx SpecContext) {
				b := &bomb{spot: crashing}
				const window = time.Millisecond
				r := startRelayWith(b, func(c *supervisor.Config) { c.Crashes, c.CrashWindow = 1, window })
				alice, bob := r.session(ctx)
				for range 5 {
					b.arm(1)
					alice.says(message(bob, "ouch"))
					Expect(bob.hears(ctx)).To(Equal(message(alice, "ouch")))
					crashed := time.Now()
					Eventually(ctx, func() time.Duration { return time.Since(crashed) }).WithPolling(window).Should(BeNumerically(">", window))
				}
			}, SpecTimeout(patience))
		})
	}

	When("Bob's actor crashes on Alice's StartSession", func() {
		It("costs nothing the first time, and INTERNAL the second", func(ctx SpecContext) {
			b := &bomb{spot: bobsHear}
			r := startRelayWith(b)
			alice, bob := r.login(ctx), r.login(ctx)
			b.arm(1)
			alice.asks(ctx, bob)
			b.arm(2)
			alice.says(frames.StartSession{Peer: bob.key})
			alice.isRefused(ctx, frames.TypeStart, frames.Internal)
			alice.meets(ctx, bob)
		}, SpecTimeout(patience))
	})

	When("Alice's actor crashes on Bob's AcceptSession", func() {
		It("costs nothing the first time; the second it costs INTERNAL, and Alice has to ask again", func(ctx SpecContext) {
			b := &bomb{spot: spot{kind: supervisor.KindUser, message: "Hear", number: 1}}
			r := startRelayWith(b)
			alice, bob := r.login(ctx), r.login(ctx)
			b.arm(1)
			alice.meets(ctx, bob)
			carol := r.login(ctx)
			alice.asks(ctx, carol)
			b.arm(2)
			carol.says(frames.AcceptSession{Peer: alice.key})
			carol.isRefused(ctx, frames.TypeAccept, frames.Internal)
			alice.says(message(carol, "yes?"))
			alice.isRefused(ctx, frames.TypeMessage, frames.NoSession)
			alice.meets(ctx, carol)
		}, SpecTimeout(patience))
	})

	When("the host stops the actor of a user who has nobody", func() {
		It("tells her so, closes her connection, and she can log in again", func(ctx SpecContext) {
			stop := stopping()
			stop.arm(1)
			r := startRelayWith(&bomb{with: []charge{stop}})
			alice := r.login(ctx)
			alice.says(rawType(0x7f))
			alice.isRefused(ctx, 0x7f, frames.Unsupported)
			alice.isTold(ctx, frames.ShuttingDown)
			r.insists(ctx, alice)
		}, SpecTimeout(patience))
	})

	When("a connection crashes", func() {
		for _, after := range []bool{false, true} {
			It(fmt.Sprintf("says so, closes that socket and no other, and gives each frame one outcome (handled: %v)", after), func(ctx SpecContext) {
				b := &bomb{spot: spot{kind: supervisor.KindConnection, message: "Deliver", number: 2}, after: after}
				r := startRelayWith(b)
				alice, bob := r.session(ctx)
				carol := r.login(ctx)
				alice.meets(ctx, carol)
				b.arm(1)
				alice.says(frames.Message{Peer: bob.key, Body: []byte("to a socket that is about to close")})
				if after { // it may have been written in time, or not
					bob.hearsUntilClosed(ctx)
				} else {
					alice.isRefused(ctx, frames.TypeMessage, frames.Offline)
					bob.isTold(ctx, frames.Internal)
				}
				alice.says(frames.Message{Peer: carol.key, Body: []byte("still there?")})
				Expect(carol.hears(ctx)).To(Equal(message(alice, "still there?")))
				carol.meets(ctx, r.returns(ctx, bob))
			}, SpecTimeout(patience))
		}
	})

	When("Connections crashes", func() {
		It("accepts the connection the first time, and closes it the second; nobody else notices", func(ctx SpecContext) {
			b := &bomb{spot: spot{kind: supervisor.KindConnections, message: "Welcome"}}
			r := startRelayWith(b)
			b.arm(1)
			alice, bob := r.session(ctx)
			b.arm(2)
			r.connect().isClosed(ctx)
			alice.says(message(bob, "as before"))
			Expect(bob.hears(ctx)).To(Equal(message(alice, "as before")))
			r.login(ctx)
		}, SpecTimeout(patience))
	})

	When("the Registry crashes after it has passed on a StartSession, and hears of somebody's end before it tries again", func() {
		It("asks Bob once", func(ctx SpecContext) {
			b := &bomb{spot: spot{kind: supervisor.KindRegistry, message: "Introduce"}, after: true, first: terminated}
			r := startRelayWith(b)
			alice, bob := r.login(ctx), r.login(ctx)
			b.arm(1)
			alice.asks(ctx, bob)
			bob.hearsNothing(ctx)
			alice.meets(ctx, bob)
		}, SpecTimeout(patience))
	})
})

// hearsUntilClosed returns what comes until the relay closes the connection.
func (c *client) hearsUntilClosed(ctx context.Context) (all []frames.Frame) {
	GinkgoHelper()
	for {
		f, err := c.frame(ctx)
		if err != nil {
			Expect(closedByPeer(err)).To(BeTrue(), "heard %v", err)
			return all
		}
		all = append(all, f)
	}
}

// isTold expects the Error that a connection is closed with, and closes the other end, too.
func (c *client) isTold(ctx context.Context, code frames.Code) {
	GinkgoHelper()
	Expect(c.hears(ctx)).To(beError(0, 0, code))
	c.isClosed(ctx)
	Expect(c.conn.Close()).To(Succeed())
}
