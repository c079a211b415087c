package specs_test

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// For how long sessions are kept, and of how many: package supervisor, TestASessionEndsWhenSomebodyIsAwayForTooLong and
// TestWhoIsAwayForLongestIsForgottenFirst.

// whileAway is what Alice, who is away and has a session with Bob, brings him.
var whileAway = []struct {
	name  string
	frame func(alice *client) frames.Frame
	code  frames.Code
}{
	{"Message", func(alice *client) frames.Frame { return message(alice, "are you there?") }, frames.Offline},
	{"StartSession", func(alice *client) frames.Frame { return frames.StartSession{Peer: alice.key, Sealed: mark} }, frames.Offline},
	{"StartSession again", func(alice *client) frames.Frame { return frames.StartSession{Peer: alice.key} }, frames.Offline},
	{"AcceptSession", func(alice *client) frames.Frame { return frames.AcceptSession{Peer: alice.key} }, frames.NoRequest},
}

// leaves ends the connection, and has Bob find out.
func (o *owner) leaves(ctx context.Context, bob *owner) {
	GinkgoHelper()
	o.dies()
	Eventually(ctx, func() bool {
		bob.says(message(o.client, "are you still there?"))
		number := bob.said
		return slices.ContainsFunc(bob.hearsUntilAnswered(ctx), func(f frames.Frame) bool {
			e, ok := f.(frames.Error)
			return ok && e.Code == frames.Offline && e.Number == number // what was refused before came before
		})
	}).WithPolling(soon).Should(BeTrue())
}

var _ = Describe("Being away", func() {
	When("both have proved", func() {
		It("refuses what comes with OFFLINE, in vain for who accepts, and goes on with the session afterwards", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.provenSession(ctx, 0)
			alice.asks(ctx, bob.client) // ends with her connection
			for range 3 {
				alice.leaves(ctx, bob)
				for _, x := range whileAway {
					bob.says(x.frame(alice.client))
					bob.isRefused(ctx, x.frame(alice.client).Type(), x.code)
				}
				again := r.proves(ctx, alice.private, 0)
				again.says(message(bob.client, "back"))
				Expect(bob.hears(ctx)).To(Equal(message(again.client, "back")))
				bob.says(message(again.client, "welcome"))
				Expect(again.hears(ctx)).To(Equal(message(bob.client, "welcome")))
				alice = again
			}
		}, SpecTimeout(2*patience))

		It("keeps sessions when both are, whoever comes back first", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.provenSession(ctx, 0)
			for range 3 {
				alice.dies()
				bob.dies()
				alice = r.proves(ctx, alice.private, 0)
				bob = r.proves(ctx, bob.private, 0)
				alice.says(message(bob.client, "us two"))
				Expect(bob.hears(ctx)).To(Equal(message(alice.client, "us two")))
				alice, bob = bob, alice
			}
		}, SpecTimeout(patience))

		It("is not to be told from being unknown, for strangers", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.provenSession(ctx, 0)
			carol := r.proves(ctx, freshOwner(), 0)
			alice.leaves(ctx, bob)
			for _, who := range []frames.Key{alice.key, freshKey(2048)} {
				carol.says(frames.StartSession{Peer: who})
				carol.isRefused(ctx, frames.TypeStart, frames.Unavailable)
				carol.says(frames.Message{Peer: who})
				carol.isRefused(ctx, frames.TypeMessage, frames.NoSession)
			}
		}, SpecTimeout(patience))

		It("ends requests, both ways", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.provenSession(ctx, 0)
			carol, dave := r.proves(ctx, freshOwner(), 0), r.login(ctx)
			alice.asks(ctx, carol.client)
			dave.asks(ctx, alice.client)
			alice.leaves(ctx, bob)
			carol.says(frames.AcceptSession{Peer: alice.key})
			carol.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
			again := r.proves(ctx, alice.private, 0)
			again.says(frames.AcceptSession{Peer: dave.key})
			again.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
		}, SpecTimeout(patience))

		It("ends with the relay: afterwards there are no sessions", func(ctx SpecContext) {
			needsInside("the relay has to be restarted")
			pins := store.NewMemory()
			first := startRelay(keepingIn(pins))
			alice, bob := first.provenSession(ctx, 0)
			alice.dies()
			bob.dies()
			Expect(first.inside.Stop(ctx)).To(Succeed())
			second := startRelay(keepingIn(pins))
			haveNothing(ctx, second.proves(ctx, alice.private, 0).client, second.proves(ctx, bob.private, 0).client)
		}, SpecTimeout(patience))
	})

	When("one has not proved", func() {
		It("keeps nothing, whoever of them leaves", func(ctx SpecContext) {
			r := startRelay()
			for _, who := range []int{0, 1} {
				alice, bob := r.proves(ctx, freshOwner(), 0), r.logsInUnproven(ctx, 0)
				alice.meets(ctx, bob.client)
				leaves, stays := []*owner{alice, bob}[who], []*owner{bob, alice}[who]
				leaves.dies()
				Expect(stays.hears(ctx)).To(Equal(frames.EndSession{Peer: leaves.key, Reason: "disconnected"}))
				again := r.proves(ctx, leaves.private, 0)
				haveNothing(ctx, again.client, stays.client)
			}
		}, SpecTimeout(patience))

		It("keeps nothing of a session that was opened so, though both have proved since", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.proves(ctx, freshOwner(), 0), r.logsInUnproven(ctx, 0)
			alice.meets(ctx, bob.client)
			again := r.proves(ctx, bob.private, 0)
			Expect(alice.hears(ctx)).To(Equal(frames.EndSession{Peer: bob.key, Reason: "disconnected"}))
			haveNothing(ctx, alice.client, again.client)
		}, SpecTimeout(patience))
	})

	When("the pin of who is away is gone", func() {
		It("ends the sessions before somebody is in without proof", func(ctx SpecContext) {
			needsInside("a pin has to be taken away")
			pins := store.NewMemory()
			r := startRelay(keepingIn(pins))
			alice, bob := r.provenSession(ctx, 0)
			alice.leaves(ctx, bob)
			Expect(pins.Unpin(alice.key.Fingerprint())).To(BeTrue())
			mallory := r.loginAs(ctx, alice.key)
			Expect(bob.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key, Reason: "disconnected"}))
			haveNothing(ctx, mallory, bob.client)
		}, SpecTimeout(patience))
	})

	When("who is away crashes too often", func() {
		It("ends the sessions, and peers are told", func(ctx SpecContext) {
			b := &bomb{spot: spot{kind: supervisor.KindUser, message: "Hear", number: 1}}
			r := startRelayWith(b, func(c *supervisor.Config) { c.Crashes = 1 })
			alice, bob := r.provenSession(ctx, 0)
			alice.leaves(ctx, bob)
			b.arm(4)
			for range 2 {
				bob.says(message(alice.client, "are you there?"))
			}
			Eventually(ctx, func() frames.Frame { return bob.hears(ctx) }).Should(Equal(frames.EndSession{Peer: alice.key, Reason: "disconnected"}))
			b.arm(0)
			Eventually(ctx, func() frames.Frame { // behind what is refused of before
				bob.says(message(alice.client, "not any more"))
				return bob.hears(ctx)
			}).Should(HaveField("Code", frames.NoSession))
			bob.hearsUntilAnswered(ctx)
			alice = r.proves(ctx, alice.private, 0)
			haveNothing(ctx, alice.client, bob.client)
		}, SpecTimeout(patience))
	})
})
