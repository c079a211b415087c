package specs_test

import (
	"bytes"
	"context"
	"net"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// kinds are the kinds of connections that the relay treats each in its own way.
var kinds = []struct {
	name  string
	serve func(r *relay)
}{
	{"TCP", func(*relay) {}},
	{"connections that are no file of the operating system's", func(r *relay) { r.servePipes() }},
	{"WebSocket", func(r *relay) { r.serveWebSocket() }},
}

// disguise is a connection that embeds one of TCP, methods and all, and changes every byte that goes through it.
type disguise struct{ *net.TCPConn }

func disguised(conn net.Conn) net.Conn { return disguise{conn.(*net.TCPConn)} }

func (c disguise) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	change(b[:n])
	return n, err
}

func (c disguise) Write(b []byte) (int, error) {
	b = bytes.Clone(b)
	change(b)
	return c.TCPConn.Write(b)
}

func change(b []byte) {
	for i := range b {
		b[i] ^= 0x55
	}
}

var _ = Describe("Connecting by a connection of the host's", func() {
	It("goes through what the host has put around TCP, both ways", func(ctx SpecContext) {
		needsInside("the host is part of the spec")
		r := startRelay()
		r.serve(func(ln net.Listener) net.Listener { return wrapped{ln, disguised} })
		dial := r.dial
		r.dial = func() (net.Conn, error) {
			conn, err := dial()
			if err != nil {
				return nil, err
			}
			return disguised(conn), nil
		}
		alice, bob := r.session(ctx)
		alice.says(frames.Message{Peer: bob.key, Body: noise(1000)}, frames.Message{Peer: bob.key, Body: []byte("hello")})
		bob.hears(ctx)
		Expect(bob.hears(ctx)).To(Equal(message(alice, "hello")))
	}, SpecTimeout(patience))
})

var _ = Describe("Connecting", func() {
	for _, kind := range kinds {
		When("it is by "+kind.name, func() {
			var r *relay
			BeforeEach(func() {
				needsInside("the relay listens at several places")
				r = startRelay()
				kind.serve(r)
			})

			It("takes a stream of frames cut anywhere, and numbers them as they came", func(ctx SpecContext) {
				alice, bob := r.loginAs(ctx, freshKey(4096)), r.login(ctx)
				alice.meets(ctx, bob)
				var stream []byte
				for _, body := range []string{"", "one", "two"} {
					stream = rawType(0x7f).Append(frames.Message{Peer: bob.key, Body: []byte(body)}.Append(stream))
				}
				for cut := range stream {
					alice.sends(stream[:cut])
					alice.sends(stream[cut:])
					for _, body := range []string{"", "one", "two"} {
						Expect(bob.hears(ctx)).To(Equal(message(alice, body)))
						alice.said += 2
						alice.isRefused(ctx, 0x7f, frames.Unsupported)
					}
				}
			}, SpecTimeout(2*patience))

			It("lets many pairs talk, each one message at a time, and none gets stuck", func(ctx SpecContext) {
				var talking sync.WaitGroup
				for range 8 {
					alice, bob := r.session(ctx)
					alice.says(message(bob, "your turn"))
					for _, c := range [][2]*client{{alice, bob}, {bob, alice}} {
						talking.Go(func() {
							defer GinkgoRecover()
							c[0].takesTurns(ctx, c[1], 1500)
						})
					}
				}
				talking.Wait()
			}, SpecTimeout(2*patience))
		})
	}
})

// takesTurns answers so many messages. The last answer of one of them is left.
func (c *client) takesTurns(ctx context.Context, with *client, times int) {
	GinkgoHelper()
	for range times {
		if f := c.hears(ctx); !slices.Equal(f.Append(nil), message(with, "your turn").Append(nil)) {
			Fail("heard something else")
		}
		c.says(message(with, "your turn"))
	}
}

var _ = Describe("Talking to many at once", func() {
	It("brings those who read everything in order, and refuses with BUSY only what is for those who do not", func(ctx SpecContext) {
		needsInside("the relay has to be told to be impatient")
		r := startRelay(func(c *supervisor.Config) { c.Stall = 100 * time.Millisecond })
		alice := r.login(ctx)
		const rounds, peers, deaf = 100, 30, 3
		var all []*client
		for i := range peers {
			if i == peers-deaf {
				r.servePipes() // which hold nothing
			}
			all = append(all, r.loginAs(ctx, freshKey([]int{2048, 3072, 4096}[i%3])))
			alice.meets(ctx, all[i])
		}
		said := alice.said
		go func() { // ends with the messages
			defer GinkgoRecover()
			for round := range rounds {
				var list []frames.Frame
				for _, c := range all {
					list = append(list, frames.Message{Peer: c.key, Body: numbered(round, 200)})
				}
				alice.says(list...)
			}
		}()
		var reading sync.WaitGroup
		for _, c := range all[:peers-deaf] {
			reading.Go(func() {
				defer GinkgoRecover()
				for round := range rounds {
					Expect(c.hears(ctx)).To(Equal(frames.Message{Peer: alice.key, Body: numbered(round, 200)}))
				}
			})
		}
		reading.Wait()
		Eventually(ctx, func() uint64 { return r.inside.Account().Refused[frames.Busy].Frames }).Should(BeNumerically(">", 0))
		for _, c := range all[peers-deaf:] {
			c.dies() // what was begun is refused now
		}
		refused := map[uint64]bool{}
		for range deaf * rounds {
			f := alice.hears(ctx).(frames.Error)
			Expect(f.Code).To(Or(Equal(frames.Busy), Equal(frames.Offline)))
			Expect((f.Number - said - 1) % peers).To(BeNumerically(">=", peers-deaf))
			refused[f.Number] = true
		}
		Expect(refused).To(HaveLen(deaf * rounds))
		alice.hearsNothing(ctx)
	}, SpecTimeout(2*patience))
})
