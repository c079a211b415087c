package specs_test

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// bot is an actor of a host's that is a user. What it is told comes to the spec.
type bot struct {
	relay   *supervisor.Relay
	as      supervisor.Guest
	instead func(actor.Context, supervisor.Deliver) // what it does with what is delivered
	echo    bool                                    // it settles everything, accepts everybody, and says what it is told
	told    chan any                                // but for what it settles by itself
	guest   *actor.PID                              // the last one
}

// attach has the bot log in.
type attach struct{}

func (b *bot) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started, attach:
		guest, err := b.relay.Attach(ctx, b.as)
		if err != nil {
			panic(err)
		}
		b.guest = guest
	case supervisor.Deliver:
		if b.instead != nil {
			b.instead(ctx, m)
			return
		}
		if b.echo {
			b.answers(ctx, m)
			ctx.Respond(supervisor.Settled{})
			return
		}
		b.told <- m
	case supervisor.Attached, supervisor.Said, supervisor.Refused, supervisor.Detached:
		b.told <- m
	case fail:
		panic("the bot fails")
	case supervisor.Say, supervisor.Settled: // from the spec
		ctx.Send(b.guest, m)
	}
}

func (*bot) answers(ctx actor.Context, m supervisor.Deliver) {
	switch f := m.Frame.(type) {
	case frames.StartSession:
		ctx.Send(m.Guest, supervisor.Say{Frame: frames.AcceptSession{Peer: f.Peer, Sealed: mark}})
	case frames.Message:
		ctx.Send(m.Guest, supervisor.Say{Frame: f})
	}
}

// spawn spawns the bot in an actor system of its own, and returns how to send to it.
func (b *bot) spawn(r *relay) func(any) {
	GinkgoHelper()
	b.relay, b.told = r.inside, make(chan any, 1000)
	if b.as.Key == nil {
		b.as.Key = freshKey(2048)
	}
	root := supervisor.NewSystem(r.inside.Config().Log).Root
	pid := root.Spawn(actor.PropsFromProducer(func() actor.Actor { return b }))
	DeferCleanup(func() { _ = root.StopFuture(pid).Wait() })
	return func(m any) { root.Send(pid, m) }
}

// isTold expects the next that the bot is told.
func (b *bot) isTold(ctx SpecContext, matcher OmegaMatcher) {
	GinkgoHelper()
	var m any
	Eventually(ctx, b.told).WithPolling(soon).Should(Receive(&m))
	Expect(m).To(matcher)
}

// accepts has somebody ask the bot for a session, and get it.
func (b *bot) accepts(ctx SpecContext, send func(any), alice *client) {
	GinkgoHelper()
	alice.says(frames.StartSession{Peer: b.as.Key, Sealed: mark})
	b.isTold(ctx, delivers(frames.StartSession{Peer: alice.key, Sealed: mark}))
	send(supervisor.Settled{})
	send(supervisor.Say{Frame: frames.AcceptSession{Peer: alice.key, Sealed: mark}})
	Expect(alice.hears(ctx)).To(BeAssignableToTypeOf(frames.AcceptSession{}))
}

func isAttached() OmegaMatcher { return BeAssignableToTypeOf(supervisor.Attached{}) }

func delivers(f any) OmegaMatcher { return HaveField("Frame", f) }

var _ = Describe("Being a user as an actor of the host's", func() {
	It("talks with a client like any user", func(ctx SpecContext) {
		needsInside("the actor is the host's")
		r := startRelay()
		b := &bot{echo: true}
		b.spawn(r)
		b.isTold(ctx, isAttached())
		alice, robot := r.login(ctx), &client{key: b.as.Key}
		alice.says(frames.StartSession{Peer: robot.key, Sealed: mark})
		Expect(alice.hears(ctx)).To(Equal(frames.AcceptSession{Peer: robot.key, Sealed: mark}))
		for n := range 300 { // some of them longer than what is written at once
			alice.says(message(robot, fmt.Sprint(n, string(make([]byte, n*200)))))
		}
		for n := range 300 {
			Expect(alice.hears(ctx)).To(Equal(message(robot, fmt.Sprint(n, string(make([]byte, n*200))))))
		}
		Expect(r.inside.Stats().Connections).To(HaveKeyWithValue(supervisor.Place{Transport: "host", State: "online"}, 1))
	}, SpecTimeout(patience))

	It("counts as proven if the host says so: the key is pinned", func(ctx SpecContext) {
		needsInside("the actor is the host's")
		r := startRelay()
		b := &bot{as: supervisor.Guest{Proven: true}}
		b.spawn(r)
		b.isTold(ctx, isAttached())
		r.connectAs(b.as.Key).isAskedForProof(ctx)
		Expect(r.inside.Stats().Counts.Logins).To(HaveKeyWithValue(supervisor.LoginHost, BeEquivalentTo(1)))
	}, SpecTimeout(patience))

	It("is told what the relay did not deliver, by its number", func(ctx SpecContext) {
		needsInside("the actor is the host's")
		r := startRelay()
		b := &bot{}
		send := b.spawn(r)
		b.isTold(ctx, isAttached())
		alice := r.login(ctx)
		send(supervisor.Say{Frame: message(alice, "who are you?"), Mark: "first"})
		b.isTold(ctx, And(HaveField("Mark", "first"), HaveField("Number", BeEquivalentTo(3))))
		b.isTold(ctx, And(HaveField("Number", BeEquivalentTo(3)), HaveField("Code", frames.NoSession)))
		alice.hearsNothing(ctx)
	}, SpecTimeout(patience))

	When("it has not settled a frame", func() {
		It("is delivered no other, and the sender is refused with BUSY what waits for longer than the stall", func(ctx SpecContext) {
			needsInside("the actor is the host's")
			r := startRelay(func(c *supervisor.Config) { c.Stall = 200 * time.Millisecond })
			b := &bot{}
			send := b.spawn(r)
			b.isTold(ctx, isAttached())
			alice, robot := r.login(ctx), &client{key: b.as.Key}
			b.accepts(ctx, send, alice)
			alice.says(message(robot, "one"))
			b.isTold(ctx, delivers(message(alice, "one")))
			alice.says(message(robot, "two"))
			alice.isRefused(ctx, frames.TypeMessage, frames.Busy)
			inFlight := func() uint64 { return r.inside.Account().InFlight.Frames }
			Eventually(ctx, inFlight).Should(BeEquivalentTo(1), "what it has not settled")
			send(supervisor.Settled{})
			Eventually(ctx, inFlight).Should(BeZero())
			bob := r.login(ctx)
			bob.says(frames.StartSession{Peer: robot.key, Sealed: mark})
			b.isTold(ctx, delivers(frames.StartSession{Peer: bob.key, Sealed: mark}))
			send(supervisor.Settled{})
		}, SpecTimeout(patience))

		It("is detached after the write deadline", func(ctx SpecContext) {
			needsInside("the actor is the host's")
			r := startRelay(func(c *supervisor.Config) { c.Stall, c.WriteDeadline = 50*time.Millisecond, 200*time.Millisecond })
			b := &bot{}
			b.spawn(r)
			b.isTold(ctx, isAttached())
			r.login(ctx).says(frames.StartSession{Peer: b.as.Key, Sealed: mark})
			b.isTold(ctx, BeAssignableToTypeOf(supervisor.Deliver{}))
			b.isTold(ctx, And(BeAssignableToTypeOf(supervisor.Detached{}), HaveField("Code", frames.Timeout), HaveField("Text", ContainSubstring("not settled"))))
		}, SpecTimeout(patience))

		It("does not count as delivered when the host's actor crashes: the sender is told OFFLINE", func(ctx SpecContext) {
			needsInside("the actor is the host's")
			r := startRelay()
			b := &bot{as: supervisor.Guest{Proven: true}}
			send := b.spawn(r)
			b.isTold(ctx, isAttached())
			alice, robot := r.login(ctx), &client{key: b.as.Key}
			b.accepts(ctx, send, alice)
			alice.says(message(robot, "one"))
			b.isTold(ctx, delivers(message(alice, "one")))
			send(fail{})
			alice.isRefused(ctx, frames.TypeMessage, frames.Offline)
			b.isTold(ctx, BeAssignableToTypeOf(supervisor.Detached{}))
			b.isTold(ctx, isAttached())
		}, SpecTimeout(patience))
	})

	It("loses no frame when the host's actor crashes again and again: what it has not settled is refused", func(ctx SpecContext) {
		needsInside("the actor is the host's")
		const frameCount, batch, crashEvery = 2000, 20, 37
		r := startRelay()
		var settled []string // by the host's actor, which is one at a time
		b := &bot{as: supervisor.Guest{Proven: true}}
		b.instead = func(ctx actor.Context, m supervisor.Deliver) {
			text, ok := m.Frame.(frames.Message)
			switch {
			case !ok:
				b.answers(ctx, m)
			case len(settled)%crashEvery == crashEvery-1 && settled[len(settled)-1] != "crashed":
				settled = append(settled, "crashed") // once for each place
				panic("the bot fails")
			default:
				settled = append(settled, string(text.Body))
			}
			ctx.Send(m.Guest, supervisor.Settled{})
		}
		b.spawn(r)
		b.isTold(ctx, isAttached())
		alice, robot := r.proves(ctx, freshOwner(), 0), &client{key: b.as.Key}
		alice.says(frames.StartSession{Peer: robot.key, Sealed: mark})
		Expect(alice.hears(ctx)).To(Equal(frames.AcceptSession{Peer: robot.key, Sealed: mark}))
		first := alice.said + 1
		refused := map[string]bool{}
		for n := range frameCount {
			alice.says(message(robot, fmt.Sprint(n)))
			if n%batch == batch-1 {
				Eventually(ctx, r.inside.Account).Should(And(
					HaveField("Taken.Frames", BeEquivalentTo(2+n+1)), HaveField("InFlight.Frames", BeZero())))
			}
		}
		for range r.inside.Account().Taken.Frames - r.inside.Account().Delivered.Frames {
			e, ok := alice.hears(ctx).(frames.Error)
			Expect(ok).To(BeTrue())
			Expect(e.Code).To(Equal(frames.Offline))
			refused[fmt.Sprint(e.Number-first)] = true
		}
		crashes := 0
		for _, n := range settled {
			if n == "crashed" {
				crashes++
				continue
			}
			Expect(refused).NotTo(HaveKey(n), "settled, and refused")
		}
		Expect(crashes).To(BeNumerically(">", 1))
		Expect(len(settled) - crashes + len(refused)).To(Equal(frameCount))
	}, SpecTimeout(patience))

	It("is told why it may not log in", func(ctx SpecContext) {
		needsInside("the actor is the host's")
		r := startRelay()
		alice := r.login(ctx)
		for key, code := range map[string]frames.Code{string(alice.key): frames.KeyInUse, "no key": frames.BadKey} {
			b := &bot{as: supervisor.Guest{Key: frames.Key(key)}}
			b.spawn(r)
			b.isTold(ctx, And(BeAssignableToTypeOf(supervisor.Detached{}), HaveField("Code", code), HaveField("Text", Not(BeEmpty()))))
		}
	}, SpecTimeout(patience))

	It("is told when the relay stops", func(ctx SpecContext) {
		needsInside("the actor is the host's")
		r := startRelay()
		b := &bot{}
		send := b.spawn(r)
		b.isTold(ctx, isAttached())
		stopped := r.stops(ctx)
		b.isTold(ctx, delivers(BeAssignableToTypeOf(frames.Restarting{})))
		send(supervisor.Settled{})
		b.isTold(ctx, And(BeAssignableToTypeOf(supervisor.Detached{}), HaveField("Code", frames.ShuttingDown)))
		Eventually(ctx, stopped).Should(Receive(BeNil()))
	}, SpecTimeout(patience))

	It("cannot be before there is a relay", func() {
		needsInside("the actor is the host's")
		fresh, err := supervisor.New(supervisor.Config{})
		Expect(err).NotTo(HaveOccurred())
		_, err = fresh.Attach(nil, supervisor.Guest{})
		Expect(err).To(MatchError(ContainSubstring("before Spawn")))
	})
})
