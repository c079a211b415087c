package specs_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// hold holds the actors of a kind back at a kind of message until it is opened.
type hold struct {
	kind    supervisor.Kind
	message string // its type's name
	held    chan struct{}
	open    chan struct{}
	once    sync.Once
	letBy   atomic.Int32 // so many before
}

// newHold returns a hold that is open at the spec's end, whatever became of it.
func newHold(kind supervisor.Kind, message string) *hold {
	b := &hold{kind: kind, message: message, held: make(chan struct{}, 100), open: make(chan struct{})}
	DeferCleanup(b.opens)
	return b
}

func (b *hold) opens() { b.once.Do(func() { close(b.open) }) }

func (b *hold) config(c *supervisor.Config) {
	c.Props = func(kind supervisor.Kind, props *actor.Props) *actor.Props {
		if kind != b.kind {
			return props
		}
		return props.Clone(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
			return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
				if strings.HasSuffix(fmt.Sprintf("%T", envelope.Message), "."+b.message) && b.letBy.Add(-1) < 0 {
					b.held <- struct{}{}
					<-b.open
				}
				next(ctx, envelope)
			}
		}))
	}
}

var _ = Describe("A host", func() {
	When("it restarts the relay several times in immediate succession", func() {
		for _, over := range []string{"TCP", "pipes"} {
			It("has everybody's connection closed, and is served again, on listeners of before and of after, over "+over, func(ctx SpecContext) {
				h := hosts(ctx, actor.RestartDirective)
				r := h.relays[0]
				if over == "pipes" {
					r.servePipes()
				}
				old := r.dial
				for range 5 {
					alice, bob := r.session(ctx)
					flood := alice.floods(bob)
					bob.hears(ctx)
					carol := r.connect()
					carol.says(rawType(0x7f))
					carol.isRefused(ctx, 0x7f, frames.Unsupported)
					h.fails(ctx, 4)
					for _, c := range []*client{alice, bob, carol} {
						c.isLetGo(ctx)
					}
					Eventually(ctx, flood).Should(BeClosed())
					Eventually(ctx, func() error { return r.tries(ctx) }).Should(Succeed())
				}
				r.serve()
				alice := r.login(ctx)
				r.dial = old
				alice.meets(ctx, r.login(ctx))
			}, SpecTimeout(2*patience))
		}
	})

	for actorOf, message := range map[supervisor.Kind]string{
		supervisor.KindConnections: "Welcome",
		supervisor.KindConnection:  "received",
		supervisor.KindRegistry:    "Join",
		supervisor.KindUser:        "Join",
	} {
		When(fmt.Sprintf("it restarts the relay while somebody logs in, whose %s is with a %s", message, actorOf), func() {
			It("has that connection closed, and is served again", func(ctx SpecContext) {
				b := newHold(actorOf, message)
				h := hosts(ctx, actor.RestartDirective, b.config)
				r := h.relays[0]
				alice := r.connect()
				_, err := alice.conn.Write(frames.Login{Key: alice.key}.Append(nil))
				Expect(err).NotTo(HaveOccurred())
				Eventually(ctx, b.held).Should(Receive())
				h.fails(ctx, 2)
				b.opens()
				alice.isLetGo(ctx)
				Eventually(ctx, func() error { return r.tries(ctx) }).Should(Succeed())
			}, SpecTimeout(2*patience))
		})
	}

	for what, ends := range map[string]func(*hosting){
		"stops":                        func(h *hosting) { h.system.Root.Stop(h.self) },
		"is poisoned":                  func(h *hosting) { h.system.Root.Poison(h.self) },
		"stops all when a child fails": func(h *hosting) { h.system.Root.Send(h.sibling, fail{}) },
		"poisons each relay":           func(h *hosting) { h.system.Root.Poison(h.pids[0]); h.system.Root.Poison(h.pids[1]) },
	} {
		When("it "+what, func() {
			It("has ended the relays below it: everybody is let go, and nothing is left", func(ctx SpecContext) {
				h := hosts(ctx, actor.StopDirective)
				var everybody []*client
				for _, r := range h.relays {
					alice, bob := r.session(ctx)
					alice.floods(bob)
					bob.hears(ctx)
					everybody = append(everybody, alice, bob, r.connect())
				}
				ends(h)
				for _, c := range everybody {
					c.isLetGo(ctx)
				}
				for _, r := range h.relays {
					Eventually(ctx, r.inside.Done()).Should(BeClosed())
					Expect(r.inside.Account().InFlight).To(BeZero())
					Expect(r.inside.Stop(ctx)).To(Succeed())
				}
			}, SpecTimeout(2*patience))
		})
	}

	for what, meddles := range map[string]func(context.Context, *hosting){
		"restarts it":        func(ctx context.Context, h *hosting) { h.fails(ctx, 1) },
		"stops its actor":    func(_ context.Context, h *hosting) { h.system.Root.Stop(h.pids[0]) },
		"poisons its actor":  func(_ context.Context, h *hosting) { h.system.Root.Poison(h.pids[0]) },
		"has no time for it": func(_ context.Context, h *hosting) { _ = h.relays[0].inside.Stop(over()) },
	} {
		When("it "+what+" while a relay stops and waits for somebody who does not read", func() {
			It("is stopped all the same", func(ctx SpecContext) {
				h := hosts(ctx, actor.RestartDirective)
				r := h.relays[0]
				alice, bob := r.session(ctx)
				carol := r.login(ctx)
				alice.floods(bob) // who does not read
				r.stalls(ctx)
				stopped := r.stops(context.Background())
				Eventually(ctx, func() error { return r.tries(ctx) }).ShouldNot(Succeed())
				meddles(ctx, h)
				Eventually(ctx, stopped).Should(Receive(BeNil()))
				carol.isLetGo(ctx)
				bob.isLetGo(ctx)
			}, SpecTimeout(2*patience))
		})

		When("it "+what+" while a relay that stops waits for its clients to close", func() {
			It("is stopped all the same", func(ctx SpecContext) {
				h := hosts(ctx, actor.RestartDirective)
				r := h.relays[0]
				alice := r.login(ctx)
				stopped := r.stops(context.Background())
				Expect(alice.hears(ctx)).To(beError(0, 0, frames.ShuttingDown))
				meddles(ctx, h)
				Eventually(ctx, stopped).Should(Receive(BeNil()))
				alice.isLetGo(ctx)
			}, SpecTimeout(patience))
		})
	}

	When("it stops one of two relays while people talk by the other", func() {
		It("keeps none of theirs from arriving", func(ctx SpecContext) {
			h := hosts(ctx, actor.RestartDirective)
			alice, bob := h.relays[0].session(ctx)
			carol, dave := h.relays[1].session(ctx)
			alice.floods(bob)
			bob.hears(ctx)
			const count = 2000
			go func() {
				for i := range count {
					if i == count/4 {
						_ = h.relays[0].inside.Stop(over())
					}
					_, _ = carol.conn.Write(frames.Message{Peer: dave.key, Body: numbered(i, 1000)}.Append(nil))
				}
			}()
			for i := range count {
				Expect(dave.hears(ctx)).To(Equal(frames.Message{Peer: carol.key, Body: numbered(i, 1000)}))
			}
			Eventually(ctx, h.relays[0].inside.Done()).Should(BeClosed())
		}, SpecTimeout(2*patience))
	})

	It("has everything it sends and receives wrapped by its own middleware, and notices no difference", func(ctx SpecContext) {
		wrapping := func(next actor.SenderFunc) actor.SenderFunc {
			return func(ctx actor.SenderContext, to *actor.PID, envelope *actor.MessageEnvelope) {
				next(ctx, to, &actor.MessageEnvelope{Header: envelope.Header, Message: envelope.Message, Sender: envelope.Sender})
			}
		}
		h := hosts(ctx, actor.RestartDirective, func(c *supervisor.Config) {
			c.Props = func(_ supervisor.Kind, props *actor.Props) *actor.Props {
				return props.Clone(actor.WithSenderMiddleware(wrapping))
			}
		})
		for range 2 {
			alice, bob := h.relays[0].session(ctx)
			flood := alice.floods(bob)
			bob.hears(ctx)
			h.fails(ctx, 1)
			alice.isLetGo(ctx)
			bob.isLetGo(ctx)
			Eventually(ctx, flood).Should(BeClosed())
			Eventually(ctx, func() error { return h.relays[0].tries(ctx) }).Should(Succeed())
		}
	}, SpecTimeout(2*patience))
})

var _ = Describe("A relay that a host has in its hands", func() {
	var r *relay
	BeforeEach(func() {
		needsInside("the relay is part of a program")
		r = startRelay()
	})

	It("is spawned once, and does not mind being asked twice", func(ctx SpecContext) {
		alice, bob := r.session(ctx)
		_, err := r.inside.Spawn(supervisor.NewSystem(silent()).Root, "again")
		Expect(err).To(HaveOccurred())
		alice.says(frames.Message{Peer: bob.key, Body: []byte("as before")})
		Expect(bob.hears(ctx)).To(Equal(message(alice, "as before")))
	}, SpecTimeout(patience))

	It("serves nobody once it has stopped, and closes the listener", func(ctx SpecContext) {
		Expect(r.inside.Stop(ctx)).To(Succeed())
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		conn, err := net.Dial("tcp", ln.Addr().String())
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(conn.Close)
		Expect(r.inside.Serve(ctx, ln)).To(Succeed())
		(&client{conn: conn, in: bufio.NewReader(conn)}).isLetGo(ctx)
		_, err = net.Dial("tcp", ln.Addr().String())
		Expect(err).To(HaveOccurred())
	}, SpecTimeout(patience))

	It("stops once, for many who ask for it at the same time, whatever time they have", func(ctx SpecContext) {
		alice, bob := r.session(ctx)
		alice.floods(bob)
		r.stalls(ctx)
		returned := make(chan error, 6)
		for i := range 6 {
			go func() {
				short, cancel := context.WithTimeout(ctx, time.Duration(i-1)*10*time.Millisecond)
				defer cancel()
				returned <- r.inside.Stop(short)
			}()
		}
		for range 6 {
			Eventually(ctx, returned).Should(Receive(Or(BeNil(), MatchError(context.DeadlineExceeded))))
		}
		Expect(r.inside.Done()).To(BeClosed())
	}, SpecTimeout(patience))

	It("leaves its name to another, which is served under it", func(ctx SpecContext) {
		system := supervisor.NewSystem(silent())
		for range 3 {
			next := spawnRelay(func(inside *supervisor.Relay, _ *logrus.Entry) {
				_, err := inside.Spawn(system.Root, "the same")
				Expect(err).NotTo(HaveOccurred())
			})
			_, err := newRelay().Spawn(system.Root, "the same")
			Expect(err).To(MatchError(actor.ErrNameExists))
			next.serve()
			next.session(ctx)
			r.session(ctx)
			Expect(next.inside.Stop(ctx)).To(Succeed())
		}
	}, SpecTimeout(2*patience))
})

// newRelay makes a relay that is not spawned yet.
func newRelay() *supervisor.Relay {
	GinkgoHelper()
	r, err := supervisor.New(supervisor.Config{})
	Expect(err).NotTo(HaveOccurred())
	return r
}

func silent() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(logged.log())
	return logrus.NewEntry(log)
}

// over is a context whose time is over.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// isLetGo expects that the relay closes the connection, whatever it says before.
func (c *client) isLetGo(ctx context.Context) {
	GinkgoHelper()
	for {
		if _, err := c.frame(ctx); err != nil {
			Expect(closedByPeer(err)).To(BeTrue(), "heard %v", err)
			return
		}
	}
}
