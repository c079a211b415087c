package specs_test

import (
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Serving listed keys only", func() {
	When("Alice is taken off the list", func() {
		It("closes her connection with NOT_ALLOWED when the list is looked at again, and ends her sessions", func(ctx SpecContext) {
			needsInside("the list is the host's")
			var shut atomic.Pointer[[32]byte]
			r := startRelay(func(c *supervisor.Config) {
				c.Allow = func(key [32]byte) bool { out := shut.Load(); return out == nil || *out != key }
			})
			alice, bob := r.provenSession(ctx, 0)
			fingerprint := alice.key.Fingerprint()
			shut.Store(&fingerprint)
			bob.says(message(alice.client, "still here?"))
			Expect(alice.hears(ctx)).To(Equal(message(bob.client, "still here?")), "nobody has looked yet")
			r.inside.Recheck()
			alice.isTold(ctx, frames.NotAllowed)
			Expect(bob.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key, Reason: "disconnected"}))
			again := r.greets(ctx, alice.private, 0)
			again.says(again.proof())
			again.isRefused(ctx, frames.TypeProve, frames.NotAllowed)
			bob.says(rawType(0x7f))
			bob.isRefused(ctx, 0x7f, frames.Unsupported)
		}, SpecTimeout(patience))
	})
})
