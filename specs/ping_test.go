package specs_test

import (
	"encoding/binary"
	"errors"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// The times stand in package supervisor: TestASilentClientThatSaidHelloIsPingedAndThenClosed and those behind it.

// numberedPing has a number in it.
func numberedPing(n int) (p frames.Ping) {
	binary.BigEndian.PutUint64(p[:], uint64(n))
	return p
}

var _ = Describe("Pinging", func() {
	It("is answered, before login and after, in order", func(ctx SpecContext) {
		alice := startRelay().greets(ctx, freshOwner(), 0)
		alice.says(frames.Ping{1}, frames.Ping{2}, alice.proof(), frames.Ping{3}, frames.Ping{4})
		for _, f := range []frames.Frame{frames.Pong{1}, frames.Pong{2}, frames.LoginAccepted{}, frames.Pong{3}, frames.Pong{4}} {
			Expect(alice.hears(ctx)).To(Equal(f))
		}
	}, SpecTimeout(patience))

	It("is answered in order among frames that are refused, and each of those is, too", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.proves(ctx, freshOwner(), 0), r.login(ctx)
		alice.meets(ctx, bob)
		const times = 500
		before := alice.said
		var list []frames.Frame
		for i := range times {
			list = append(list, numberedPing(i), rawType(0x7f), frames.Message{Peer: bob.key}, frames.Message{Peer: frames.Key{0x30, 0}})
		}
		go func() {
			defer GinkgoRecover()
			alice.says(list...)
		}()
		go bob.ignores()
		pongs, refused := 0, map[uint64]bool{}
		for range 3 * times {
			switch f := alice.hears(ctx).(type) {
			case frames.Pong:
				Expect(f).To(Equal(frames.Pong(numberedPing(pongs))))
				pongs++
			case frames.Error:
				Expect(refused).NotTo(HaveKey(f.Number))
				Expect((f.Number-before)%4).To(Or(BeEquivalentTo(2), BeEquivalentTo(0)), "%v", f)
				refused[f.Number] = true
			}
		}
		Expect(pongs).To(Equal(times))
		Expect(refused).To(HaveLen(2 * times))
	}, SpecTimeout(2*patience))

	It("by who does not read the answers is not read, and nothing is lost for that", func(ctx SpecContext) {
		needsInside("the relay has to be told to be patient")
		r := startRelay(func(c *supervisor.Config) { c.WriteDeadline = time.Minute })
		r.servePipes() // which hold nothing
		alice := r.proves(ctx, freshOwner(), 0)
		said, rest := 0, []byte(nil)
		for ; rest == nil; said++ { // until the relay takes no more
			Expect(said).To(BeNumerically("<", 1_000_000), "all of it is read")
			frame := numberedPing(said).Append(nil)
			Expect(alice.conn.SetWriteDeadline(time.Now().Add(time.Second))).To(Succeed())
			if n, err := alice.conn.Write(frame); err != nil {
				Expect(errors.Is(err, os.ErrDeadlineExceeded)).To(BeTrue(), "%v", err)
				rest = frame[n:]
			}
		}
		go func() { // ends when it is read
			defer GinkgoRecover()
			alice.sends(rest)
		}()
		for i := range said {
			Expect(alice.hears(ctx)).To(Equal(frames.Pong(numberedPing(i))))
		}
	}, SpecTimeout(2*patience))

	It("may be left to the relay: its Pings are answered with the same bytes, and Pongs that it did not ask for are ignored", func(ctx SpecContext) {
		needsInside("the relay has to be told to be impatient")
		r := startRelay(func(c *supervisor.Config) { c.PingInterval = 100 * time.Millisecond })
		alice := r.proves(ctx, freshOwner(), 0)
		for range 5 {
			ping, ok := alice.hears(ctx).(frames.Ping)
			Expect(ok).To(BeTrue())
			alice.says(frames.Pong{9, 9, 9}, frames.Pong(ping), frames.Pong{})
		}
		alice.says(frames.Ping{7})
		Eventually(ctx, func() frames.Frame { return alice.hears(ctx) }).Should(Equal(frames.Pong{7}))
	}, SpecTimeout(patience))

	It("is in vain for who does not answer: TIMEOUT, on any kind of connection", func(ctx SpecContext) {
		needsInside("the relay has to be told to be impatient")
		for _, channel := range channels {
			r := startRelay(func(c *supervisor.Config) { c.PingInterval = 100 * time.Millisecond }) // the least there may be
			channel.serve(r)
			alice := r.proves(ctx, freshOwner(), 0)
			Expect(alice.hears(ctx)).To(Equal(frames.Ping{}))
			Expect(alice.hears(ctx)).To(Equal(frames.Ping{}))
			alice.isTold(ctx, frames.Timeout)
		}
	}, SpecTimeout(patience))
})
