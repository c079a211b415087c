package specs_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// witness is who listens to the event stream.
type witness struct {
	mu   sync.Mutex
	seen []any
}

func (w *witness) hear(event any) {
	switch event.(type) {
	case supervisor.UserOnline, supervisor.UserGone, supervisor.SessionOpened, supervisor.SessionEnded, supervisor.ConnectionClosed:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, event)
	}
}

// events returns what was heard, of one type.
func events[T any](w *witness) (list []T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, event := range w.seen {
		if e, ok := event.(T); ok {
			list = append(list, e)
		}
	}
	return list
}

// witnessed starts a relay to whose events somebody listens.
func witnessed(change ...func(*supervisor.Config)) (*relay, *witness) {
	GinkgoHelper()
	needsInside("events are for the program that the relay is part of")
	w := &witness{}
	r := spawnRelay(func(inside *supervisor.Relay, log *logrus.Entry) {
		system := supervisor.NewSystem(log)
		system.EventStream.Subscribe(w.hear)
		_, err := inside.Spawn(system.Root, "relay")
		Expect(err).NotTo(HaveOccurred())
	}, change...)
	r.serve()
	return r, w
}

// ends expects that one connection has ended, why, and what its client was told.
func (w *witness) ends(ctx context.Context, ending supervisor.Ending, code frames.Code) {
	GinkgoHelper()
	Eventually(ctx, events[supervisor.ConnectionClosed]).WithArguments(w).WithPolling(soon).Should(ContainElement(And(
		HaveField("Ending", ending), HaveField("Code", code),
	)), ending.String())
}

// closes is an entry of the table of why connections end.
func closes(what string, ending supervisor.Ending, code frames.Code, end func(context.Context, *relay, *client)) TableEntry {
	return Entry(what, SpecTimeout(patience), ending, code, end)
}

var _ = Describe("Listening to events", func() {
	It("hears of users that come and go, and of sessions that open and end, once each", func(ctx SpecContext) {
		r, w := witnessed()
		alice, bob := r.session(ctx)
		alice.says(message(bob, "of which nobody is told"))
		bob.hears(ctx)
		Expect(events[supervisor.UserOnline](w)).To(HaveExactElements(
			And(HaveField("Key", alice.key), HaveField("Kind", supervisor.LoginSeed)), HaveField("Key", bob.key)))
		Expect(events[supervisor.SessionOpened](w)).To(HaveLen(1))
		opened := events[supervisor.SessionOpened](w)[0]
		Expect([]frames.Key{opened.One, opened.Other}).To(ConsistOf(alice.key, bob.key))
		alice.dies()
		Eventually(ctx, events[supervisor.SessionEnded]).WithArguments(w).Should(HaveExactElements(supervisor.SessionEnded(opened)))
		Expect(events[supervisor.UserGone](w)).To(HaveExactElements(supervisor.UserGone{Key: alice.key}))
	}, SpecTimeout(patience))

	It("hears of a login that is taken over as one that goes and one that comes", func(ctx SpecContext) {
		r, w := witnessed()
		key := freshOwner()
		r.proves(ctx, key, 0)
		r.proves(ctx, key, 0)
		Eventually(ctx, events[supervisor.UserOnline]).WithArguments(w).Should(HaveLen(2))
		Expect(events[supervisor.UserOnline](w)).To(HaveEach(HaveField("Kind", supervisor.LoginProof)))
		Expect(events[supervisor.UserGone](w)).To(HaveLen(1))
		w.ends(ctx, supervisor.EndingReplaced, frames.Replaced)
		Expect(r.inside.Stats().Counts.Takeovers).To(BeEquivalentTo(1))
	}, SpecTimeout(patience))

	It("hears nothing that shows a key or an address when it is printed", func(ctx SpecContext) {
		r, w := witnessed()
		alice, _ := r.session(ctx)
		alice.dies()
		w.ends(ctx, supervisor.EndingNetwork, 0)
		for _, event := range events[any](w) {
			for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
				text := fmt.Sprintf(form, event)
				Expect(text).NotTo(Or(ContainSubstring(string(alice.key[40:60])), ContainSubstring("127.0.0.1"), ContainSubstring(fmt.Sprint([]byte(alice.key[40:60]))[1:60])))
			}
		}
	}, SpecTimeout(patience))

	DescribeTable("hears why a connection has ended", func(ctx SpecContext, ending supervisor.Ending, code frames.Code, end func(context.Context, *relay, *client)) {
		shut := make(chan struct{})
		r, w := witnessed(func(c *supervisor.Config) {
			c.LoginTime, c.WriteDeadline, c.Stall = 200*time.Millisecond, 300*time.Millisecond, 100*time.Millisecond
			if ending == supervisor.EndingBarred {
				c.Allow = func([32]byte) bool {
					select {
					case <-shut:
						return false
					default:
						return true
					}
				}
			}
		})
		switch ending { //nolint:exhaustive // the others need a login
		case supervisor.EndingBarred:
			r.proves(ctx, freshOwner(), 0)
			close(shut)
			r.inside.Recheck()
		case supervisor.EndingLogin, supervisor.EndingEarly, supervisor.EndingRefused:
			end(ctx, r, nil)
		default:
			end(ctx, r, r.login(ctx))
		}
		w.ends(ctx, ending, code)
		Eventually(ctx, func() any { return r.inside.RecentCloses() }).Should(ContainElement(HaveField("Event.Ending", ending)))
		Eventually(ctx, func() any { return r.inside.Stats().Counts.Closed }).Should(ContainElement(And(HaveField("Ending", ending), HaveField("Code", code))))
	},
		closes("the client has closed", supervisor.EndingClient, frames.Code(0), func(_ context.Context, _ *relay, c *client) { _ = c.conn.Close() }),
		closes("the network has failed", supervisor.EndingNetwork, frames.Code(0), func(_ context.Context, _ *relay, c *client) {
			Expect(c.tcp().SetLinger(0)).To(Succeed()) // so closing is a reset
			_ = c.conn.Close()
		}),
		closes("TLS does not come about", supervisor.EndingEarly, frames.Code(0), func(_ context.Context, r *relay, _ *client) {
			r.serveTLS()
			conn, err := net.Dial("tcp", r.address)
			Expect(err).NotTo(HaveOccurred())
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n")
			DeferCleanup(func() { _ = conn.Close() })
		}),
		closes("a frame is too large", supervisor.EndingRefused, frames.TooLarge, func(_ context.Context, r *relay, _ *client) {
			r.connect().sends([]byte{1, 0xff, 0xff, 0xff, 0xff})
		}),
		closes("nobody has logged in", supervisor.EndingRefused, frames.Timeout, func(_ context.Context, r *relay, _ *client) { r.connect() }),
		closes("a proof is not valid", supervisor.EndingLogin, frames.ProofInvalid, func(ctx context.Context, r *relay, _ *client) {
			o := r.greets(ctx, freshOwner(), 0)
			proof := o.proof()
			proof.Signature[7] ^= 1
			o.says(proof)
		}),
		closes("the key is not allowed any more", supervisor.EndingBarred, frames.NotAllowed, nil),
		closes("the relay stops", supervisor.EndingStop, frames.ShuttingDown, func(ctx context.Context, r *relay, _ *client) {
			Expect(r.inside.Stop(ctx)).To(Succeed())
		}),
		closes("the client takes nothing", supervisor.EndingSlow, frames.Code(0), func(ctx context.Context, r *relay, c *client) {
			r.servePipes()
			deaf := r.login(ctx)
			deaf.meets(ctx, c)
			c.says(message(deaf, string(make([]byte, 60<<10))))
		}),
	)

	It("hears why of a connection whose actor has crashed", func(ctx SpecContext) {
		b := &bomb{spot: spot{kind: supervisor.KindConnection, message: "Deliver"}}
		w := &witness{}
		b.heard = w.hear
		r := startRelayWith(b)
		alice, bob := r.session(ctx)
		b.arm(1)
		alice.says(message(bob, "hello"))
		w.ends(ctx, supervisor.EndingCrash, frames.Internal)
		Eventually(ctx, func() any { return r.inside.RecentCrashes() }).Should(HaveExactElements(HaveField("Event.Kind", supervisor.KindConnection)))
		Expect(r.inside.Stats().Crashes).To(HaveKeyWithValue(supervisor.KindConnection, BeEquivalentTo(1)))
	}, SpecTimeout(patience))
})

var _ = Describe("Looking at a relay from outside", func() {
	It("finds everybody who is there, and what they are doing", func(ctx SpecContext) {
		needsInside("it is looked at from inside the program")
		r := startRelay()
		alice, bob := r.session(ctx)
		r.connect()
		Eventually(ctx, func() any { return r.inside.Stats().Connections }).Should(Equal(map[supervisor.Place]int{
			{Transport: "tcp", State: "online"}: 2, {Transport: "tcp", State: "anonymous"}: 1,
		}))
		r.settles(ctx)
		s := r.inside.Stats()
		Expect(s.Users).To(Equal(map[string]int{"online": 2}))
		Expect(s.Sessions).To(Equal(1))
		Expect(s.Accepted).To(Equal(map[string]uint64{"tcp": 3}))
		Expect(s.Account.Delivered.Frames).To(BeEquivalentTo(2), "the request and its acceptance")
		Expect(s.Latencies.Counts).To(HaveLen(len(s.Latencies.Bounds) + 1))
		sum := uint64(0)
		for _, n := range s.Latencies.Counts {
			sum += n
		}
		Expect(sum).To(BeEquivalentTo(2))

		top, alive := r.inside.Tree(1)
		Expect(alive).To(BeTrue())
		Expect(top).To(And(HaveField("Kind", supervisor.KindRelay), HaveField("Name", "relay")))
		Expect(top.Children).To(HaveExactElements(
			And(HaveField("Kind", supervisor.KindRegistry), HaveField("More", 1), HaveField("Children", HaveExactElements(
				And(HaveField("State", "online"), HaveField("Sessions", 1), HaveField("User", MatchRegexp(`^[0-9a-f]{8}$`)))))),
			And(HaveField("Kind", supervisor.KindConnections), HaveField("More", 2), HaveField("Children", HaveLen(1))),
		))
		alice.dies()
		bob.dies()
		Eventually(ctx, func() any { return r.inside.Stats().Users }).Should(BeEmpty())
	}, SpecTimeout(patience))

	It("sees an actor that hangs, and what waits for it", func(ctx SpecContext) {
		needsInside("an actor has to hang")
		h := newHold(supervisor.KindUser, "Hear")
		r := startRelay(h.config)
		h.letBy.Store(4)
		alice, bob := r.session(ctx)
		carol := r.login(ctx)
		carol.meets(ctx, bob)
		alice.says(message(bob, "hello?"))
		Eventually(ctx, h.held).Should(Receive())
		carol.says(message(bob, "are you there?"))
		Eventually(ctx, func() any {
			top, _ := r.inside.Tree(10)
			return top.Children[0].Children[0]
		}).Should(And(HaveField("Queue", 1), HaveField("Sessions", 2)))
		Expect(r.inside.Stats()).To(And(HaveField("Queue", 1), HaveField("Account.InFlight.Frames", BeEquivalentTo(2))))
		h.opens()
		Expect(bob.hears(ctx)).To(Equal(message(alice, "hello?")))
		Expect(bob.hears(ctx)).To(Equal(message(carol, "are you there?")))
	}, SpecTimeout(patience))

	It("is told nothing before there is something", func() {
		needsInside("it is looked at from inside the program")
		fresh, err := supervisor.New(supervisor.Config{})
		Expect(err).NotTo(HaveOccurred())
		_, alive := fresh.Tree(10)
		Expect(alive).To(BeFalse())
		Expect(fresh.Stats().Users).To(BeEmpty())
	})
})
