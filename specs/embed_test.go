package specs_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"syscall"

	"github.com/asynkron/protoactor-go/actor"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// host is an actor of somebody else's with relays below it. Its strategy is AllForOne: when one child fails, all restart.
type host struct {
	relays  []*supervisor.Relay
	spawned chan *actor.PID // the relays, then the child that fails when it is told to
}

type fail struct{}

func (h *host) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); !ok {
		return
	}
	for i, r := range h.relays {
		pid, err := r.Spawn(ctx, "relay-"+string(rune('a'+i)))
		if err != nil {
			panic(err)
		}
		h.spawned <- pid
	}
	h.spawned <- ctx.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case fail:
			panic("the sibling failed")
		case chan struct{}:
			close(m)
		}
	}))
}

// hosting is a host that was spawned, and what is below it.
type hosting struct {
	system        *actor.ActorSystem
	relays        []*relay
	pids          []*actor.PID // of the relays
	self, sibling *actor.PID   // the host, and the child that fails when it is told to
}

// hosts spawns two relays below a host whose strategy has this directive, and makes them listen. At the spec's end nothing
// of them may be left in the actor system.
func hosts(ctx SpecContext, directive actor.Directive, change ...func(*supervisor.Config)) *hosting {
	GinkgoHelper()
	needsInside("the relays are part of a program")
	log := logrus.New()
	log.SetOutput(logged.log())
	h := &hosting{system: supervisor.NewSystem(logrus.NewEntry(log))}
	h.leavesNothing()
	a := &host{spawned: make(chan *actor.PID, 3)}
	for range 2 {
		h.relays = append(h.relays, spawnRelay(func(r *supervisor.Relay, _ *logrus.Entry) {
			a.relays = append(a.relays, r)
		}, change...))
	}
	allForOne := actor.NewAllForOneStrategy(100, 0, func(any) actor.Directive { return directive })
	h.self = h.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return a }, actor.WithSupervisor(allForOne)))
	for range 3 {
		var pid *actor.PID
		Eventually(ctx, a.spawned).Should(Receive(&pid))
		h.pids = append(h.pids, pid)
	}
	h.pids, h.sibling = h.pids[:2], h.pids[2]
	for _, r := range h.relays {
		r.serve()
	}
	return h
}

// leavesNothing expects at the spec's end that nobody listens for events in the system who did not before, and that no
// actor of a relay is left.
func (h *hosting) leavesNothing() {
	before := h.system.EventStream.Length()
	DeferCleanup(func(ctx SpecContext) {
		Eventually(ctx, h.system.EventStream.Length).Should(Equal(before))
		for _, bucket := range h.system.ProcessRegistry.LocalPIDs.LocalPIDs {
			Expect(bucket.Keys()).NotTo(ContainElement(ContainSubstring("relay")))
		}
	}, NodeTimeout(patience))
}

// fails makes the sibling fail so many times in succession, and waits until the host has done something about each.
func (h *hosting) fails(ctx context.Context, times int) {
	GinkgoHelper()
	for range times {
		h.system.Root.Send(h.sibling, fail{})
	}
	restarted := make(chan struct{})
	h.system.Root.Send(h.sibling, restarted)
	Eventually(ctx, restarted).Should(BeClosed())
}

var _ = Describe("Embedding relays in an actor system", func() {
	var (
		h      *hosting
		relays []*relay
	)
	BeforeEach(func(ctx SpecContext) {
		h = hosts(ctx, actor.RestartDirective)
		relays = h.relays
	})

	It("keeps two relays apart, whoever comes and goes", func(ctx SpecContext) {
		for range 20 {
			for _, r := range relays {
				alice, bob := r.session(ctx)
				flood := alice.floods(bob)
				bob.hears(ctx)
				bob.dies()
				Expect(alice.conn.Close()).To(Succeed())
				Eventually(ctx, flood).Should(BeClosed())
			}
		}
		for _, r := range relays {
			r.session(ctx)
		}
	}, SpecTimeout(2*patience))

	When("the host stops the relay's actor", func() {
		It("closes its connections, settles everything, and leaves the other relay alone", func(ctx SpecContext) {
			alice, bob := relays[0].session(ctx)
			carol, dave := relays[1].session(ctx)
			eve := relays[0].login(ctx)
			alice.floods(bob)
			relays[0].stalls(ctx)
			eve.says(frames.StartSession{Peer: freshKey(2048)})
			h.system.Root.Stop(h.pids[0])
			Eventually(ctx, relays[0].inside.Done()).Should(BeClosed())
			Expect(relays[0].inside.Account().InFlight).To(BeZero())
			carol.says(frames.Message{Peer: dave.key, Body: []byte("still here")})
			Expect(dave.hears(ctx)).To(Equal(message(carol, "still here")))
		}, SpecTimeout(2*patience))
	})

	When("the host restarts the relay's actor because a sibling failed", func() {
		It("closes its connections, and serves again", func(ctx SpecContext) {
			for range 5 {
				alice, bob := relays[0].session(ctx)
				alice.says(frames.StartSession{Peer: freshKey(2048)})
				h.fails(ctx, 1)
				for _, c := range []*client{alice, bob} {
					Eventually(ctx, func() bool {
						_, err := c.frame(ctx)
						return closedByPeer(err)
					}).Should(BeTrue())
				}
				Eventually(ctx, func() error { return relays[0].tries(ctx) }).Should(Succeed())
			}
		}, SpecTimeout(2*patience))

		It("stops all the same, with people coming and going all the while", func(ctx SpecContext) {
			var coming sync.WaitGroup
			coming.Add(8)
			for range 8 {
				go func() { // until nobody listens any more
					defer coming.Done()
					for {
						if err := relays[0].tries(ctx); errors.Is(err, syscall.ECONNREFUSED) {
							return
						}
					}
				}()
			}
			for range 10 {
				h.fails(ctx, 1)
				Eventually(ctx, func() error { return relays[0].tries(ctx) }).Should(Succeed())
			}
			h.fails(ctx, 1)
			Eventually(ctx, relays[0].stops(ctx)).WithTimeout(patience).Should(Receive(BeNil()))
			coming.Wait()
		}, SpecTimeout(2*patience))

		It("stops all the same, if it was told to", func(ctx SpecContext) {
			relays[0].session(ctx)
			stopped := relays[0].stops(ctx)
			h.fails(ctx, 1)
			Eventually(ctx, stopped).Should(Receive(BeNil()))
		}, SpecTimeout(patience))
	})
})

// tries logs somebody in, and says why that does not work.
func (r *relay) tries(ctx context.Context) error {
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		return err
	}
	c := &client{conn: conn, key: freshKey(2048), in: bufio.NewReader(conn)}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(frames.Login{Key: c.key}.Append(nil)); err != nil {
		return err
	}
	f, err := c.frame(ctx)
	if err == nil && f.Type() != frames.TypeLogin {
		err = errors.New("not accepted")
	}
	return err
}
