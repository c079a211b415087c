package specs_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Crashing while a session opens that outlives connections", func() {
	It("is kept by both sides or by neither, though the acceptance has crashed the asker's actor", func(ctx SpecContext) {
		b := &bomb{spot: spot{kind: supervisor.KindUser, message: "Hear", number: 1}}
		r := startRelayWith(b)
		alice, bob := r.proves(ctx, freshOwner(), 0), r.proves(ctx, freshOwner(), 0)
		alice.asks(ctx, bob.client)
		b.arm(2)
		bob.says(frames.AcceptSession{Peer: alice.key, Sealed: mark})
		bob.isRefused(ctx, frames.TypeAccept, frames.Internal)
		bob.dies()
		connections := func() int {
			online, _ := r.inside.Connections()
			return online
		}
		Eventually(ctx, connections).WithPolling(soon).Should(Equal(1))
		alice.dies()
		Eventually(ctx, connections).WithPolling(soon).Should(Equal(0))
		Eventually(ctx, b.told.alive).WithPolling(soon).ShouldNot(ContainElement(spot{kind: supervisor.KindUser, number: 1}))
		again := r.proves(ctx, bob.private, 0)
		back := r.proves(ctx, alice.private, 0)
		again.says(message(back.client, "are you there?"))
		again.isRefused(ctx, frames.TypeMessage, frames.NoSession)
	}, SpecTimeout(patience))
})
