package specs_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Changing the limits of a running relay", func() {
	limit := func(r *relay, change func(*supervisor.Config)) {
		GinkgoHelper()
		c := r.inside.Config()
		change(&c)
		Expect(r.inside.SetLimits(c)).To(Succeed())
	}

	It("holds whoever comes to the new ones", func(ctx SpecContext) {
		r := limited(func(*supervisor.Config) {})
		r.connect()
		limit(r, func(c *supervisor.Config) { c.AnonymousPerAddress = 1 })
		r.connect().isTurnedAway(ctx)
		limit(r, func(c *supervisor.Config) { c.AnonymousPerAddress = supervisor.Off })
		r.isLetIn(ctx)
	}, SpecTimeout(patience))

	It("holds who is there to the new ones, but for what the client was told", func(ctx SpecContext) {
		r := limited(func(*supervisor.Config) {})
		alice, bob := r.session(ctx)
		limit(r, func(c *supervisor.Config) { c.Sessions, c.MaxPayload = 1, 8<<10 })
		alice.says(frames.StartSession{Peer: freshKey(2048), Sealed: []byte("a second one")})
		alice.isRefused(ctx, frames.TypeStart, frames.Limit)
		long := message(bob, string(make([]byte, 32<<10)))
		alice.says(long)
		Expect(bob.hears(ctx)).To(Equal(message(alice, string(long.Body))))
		carol := r.login(ctx)
		carol.says(long)
		Expect(carol.hears(ctx)).To(beError(frames.TypeMessage, 2, frames.TooLarge))
	}, SpecTimeout(patience))

	It("changes none if one is not valid", func(ctx SpecContext) {
		r := limited(func(*supervisor.Config) {})
		c := r.inside.Config()
		c.AnonymousPerAddress, c.Window = 1, 7
		Expect(r.inside.SetLimits(c)).To(MatchError(ContainSubstring("Config.Window is 7; it must be")))
		r.connect()
		r.isLetIn(ctx)
		Expect(r.inside.Config().AnonymousPerAddress).To(Equal(supervisor.Off))
	}, SpecTimeout(patience))
})
