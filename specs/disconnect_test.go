package specs_test

import (
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Disconnecting", func() {
	It("ends the sessions before the key can log in again", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.session(ctx)
		bob.dies()
		bob = r.returns(ctx, bob)
		alice.says(frames.Message{Peer: bob.key, Body: []byte("for the former Bob")})
		alice.isRefused(ctx, frames.TypeMessage, frames.NoSession)
		bob.says(frames.Message{Peer: alice.key})
		bob.isRefused(ctx, frames.TypeMessage, frames.NoSession)
	}, SpecTimeout(patience))

	It("ends the requests of both directions", func(ctx SpecContext) {
		r := startRelay()
		alice, bob, carol := r.login(ctx), r.login(ctx), r.login(ctx)
		bob.asks(ctx, alice)
		carol.asks(ctx, bob)
		bob.dies()
		bob = r.returns(ctx, bob)
		alice.says(frames.AcceptSession{Peer: bob.key})
		alice.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
		bob.says(frames.AcceptSession{Peer: carol.key})
		bob.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
		alice.meets(ctx, bob)
	}, SpecTimeout(patience))

	It("refuses what was under way with OFFLINE, and gives it to no later login", func(ctx SpecContext) {
		needsInside("only the relay knows when everything is under way")
		r := startRelay()
		alice, bob := r.session(ctx)
		alice.floods(bob)
		r.stalls(ctx)
		bob.dies()
		bob = r.returns(ctx, bob)
		Expect(alice.tcp().CloseWrite()).To(Succeed())
		seen := map[uint64]bool{}
		codes := map[frames.Code]int{}
		for {
			f, err := alice.frame(ctx)
			if closedByPeer(err) {
				break
			}
			Expect(err).NotTo(HaveOccurred())
			refused := f.(frames.Error)
			Expect(seen).NotTo(HaveKey(refused.Number))
			seen[refused.Number] = true
			codes[refused.Code]++
		}
		Expect(codes).To(HaveKey(frames.Offline))
		for code, tally := range r.inside.Account().Refused {
			Expect(codes).To(HaveKeyWithValue(code, BeNumerically("==", tally.Frames)))
		}
		bob.hearsNothing(ctx)
	}, SpecTimeout(2*patience))

	When("Alice shuts her sending side", func() {
		It("still handles and answers the frames before it, then closes", func(ctx SpecContext) {
			alice, bob := startRelay().session(ctx)
			alice.says(frames.Message{Peer: bob.key, Body: []byte("bye")}, frames.Message{Peer: freshKey(2048)})
			Expect(alice.tcp().CloseWrite()).To(Succeed())
			Expect(bob.hears(ctx)).To(Equal(message(alice, "bye")))
			alice.isRefused(ctx, frames.TypeMessage, frames.NoSession)
			alice.isClosed(ctx)
		}, SpecTimeout(patience))

		It("forgets the half of a frame", func(ctx SpecContext) {
			alice, bob := startRelay().session(ctx)
			whole := frames.Message{Peer: bob.key, Body: []byte("bye")}.Append(nil)
			alice.sends(append(whole, whole[:len(whole)-1]...))
			Expect(alice.tcp().CloseWrite()).To(Succeed())
			Expect(bob.hears(ctx)).To(Equal(message(alice, "bye")))
			alice.isClosed(ctx)
			bob.hearsNothing(ctx)
		}, SpecTimeout(patience))
	})

	When("a client takes nothing for longer than the write deadline", func() {
		It("is closed, and what waited for it is refused", func(ctx SpecContext) {
			needsInside("the relay has to be told a short deadline")
			r := startRelay(func(c *supervisor.Config) { c.WriteDeadline = 200 * time.Millisecond })
			alice, bob := r.session(ctx)
			alice.floods(bob)
			Expect(alice.hears(ctx)).To(HaveField("Code", frames.Offline))
		}, SpecTimeout(2*patience))
	})

	It("at any moment, by anybody, leaves nobody hanging and no frame unsettled", func(ctx SpecContext) {
		r := startRelay()
		dice := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 2))
		for range 30 {
			alice, bob := r.session(ctx)
			talking := []<-chan struct{}{alice.floods(bob), bob.floods(alice)}
			victim, other := alice, bob
			if dice.IntN(2) == 0 {
				victim, other = bob, alice
			}
			time.Sleep(time.Duration(dice.IntN(3000)) * time.Microsecond) //nolint:forbidigo // the random moment itself
			victim.dies()
			r.returns(ctx, victim)
			_ = other.conn.Close()
			for _, ended := range talking {
				Eventually(ctx, ended).WithTimeout(patience).Should(BeClosed())
			}
		}
		r.settles(ctx)
	}, SpecTimeout(3*patience))
})

// returns logs somebody in again, as soon as the relay has seen the end of their last connection.
func (r *relay) returns(ctx SpecContext, who *client) *client {
	GinkgoHelper()
	var again *client
	Eventually(ctx, func(g Gomega) {
		again = r.connectAs(who.key)
		again.says(frames.Login{Key: who.key})
		g.Expect(again.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	}).WithTimeout(patience).Should(Succeed())
	return again
}

// floods sends messages to somebody until either connection ends; the channel is closed then.
func (c *client) floods(to *client) <-chan struct{} {
	ended := make(chan struct{})
	b := frames.Message{Peer: to.key, Body: make([]byte, 32<<10)}.Append(nil)
	go func() {
		defer close(ended)
		_ = c.conn.SetWriteDeadline(time.Now().Add(3 * patience))
		for {
			if _, err := c.conn.Write(b); err != nil {
				return
			}
		}
	}()
	return ended
}

// stalls waits until frames are under way and none gets anywhere.
func (r *relay) stalls(ctx SpecContext) {
	GinkgoHelper()
	var last uint64
	still := 0
	Eventually(ctx, func() int {
		account := r.inside.Account()
		if account.Taken.Frames != last || account.InFlight.Frames == 0 {
			still = 0
		}
		last = account.Taken.Frames
		still++
		return still
	}).WithTimeout(patience).WithPolling(10 * time.Millisecond).Should(BeNumerically(">", 15))
}
