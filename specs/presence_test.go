package specs_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

// What passes within a second is told in package supervisor: TestPresenceDoesNotTellOfWhatPasses and those beside it.

// isHere and isGone are what peers are told of somebody.
func (c *client) isHere() frames.Presence { return frames.Presence{Online: true, Peer: c.key} }
func (c *client) isGone() frames.Presence { return frames.Presence{Online: false, Peer: c.key} }

// logsInUnproven says Hello, and logs in without a proof.
func (r *relay) logsInUnproven(ctx context.Context, features uint32) *owner {
	GinkgoHelper()
	o := r.greets(ctx, freshOwner(), features)
	o.says(frames.Login{Key: o.key})
	Expect(o.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	return o
}

var _ = Describe("Knowing who is there", func() {
	When("both have proved, both asked for it, and have a session", func() {
		It("is told at its opening, when one goes, and when one comes", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.provenSession(ctx, wantsPresence) // which hears of each other
			alice.dies()
			Expect(bob.hears(ctx)).To(Equal(alice.isGone()))
			again := r.proves(ctx, alice.private, wantsPresence)
			Expect(again.hears(ctx)).To(Equal(bob.isHere()))
			Expect(bob.hears(ctx)).To(Equal(alice.isHere()), "a second after the last change")
		}, SpecTimeout(patience))

		It("is told at login, of each peer, as it is", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.provenSession(ctx, wantsPresence)
			carol := r.proves(ctx, freshOwner(), wantsPresence)
			carol.meets(ctx, alice.client)
			Expect(alice.hears(ctx)).To(Equal(carol.isHere()))
			alice.dies()
			Expect(bob.hears(ctx)).To(Equal(alice.isGone()))
			carol.dies()
			again := r.proves(ctx, alice.private, wantsPresence)
			Expect([]frames.Frame{again.hears(ctx), again.hears(ctx)}).To(ConsistOf(bob.isHere(), carol.isGone()))
			again.hearsNothing(ctx)
		}, SpecTimeout(patience))

		It("is not told again when they exchange a new key", func(ctx SpecContext) {
			alice, bob := startRelay().provenSession(ctx, wantsPresence)
			for range 3 {
				alice.meets(ctx, bob.client)
				bob.meets(ctx, alice.client)
			}
			Expect(alice.hearsUntilAnswered(ctx)).To(BeEmpty())
			Expect(bob.hearsUntilAnswered(ctx)).To(BeEmpty())
		}, SpecTimeout(patience))

		It("is told once when their requests have crossed, and both accept", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.proves(ctx, freshOwner(), wantsPresence), r.proves(ctx, freshOwner(), wantsPresence)
			alice.asks(ctx, bob.client)
			bob.asks(ctx, alice.client)
			alice.says(frames.AcceptSession{Peer: bob.key})
			bob.says(frames.AcceptSession{Peer: alice.key})
			heard := func(c *client) (told []frames.Frame) {
				for range 2 {
					for _, f := range c.hearsUntilAnswered(ctx) {
						if f.Type() == frames.TypePresence {
							told = append(told, f)
						}
					}
				}
				return told
			}
			alice.hearsUntilAnswered(ctx)
			Expect(len(heard(bob.client))).To(BeNumerically("<=", 1))
			alice.says(message(bob.client, "open"))
			Expect(bob.hears(ctx)).To(Equal(message(alice.client, "open")))
		}, SpecTimeout(patience))

		It("is told no more once the session has ended", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.provenSession(ctx, wantsPresence)
			alice.says(frames.EndSession{Peer: bob.key})
			Expect(bob.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key}))
			alice.dies()
			again := r.proves(ctx, alice.private, wantsPresence)
			Expect(again.hearsUntilAnswered(ctx)).To(BeEmpty())
			Expect(bob.hearsUntilAnswered(ctx)).To(BeEmpty())
			again.meets(ctx, bob.client)
			Expect(again.hears(ctx)).To(Equal(bob.isHere()), "a new one is another")
			Expect(bob.hears(ctx)).To(Equal(again.isHere()))
		}, SpecTimeout(patience))
	})

	for _, who := range []struct {
		name string
		bob  func(ctx context.Context, r *relay) *client
	}{
		{"did not ask for it", func(ctx context.Context, r *relay) *client { return r.proves(ctx, freshOwner(), 0).client }},
		{"has not proved", func(ctx context.Context, r *relay) *client { return r.logsInUnproven(ctx, wantsPresence).client }},
		{"is a seed client", func(ctx context.Context, r *relay) *client { return r.login(ctx) }},
	} {
		When("Alice asked for it, and Bob "+who.name, func() {
			It("is told to neither, whoever asked for the session", func(ctx SpecContext) {
				r := startRelay()
				alice := r.proves(ctx, freshOwner(), wantsPresence)
				for _, asks := range []bool{true, false} {
					bob := who.bob(ctx, r)
					if asks {
						alice.meets(ctx, bob)
					} else {
						bob.meets(ctx, alice.client)
					}
					alice.hearsNothing(ctx)
					bob.hearsNothing(ctx)
					alice.dies()
					alice = r.proves(ctx, alice.private, wantsPresence)
					for _, f := range bob.hearsUntilAnswered(ctx) {
						Expect(f.Type()).NotTo(Equal(frames.TypePresence))
					}
					bob.dies()
					for _, f := range alice.hearsUntilAnswered(ctx) {
						Expect(f.Type()).NotTo(Equal(frames.TypePresence))
					}
				}
			}, SpecTimeout(patience))
		})
	}

	It("is not told where there is a request only", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.proves(ctx, freshOwner(), wantsPresence), r.proves(ctx, freshOwner(), wantsPresence)
		alice.asks(ctx, bob.client)
		bob.asks(ctx, alice.client)
		alice.hearsNothing(ctx)
		bob.hearsNothing(ctx)
	}, SpecTimeout(patience))

	It("goes by what each asked for when last connected", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.provenSession(ctx, wantsPresence)
		again := r.proves(ctx, alice.private, 0)
		alice.isReplaced(ctx)
		again.says(message(bob.client, "not to be seen any more"))
		Expect(bob.hears(ctx)).To(Equal(message(again.client, "not to be seen any more")))
		Expect(again.hearsUntilAnswered(ctx)).To(BeEmpty())
		third := r.proves(ctx, alice.private, wantsPresence)
		again.isReplaced(ctx)
		Expect(third.hears(ctx)).To(Equal(bob.isHere()))
		Expect(bob.hearsUntilAnswered(ctx)).To(BeEmpty(), "he knows")
	}, SpecTimeout(patience))
})
