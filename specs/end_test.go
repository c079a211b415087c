package specs_test

import (
	"context"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

// pairs are the states of Alice and Bob that they can be in, and whether a session is open in them.
var pairs = []struct {
	name  string
	reach func(ctx context.Context, alice, bob *client)
	open  bool
}{
	{"have nothing", func(context.Context, *client, *client) {}, false},
	{"have her request", func(ctx context.Context, alice, bob *client) { alice.asks(ctx, bob) }, false},
	{"have his request", func(ctx context.Context, alice, bob *client) { bob.asks(ctx, alice) }, false},
	{"have both requests", func(ctx context.Context, alice, bob *client) {
		alice.asks(ctx, bob)
		bob.asks(ctx, alice)
	}, false},
	{"have a session", func(ctx context.Context, alice, bob *client) { alice.meets(ctx, bob) }, true},
	{"have a session and her request", func(ctx context.Context, alice, bob *client) {
		alice.meets(ctx, bob)
		alice.asks(ctx, bob)
	}, true},
	{"have a session and his request", func(ctx context.Context, alice, bob *client) {
		alice.meets(ctx, bob)
		bob.asks(ctx, alice)
	}, true},
	{"have a session and both requests", func(ctx context.Context, alice, bob *client) {
		bob.meets(ctx, alice)
		alice.asks(ctx, bob)
		bob.asks(ctx, alice)
	}, true},
}

// haveNothing expects that there is neither a session nor a request between two.
func haveNothing(ctx context.Context, alice, bob *client) {
	GinkgoHelper()
	for _, c := range [][2]*client{{alice, bob}, {bob, alice}} {
		c[0].says(message(c[1], "is there a session?"))
		c[0].isRefused(ctx, frames.TypeMessage, frames.NoSession)
		c[0].says(frames.AcceptSession{Peer: c[1].key})
		c[0].isRefused(ctx, frames.TypeAccept, frames.NoRequest)
	}
}

var _ = Describe("Ending a session", func() {
	for _, pair := range pairs {
		for _, who := range []struct {
			name string
			bob  func(ctx context.Context, r *relay) *client
			told bool
		}{
			{"Bob, who has proved,", func(ctx context.Context, r *relay) *client { return r.proves(ctx, freshOwner(), 0).client }, true},
			{"Bob, who said Hello and has not proved,", func(ctx context.Context, r *relay) *client {
				bob := r.greets(ctx, freshOwner(), 0)
				bob.says(frames.Login{Key: bob.key})
				Expect(bob.hears(ctx)).To(Equal(frames.LoginAccepted{}))
				return bob.client
			}, true},
			{"Bob, a seed client,", func(ctx context.Context, r *relay) *client { return r.login(ctx) }, false},
		} {
			fact := "leaves nothing, and is not heard of"
			if pair.open && who.told {
				fact = "leaves nothing, and is heard of"
			}
			It(fact+", where Alice and "+who.name+" "+pair.name, func(ctx SpecContext) {
				r := startRelay()
				alice, bob := r.proves(ctx, freshOwner(), 0).client, who.bob(ctx, r)
				pair.reach(ctx, alice, bob)
				for range 2 { // the second time there is nothing
					alice.says(frames.EndSession{Peer: bob.key, Reason: "dinner"})
				}
				Expect(alice.hearsUntilAnswered(ctx)).To(BeEmpty())
				var told []frames.Frame
				if pair.open && who.told {
					told = []frames.Frame{frames.EndSession{Peer: alice.key, Reason: "dinner"}}
				}
				Expect(bob.hearsUntilAnswered(ctx)).To(Equal(told))
				haveNothing(ctx, alice, bob)
				bob.meets(ctx, alice)
				alice.says(message(bob, "again"))
				Expect(bob.hears(ctx)).To(Equal(message(alice, "again")))
			}, SpecTimeout(patience))
		}
	}

	It("comes behind what was said before it, and what is said behind it has no session", func(ctx SpecContext) {
		alice, bob := startRelay().provenSession(ctx, 0)
		alice.says(message(bob.client, "last"), frames.EndSession{Peer: bob.key, Reason: "dinner"}, message(bob.client, "too late"))
		alice.isRefused(ctx, frames.TypeMessage, frames.NoSession)
		Expect(bob.hears(ctx)).To(Equal(message(alice.client, "last")))
		Expect(bob.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key, Reason: "dinner"}))
	}, SpecTimeout(patience))

	It("takes a reason of any bytes, of 256 at most, or none", func(ctx SpecContext) {
		alice, bob := startRelay().provenSession(ctx, 0)
		for _, reason := range []string{"", "\x00\xff\n", strings.Repeat("ü", 128)} {
			alice.says(frames.EndSession{Peer: bob.key, Reason: reason})
			Expect(bob.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key, Reason: reason}))
			alice.meets(ctx, bob.client)
		}
		alice.says(frames.EndSession{Peer: bob.key, Reason: strings.Repeat("u", 257)})
		alice.isRefused(ctx, frames.TypeEnd, frames.Malformed)
		alice.says(message(bob.client, "so we go on"))
		Expect(bob.hears(ctx)).To(Equal(message(alice.client, "so we go on")))
	}, SpecTimeout(patience))

	It("of several frees their places, and leaves the others", func(ctx SpecContext) {
		r := startRelay()
		alice, bob, carol := r.proves(ctx, freshOwner(), 0), r.login(ctx), r.login(ctx)
		alice.meets(ctx, bob)
		alice.meets(ctx, carol)
		alice.says(frames.EndSession{Peer: bob.key}, message(carol, "not you"))
		Expect(carol.hears(ctx)).To(Equal(message(alice.client, "not you")))
		carol.says(message(alice.client, "good"))
		Expect(alice.hears(ctx)).To(Equal(message(carol, "good")))
		haveNothing(ctx, alice.client, bob)
	}, SpecTimeout(patience))

	It("leaves nothing when both end it at once, and neither is told twice", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.provenSession(ctx, 0)
		for range 50 {
			done := make(chan struct{})
			go func() {
				defer GinkgoRecover()
				defer close(done)
				bob.says(frames.EndSession{Peer: alice.key, Reason: "his"})
			}()
			alice.says(frames.EndSession{Peer: bob.key, Reason: "hers"})
			<-done
			hers, his := alice.hearsUntilAnswered(ctx), bob.hearsUntilAnswered(ctx)
			hers = append(hers, alice.hearsUntilAnswered(ctx)...) // what Bob had said has come by now
			his = append(his, bob.hearsUntilAnswered(ctx)...)
			Expect(len(hers) + len(his)).To(BeNumerically("<=", 1))
			haveNothing(ctx, alice.client, bob.client)
			alice.meets(ctx, bob.client)
		}
	}, SpecTimeout(patience))

	It("with a thousand peers takes one write", func(ctx SpecContext) {
		r := startRelay()
		alice := r.proves(ctx, freshOwner(), 0)
		var ends []frames.Frame
		var peers []*client
		for i := range 1000 {
			c := r.connect()
			if i%10 == 0 {
				c.welcome(ctx, frames.Hello{})
			}
			c.says(frames.Login{Key: c.key}, frames.StartSession{Peer: alice.key})
			Expect(c.hears(ctx)).To(Equal(frames.LoginAccepted{}))
			Expect(alice.hears(ctx)).To(BeAssignableToTypeOf(frames.StartSession{}))
			alice.says(frames.AcceptSession{Peer: c.key})
			ends = append(ends, frames.EndSession{Peer: c.key, Reason: "all of you"})
			peers = append(peers, c)
		}
		alice.says(ends...)
		for i, c := range peers {
			Expect(c.hears(ctx)).To(BeAssignableToTypeOf(frames.AcceptSession{}))
			if i%10 == 0 {
				Expect(c.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key, Reason: "all of you"}))
			}
		}
		Expect(alice.hearsUntilAnswered(ctx)).To(BeEmpty())
		for _, c := range peers {
			c.says(message(alice.client, "why?"))
			c.isRefused(ctx, frames.TypeMessage, frames.NoSession)
		}
	}, SpecTimeout(2*patience))

	It("is no frame that the relay owes an outcome", func(ctx SpecContext) {
		needsInside("the ledger is looked at")
		r := startRelay()
		alice, bob := r.provenSession(ctx, 0)
		r.settles(ctx)
		before := r.inside.Account()
		alice.says(frames.EndSession{Peer: bob.key}, frames.EndSession{Peer: bob.key}, frames.EndSession{Peer: freshKey(2048)})
		Expect(bob.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key}))
		Expect(alice.hearsUntilAnswered(ctx)).To(BeEmpty())
		Expect(r.inside.Account()).To(Equal(before))
	}, SpecTimeout(patience))

	It("to who is away ends it for good: nobody is told of it later", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.provenSession(ctx, 0)
		bob.leaves(ctx, alice)
		alice.says(frames.EndSession{Peer: bob.key})
		Expect(alice.hearsUntilAnswered(ctx)).To(BeEmpty())
		again := r.proves(ctx, bob.private, 0)
		Expect(again.hearsUntilAnswered(ctx)).To(BeEmpty())
		haveNothing(ctx, alice.client, again.client)
		alice.meets(ctx, again.client)
	}, SpecTimeout(patience))

	It("happens when an unproven side's connection ends: peers with Hello are told", func(ctx SpecContext) {
		r := startRelay()
		alice, seed, bob := r.proves(ctx, freshOwner(), 0), r.login(ctx), r.login(ctx)
		bob.meets(ctx, alice.client)
		bob.meets(ctx, seed)
		bob.dies()
		Expect(alice.hears(ctx)).To(Equal(frames.EndSession{Peer: bob.key, Reason: "disconnected"}))
		seed.hearsNothing(ctx)
		for _, c := range []*client{alice.client, seed} {
			c.says(message(bob, "?"))
			c.isRefused(ctx, frames.TypeMessage, frames.NoSession)
		}
	}, SpecTimeout(patience))

	It("is not told where there were requests only", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.proves(ctx, freshOwner(), 0), r.login(ctx)
		bob.asks(ctx, alice.client)
		alice.asks(ctx, bob)
		bob.dies()
		r.returns(ctx, bob) // all of the last login is over by then
		alice.says(frames.AcceptSession{Peer: bob.key})
		alice.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
	}, SpecTimeout(patience))
})
