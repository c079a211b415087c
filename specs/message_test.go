package specs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

var _ = Describe("Sending a message", func() {
	When("Alice and Bob have an open session", func() {
		It("keeps the body byte for byte, from none to as many as fit", func(ctx SpecContext) {
			alice, bob := startRelay().session(ctx)
			longest := frames.MaxPayload - len(bob.key)
			for _, n := range []int{0, 1, 255, 256, 4096, 65000, longest} {
				body := noise(n)
				alice.says(frames.Message{Peer: bob.key, Body: body})
				Expect(bob.hears(ctx)).To(Equal(frames.Message{Peer: alice.key, Body: body}))
			}
		}, SpecTimeout(patience))

		It("delivers 20,000 of them in the order Alice sent", func(ctx SpecContext) {
			alice, bob := startRelay().session(ctx)
			go func() {
				defer GinkgoRecover()
				sendNumbered(alice, bob.key, 20000)
			}()
			expectNumbered(ctx, bob, alice.key, 20000)
		}, SpecTimeout(2*patience))

		It("delivers what both send each other at the same time", func(ctx SpecContext) {
			alice, bob := startRelay().session(ctx)
			for _, c := range [][2]*client{{alice, bob}, {bob, alice}} {
				go func() {
					defer GinkgoRecover()
					sendNumbered(c[0], c[1].key, 5000)
				}()
			}
			read := make(chan struct{})
			go func() {
				defer GinkgoRecover()
				defer close(read)
				expectNumbered(ctx, bob, alice.key, 5000)
			}()
			expectNumbered(ctx, alice, bob.key, 5000)
			Eventually(ctx, read).Should(BeClosed())
		}, SpecTimeout(2*patience))

		It("takes a frame cut at any byte", func(ctx SpecContext) {
			alice, bob := startRelay().session(ctx)
			whole := frames.Message{Peer: bob.key, Body: []byte("in two pieces")}.Append(nil)
			Expect(alice.tcp().SetNoDelay(true)).To(Succeed())
			for n := range whole {
				alice.sends(whole[:n])
				alice.sends(whole[n:])
				Expect(bob.hears(ctx)).To(Equal(message(alice, "in two pieces")))
			}
		}, SpecTimeout(patience))

		It("takes a whole conversation byte by byte", func(ctx SpecContext) {
			r := startRelay()
			bob, alice := r.login(ctx), r.connect()
			var b []byte
			for _, f := range []frames.Frame{
				frames.Login{Key: alice.key},
				frames.StartSession{Peer: bob.key, Sealed: []byte("g^a")},
				frames.Message{Peer: bob.key, Body: []byte("too early")},
			} {
				b = f.Append(b)
			}
			for i := range b {
				alice.sends(b[i : i+1])
			}
			Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
			Expect(bob.hears(ctx)).To(Equal(frames.StartSession{Peer: alice.key, Sealed: []byte("g^a")}))
			Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, 3, frames.NoSession))
			accept := frames.AcceptSession{Peer: alice.key, Sealed: []byte("g^b")}.Append(nil)
			for i := range accept {
				bob.sends(accept[i : i+1])
			}
			Expect(alice.hears(ctx)).To(Equal(frames.AcceptSession{Peer: bob.key, Sealed: []byte("g^b")}))
		}, SpecTimeout(patience))

		It("takes frames of all sizes, sent in pieces of all sizes", func(ctx SpecContext) {
			alice, bob := startRelay().session(ctx)
			seed := uint64(GinkgoRandomSeed())
			dice := rand.New(rand.NewPCG(seed, 1))
			var stream []byte
			var bodies [][]byte
			for range 300 {
				bodies = append(bodies, noise(dice.IntN(1<<dice.IntN(17))%(frames.MaxPayload-len(bob.key))))
				stream = frames.Message{Peer: bob.key, Body: bodies[len(bodies)-1]}.Append(stream)
			}
			go func() {
				defer GinkgoRecover()
				for len(stream) > 0 {
					n := min(len(stream), 1+dice.IntN(1<<dice.IntN(18)))
					alice.sends(stream[:n])
					stream = stream[n:]
				}
			}()
			for _, body := range bodies {
				Expect(bob.hears(ctx)).To(Equal(frames.Message{Peer: alice.key, Body: body}))
			}
		}, SpecTimeout(patience))
	})

	When("a new key is asked for in between", func() {
		It("keeps the order of all of Alice's frames", func(ctx SpecContext) {
			alice, bob := startRelay().session(ctx)
			ask := frames.StartSession{Peer: bob.key, Sealed: []byte("a new key")}
			alice.says(
				frames.Message{Peer: bob.key, Body: []byte("1")}, ask, frames.Message{Peer: bob.key, Body: []byte("2")},
				frames.Message{Peer: bob.key, Body: []byte("3")}, ask, frames.Message{Peer: bob.key, Body: []byte("4")},
			)
			ask.Peer = alice.key
			for _, f := range []frames.Frame{message(alice, "1"), ask, message(alice, "2"), message(alice, "3"), ask, message(alice, "4")} {
				Expect(bob.hears(ctx)).To(Equal(f))
			}
		}, SpecTimeout(patience))
	})

	When("their keys differ in length", func() {
		It("swaps them without touching the body", func(ctx SpecContext) {
			r := startRelay()
			short, long := r.loginAs(ctx, freshKey(2048)), r.loginAs(ctx, freshKey(4096))
			short.meets(ctx, long)
			for _, pair := range [][2]*client{{short, long}, {long, short}} {
				from, to := pair[0], pair[1]
				for _, n := range []int{0, 1, 1000, frames.MaxPayload - len(to.key)} {
					body := noise(n)
					from.says(frames.Message{Peer: to.key, Body: body}, frames.Message{Peer: to.key})
					Expect(to.hears(ctx)).To(Equal(frames.Message{Peer: from.key, Body: body}))
					Expect(to.hears(ctx)).To(Equal(frames.Message{Peer: from.key, Body: []byte{}}))
				}
			}
		}, SpecTimeout(patience))
	})

	When("many talk to many", func() {
		It("brings each what is theirs, in order", func(ctx SpecContext) {
			r := startRelay()
			var all []*client
			for range 6 {
				c := r.login(ctx)
				for _, other := range all {
					c.meets(ctx, other)
				}
				all = append(all, c)
			}
			const each = 200
			for _, c := range all {
				go func() {
					defer GinkgoRecover()
					var b []byte
					for i := range each {
						for _, other := range all {
							if other != c {
								b = frames.Message{Peer: other.key, Body: binary.BigEndian.AppendUint64(nil, uint64(i))}.Append(b)
							}
						}
					}
					c.sends(b)
				}()
			}
			for _, c := range all {
				next := map[string]uint64{}
				for range each * (len(all) - 1) {
					m := c.hears(ctx).(frames.Message)
					Expect(binary.BigEndian.Uint64(m.Body)).To(Equal(next[string(m.Peer)]))
					next[string(m.Peer)]++
				}
			}
		}, SpecTimeout(2*patience))
	})

	When("Bob has not accepted yet", func() {
		It("is refused with NO_SESSION and never reaches Bob", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.login(ctx), r.login(ctx)
			alice.asks(ctx, bob)
			alice.says(frames.Message{Peer: bob.key, Body: []byte("psst")})
			alice.isRefused(ctx, frames.TypeMessage, frames.NoSession)
			bob.hearsNothing(ctx)
		}, SpecTimeout(patience))

		It("leaves Alice connected, and each refusal names its frame", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.login(ctx), r.login(ctx)
			var many []frames.Frame
			for range 5000 {
				many = append(many, frames.Message{Peer: bob.key, Body: []byte("psst")})
			}
			before := alice.said
			go func() {
				defer GinkgoRecover()
				alice.says(many...)
			}()
			for i := range many {
				Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, before+uint64(i)+1, frames.NoSession))
			}
			alice.meets(ctx, bob)
		}, SpecTimeout(2*patience))
	})
})

// noise is n bytes that look like a ciphertext.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return logged.markedAs("a part or a body", b)
}

// sendNumbered sends messages numbered from 0, many in a write.
func sendNumbered(from *client, to frames.Key, n int) {
	GinkgoHelper()
	var b []byte
	for i := range n {
		b = frames.Message{Peer: to, Body: binary.BigEndian.AppendUint64(nil, uint64(i))}.Append(b)
		if len(b) > 30000 || i == n-1 {
			from.sends(b)
			b = b[:0]
		}
	}
}

func expectNumbered(ctx context.Context, c *client, from frames.Key, n int) {
	GinkgoHelper()
	for i := range n {
		m, ok := c.hears(ctx).(frames.Message)
		if !ok || !bytes.Equal(m.Peer, from) || binary.BigEndian.Uint64(m.Body) != uint64(i) {
			Fail(fmt.Sprintf("in place of message %d came %v", i, m))
		}
	}
}
