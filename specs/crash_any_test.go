package specs_test

import (
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// conversing is every message of a conversation at every actor, and what it takes that it comes.
var conversing = []struct {
	kind     supervisor.Kind
	messages []string
	spare    int32        // so many of them are let by first: it is another frame that they carry then
	with     func() armed // brings the message about, if a conversation alone does not
	alone    bool         // Alice is alone then, and is cut off
	nobody   bool         // somebody is asked who does not exist, which takes 20 ms
	pipes    bool         // whatever is written waits for a reader
	rests    bool         // somebody is given up, and stays until that is forgotten
	change   func(*supervisor.Config)
}{
	{kind: supervisor.KindUser, messages: []string{"Join", "Leave", "Take", "Hear", "Answered", "Ended", "LetGo", "Vacated"}},
	{kind: supervisor.KindUser, messages: []string{"Take", "Hear"}, spare: 1},
	{kind: supervisor.KindUser, messages: []string{"Take", "Hear"}, spare: 2},
	{kind: supervisor.KindUser, messages: []string{"Take", "Hear"}, spare: 3},
	{kind: supervisor.KindUser, messages: []string{"unavailable"}, nobody: true},
	{kind: supervisor.KindUser, messages: []string{"GiveUp", "rested"}, with: crashing, change: impatient, rests: true},
	{kind: supervisor.KindRegistry, messages: []string{"Join", "Leave", "Introduce", "Vacate", "Terminated"}},
	{kind: supervisor.KindRegistry, messages: []string{"Terminated"}, with: stopping, alone: true},
	{kind: supervisor.KindConnections, messages: []string{"Welcome", "Terminated"}},
	{
		kind:     supervisor.KindConnection,
		messages: []string{"received", "Joined", "Rejected", "Deliver", "Refuse", "flush", "ended", "parted"},
	},
	{kind: supervisor.KindConnection, messages: []string{"Deliver"}, spare: 1},
	{kind: supervisor.KindConnection, messages: []string{"Deliver"}, spare: 2},
	{kind: supervisor.KindConnection, messages: []string{"Close"}, with: crashing, change: impatient, rests: true},
	{kind: supervisor.KindConnection, messages: []string{"Orphaned"}, with: stopping, alone: true},
	{kind: supervisor.KindConnection, messages: []string{"ready"}, pipes: true},
	{kind: supervisor.KindConnection, messages: []string{"tick"}, pipes: true, nobody: true, change: impatient},
}

// crashing has actors crash on what their users say. If it is twice, that is put aside.
func crashing() armed { return &bomb{spot: spot{kind: supervisor.KindUser, message: "Take"}} }

// stopping has the host stop them. Whoever has somebody must not be stopped: the other would say farewell to nobody.
func stopping() armed { return &stopper{spot: spot{kind: supervisor.KindUser, message: "Take"}} }

// impatient has a user that crashes twice close its connection, and looks soon after a client that may not keep up.
func impatient(c *supervisor.Config) { c.Crashes, c.Stall = 1, 10*time.Millisecond }

// Every message that every actor understands, crashing it once, twice and three times, before and after it is handled:
// every frame has its outcome even so, and nothing is stuck afterwards. That every frame is settled then, that nothing
// leaked, and that each crash was told of once, is checked at each spec's end. The messages of a relay that stops are in the
// table of "Crashing while the relay stops".
var _ = Describe("Crashing on any message", func() {
	for _, c := range conversing {
		for _, message := range c.messages {
			for _, after := range []bool{false, true} {
				for times := int32(1); times <= 3; times++ {
					name := caseName(c.kind, message, after, times)
					if c.spare > 0 {
						name += fmt.Sprintf(", but for the first %d", c.spare)
					}
					if c.with != nil {
						name += ", which another crash or a stop brings about"
					}
					It("is got over: "+name, func(ctx SpecContext) {
						b := &bomb{spot: spot{kind: c.kind, message: message}, after: after}
						leads := func(int32) {}
						if c.with != nil {
							lead := c.with()
							leads = lead.arm
							b.with = []charge{lead}
						}
						r := startRelayWith(b, func(config *supervisor.Config) {
							if c.change != nil {
								c.change(config)
							}
						})
						if c.pipes {
							r.servePipes()
						}
						talk := conversation{relay: r, keys: []frames.Key{freshKey(2048), freshKey(2048)}, nobody: c.nobody, pipes: c.pipes}
						left := func() []spot { // of those who were there
							return slices.DeleteFunc(b.told.alive(), func(s spot) bool { return c.rests && s.kind == supervisor.KindUser })
						}
						b.spare.Store(c.spare)
						b.arm(times)
						costsNothing := c.kind != supervisor.KindConnection && c.with == nil && (after || times == 1)
						for b.left.Load() > 0 && ctx.Err() == nil {
							leads(2)
							talk.alone = c.alone
							if c.rests { // who was given up has to wait, and others do not
								talk.keys = []frames.Key{freshKey(2048), freshKey(2048)}
							}
							err := talk.happens(ctx)
							Expect(err).To(Or(Succeed(), MatchError(errCost)))
							Expect(err == nil || !costsNothing).To(BeTrue(), "this costs nothing: %v", err)
							Eventually(ctx, left).WithPolling(soon).Should(BeEmpty())
						}
						Expect(b.left.Load()).To(BeNumerically("<=", 0), "how often the message is still to come")
						leads(0)
						talk.alone = false
						if c.pipes { // what waits for somebody may be refused with BUSY, where the relay is so impatient
							Eventually(ctx, func() error { return talk.happens(ctx) }).WithPolling(soon).Should(Succeed())
						} else {
							Expect(talk.happens(ctx)).To(Succeed())
						}
						Eventually(ctx, left).WithPolling(soon).Should(BeEmpty())
					}, SpecTimeout(patience))
				}
			}
		}
	}

	It("is tried with every message that comes, in a conversation and while the relay stops", func(ctx SpecContext) {
		crash, stop := crashing(), stopping()
		crash.arm(2)
		stop.arm(1)
		b := &bomb{with: []charge{crash, stop}}
		r := startRelayWith(b, impatient)
		talk := conversation{relay: r, keys: []frames.Key{freshKey(2048), freshKey(2048)}, nobody: true}
		Eventually(ctx, func() error { return talk.happens(ctx) }).Should(Succeed())
		r.servePipes()
		talk.pipes = true
		Eventually(ctx, func() error { return talk.happens(ctx) }).Should(Succeed())
		Expect(r.inside.Stop(hasty{ctx})).To(Succeed())
		for at := range b.told.saw {
			Expect(at).To(Satisfy(isTried))
		}
	}, SpecTimeout(patience))
})

// isTried reports whether a message is in a table, or has its test elsewhere: those that begin and end an actor in specs/model.
func isTried(at spot) bool {
	switch at.message {
	case "Started", "Stopping", "Stopped", "Restarting":
		return true
	case "walk": // what is behind a frame that is put aside: actors, TestAUserThatAlwaysCrashesComesToAnEnd
		return true
	}
	for _, c := range conversing {
		if at.kind == c.kind && slices.Contains(c.messages, at.message) {
			return true
		}
	}
	for _, c := range stopMessages {
		if at.kind == c.kind && slices.Contains(c.messages, at.message) {
			return true
		}
	}
	return false
}

func caseName(kind supervisor.Kind, message string, after bool, times int32) string {
	moment := map[bool]string{false: "before", true: "after"}[after]
	return fmt.Sprintf("%s, %s, %d times %s", kind, message, times, moment)
}
