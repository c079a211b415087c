package specs_test

import (
	"context"
	"net"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

var _ = Describe("Stopping the relay", func() {
	BeforeEach(func() { needsInside("the relay has to be stopped") })

	It("tells everybody SHUTTING_DOWN, closes, and accepts nobody", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.session(ctx)
		carol := r.connect()
		carol.says(rawType(0x7f))
		carol.isRefused(ctx, 0x7f, frames.Unsupported)
		stopped := r.stops(ctx)
		for _, c := range []*client{alice, bob, carol} {
			Expect(c.hears(ctx)).To(beError(0, 0, frames.ShuttingDown))
			c.isClosed(ctx)
		}
		Eventually(ctx, stopped).Should(Receive(BeNil()))
		_, err := net.Dial("tcp", r.address)
		Expect(err).To(HaveOccurred())
	}, SpecTimeout(patience))

	It("gives every frame it took its outcome", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.session(ctx)
		alice.floods(bob)
		for range 100 {
			bob.hears(ctx)
		}
		stopped := r.stops(ctx)
		got := uint64(100)
		for {
			f := bob.hears(ctx)
			if f.Type() == frames.TypeError {
				Expect(f).To(beError(0, 0, frames.ShuttingDown))
				break
			}
			got++
		}
		Eventually(ctx, stopped).Should(Receive(BeNil()))
		account := r.inside.Account()
		Expect(account.Refused).To(BeEmpty())
		Expect(account.Delivered).To(Equal(account.Taken))
		Expect(account.Delivered.Frames).To(Equal(got + 2)) // the StartSession and the AcceptSession
	}, SpecTimeout(patience))

	When("there is no time left", func() {
		It("refuses what is under way, and leaves nothing behind", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.session(ctx)
			alice.floods(bob) // who does not read
			r.stalls(ctx)
			none, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			Expect(r.inside.Stop(none)).To(MatchError(context.DeadlineExceeded))
			Expect(r.inside.Account().InFlight).To(BeZero())
		}, SpecTimeout(patience))

		It("waits for nobody who is still reading what was written long ago", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.session(ctx)
			Expect(bob.tcp().SetReadBuffer(16 << 10)).To(Succeed())
			for range 200 {
				alice.says(frames.Message{Peer: bob.key, Body: noise(8 << 10)})
			}
			r.settles(ctx) // the operating system has it all
			over := make(chan struct{})
			go func() { // ends with the connection
				defer close(over)
				tick := time.NewTicker(25 * time.Millisecond)
				defer tick.Stop()
				for b := make([]byte, 8<<10); ; <-tick.C {
					if _, err := bob.conn.Read(b); err != nil {
						return
					}
				}
			}()
			none, cancel := context.WithCancel(ctx)
			cancel()
			began := time.Now()
			Expect(r.inside.Stop(none)).To(MatchError(context.Canceled))
			Expect(time.Since(began)).To(BeNumerically("<", 3*time.Second))
			Expect(bob.conn.Close()).To(Succeed())
			<-over
		}, SpecTimeout(2*patience))
	})

	When("a client does not read", func() {
		It("tells the others all the same", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.session(ctx)
			carol := r.login(ctx)
			alice.floods(bob)
			r.stalls(ctx)
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			stopped := make(chan error, 1)
			go func() { stopped <- r.inside.Stop(short) }()
			Expect(carol.hears(ctx)).To(beError(0, 0, frames.ShuttingDown))
			carol.isClosed(ctx)
			Eventually(ctx, stopped).Should(Receive(MatchError(context.DeadlineExceeded)))
		}, SpecTimeout(patience))
	})

	It("is quick when nobody is there, and can be asked for twice", func(ctx SpecContext) {
		r := startRelay()
		Expect(r.inside.Stop(ctx)).To(Succeed())
		Expect(r.inside.Stop(ctx)).To(Succeed())
	}, SpecTimeout(patience))
})

func (r *relay) stops(ctx context.Context) <-chan error {
	stopped := make(chan error, 1)
	go func() { stopped <- r.inside.Stop(ctx) }()
	return stopped
}
