package specs_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

var _ = Describe("Proving possession of a key", func() {
	It("logs the owner in", func(ctx SpecContext) {
		alice := startRelay().proves(ctx, freshOwner(), 0)
		alice.says(rawType(0x7f))
		alice.isRefused(ctx, 0x7f, frames.Unsupported)
	}, SpecTimeout(patience))

	It("pins the key: from then on it opens only to proof", func(ctx SpecContext) {
		r, key := startRelay(), freshOwner()
		alice := r.proves(ctx, key, 0)
		mallory := r.connectAs(alice.key)
		mallory.says(frames.Login{Key: alice.key})
		mallory.isRefused(ctx, frames.TypeLogin, frames.ProofRequired)
		alice.dies()
		mallory.says(frames.Login{Key: alice.key})
		mallory.isRefused(ctx, frames.TypeLogin, frames.ProofRequired)
		r.proves(ctx, key, 0)
	}, SpecTimeout(patience))

	It("takes the key over from whoever holds it without proof, who is told REPLACED and closed", func(ctx SpecContext) {
		r, key := startRelay(), freshOwner()
		squatter := r.loginAs(ctx, publicOf(key))
		bob := r.login(ctx)
		squatter.meets(ctx, bob)
		alice := r.proves(ctx, key, 0)
		squatter.isTold(ctx, frames.Replaced)
		bob.says(message(alice.client, "are you there?"))
		bob.isRefused(ctx, frames.TypeMessage, frames.NoSession)
	}, SpecTimeout(patience))

	It("takes the key over from an older connection, and sessions go on", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.provenSession(ctx, 0)
		again := r.proves(ctx, alice.private, 0)
		alice.isTold(ctx, frames.Replaced)
		bob.says(message(alice.client, "which of you?"))
		Expect(again.hears(ctx)).To(Equal(message(bob.client, "which of you?")))
		again.says(message(bob.client, "the new one"))
		Expect(bob.hears(ctx)).To(Equal(message(again.client, "the new one")))
	}, SpecTimeout(patience))
})

var _ = Describe("Being away", func() {
	It("refuses what comes with OFFLINE, and goes on with the session afterwards", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.provenSession(ctx, wantsPresence)
		Expect(alice.conn.Close()).To(Succeed())
		Expect(bob.hears(ctx)).To(Equal(frames.Presence{Online: false, Peer: alice.key}))
		bob.says(message(alice.client, "are you there?"))
		bob.isRefused(ctx, frames.TypeMessage, frames.Offline)
		bob.says(frames.StartSession{Peer: alice.key, Sealed: mark})
		bob.isRefused(ctx, frames.TypeStart, frames.Offline)
		again := r.proves(ctx, alice.private, wantsPresence)
		Expect(again.hears(ctx)).To(Equal(frames.Presence{Online: true, Peer: bob.key}))
		Expect(bob.hears(ctx)).To(Equal(frames.Presence{Online: true, Peer: alice.key}))
		bob.says(message(alice.client, "welcome back"))
		Expect(again.hears(ctx)).To(Equal(message(bob.client, "welcome back")))
	}, SpecTimeout(patience))
})

var _ = Describe("Ending a session", func() {
	It("tells the peer, with the reason, and nothing goes any more", func(ctx SpecContext) {
		alice, bob := startRelay().provenSession(ctx, 0)
		alice.says(message(bob.client, "last"), frames.EndSession{Peer: bob.key, Reason: "dinner"}, message(bob.client, "too late"))
		alice.isRefused(ctx, frames.TypeMessage, frames.NoSession)
		Expect(bob.hears(ctx)).To(Equal(message(alice.client, "last")))
		Expect(bob.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key, Reason: "dinner"}))
		bob.says(message(alice.client, "bye"))
		bob.isRefused(ctx, frames.TypeMessage, frames.NoSession)
		alice.meets(ctx, bob.client)
	}, SpecTimeout(patience))
})

var _ = Describe("Pinging", func() {
	It("is answered, before login and after, in order", func(ctx SpecContext) {
		alice := startRelay().greets(ctx, freshOwner(), 0)
		alice.says(frames.Ping{1}, frames.Ping{2}, alice.proof(), frames.Ping{3}, frames.Ping{4})
		for _, f := range []frames.Frame{frames.Pong{1}, frames.Pong{2}, frames.LoginAccepted{}, frames.Pong{3}, frames.Pong{4}} {
			Expect(alice.hears(ctx)).To(Equal(f))
		}
	}, SpecTimeout(patience))
})
