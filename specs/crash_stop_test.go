package specs_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// stopMessages is every message that comes while the relay stops, at every actor.
var stopMessages = []struct {
	kind     supervisor.Kind
	messages []string
	hurried  bool // there is no time to wait for what is under way
	maybe    bool // the relay may have stopped before it comes
}{
	{kind: supervisor.KindConnections, messages: []string{"Drain", "Drained", "Terminated"}},
	{kind: supervisor.KindConnections, messages: []string{"Hurry"}, hurried: true},
	{kind: supervisor.KindConnection, messages: []string{"Drain", "Deliver", "Refuse", "ended", "Close", "parted"}},
	{kind: supervisor.KindConnection, messages: []string{"Close", "parted"}, hurried: true},
	{kind: supervisor.KindUser, messages: []string{"Take", "Hear"}},
	{kind: supervisor.KindUser, messages: []string{"Take"}, hurried: true},
	{kind: supervisor.KindUser, messages: []string{"Leave", "Ended", "LetGo", "Vacated"}, maybe: true},
	{kind: supervisor.KindRegistry, messages: []string{"Leave", "Vacate", "Terminated"}, maybe: true},
}

// Alice says something to Bob that is under way when the relay is told to stop, and Carol and Dave have a session. What the
// relay stops with crashes, on any message, once, twice and three times.
var _ = Describe("Crashing while the relay stops", func() {
	for _, c := range stopMessages {
		for _, message := range c.messages {
			for _, after := range []bool{false, true} {
				for times := int32(1); times <= 3; times++ {
					name := caseName(c.kind, message, after, times)
					if c.hurried {
						name += ", and there is no time"
					}
					It("stops, and tells all but those whose connection crashed: "+name, func(ctx SpecContext) {
						b := &bomb{spot: spot{kind: c.kind, message: message}, after: after}
						s := startToStop(ctx, b)
						s.hurried = c.hurried
						b.arm(times)
						stopped := s.stops(ctx)
						s.areTold(ctx)
						Eventually(ctx, stopped).Should(Receive(BeNil()))
						if !c.maybe {
							Expect(b.left.Load()).To(BeNumerically("<", times), "it did not crash")
						}
					}, SpecTimeout(patience))
				}
			}
		}
	}

	for message, lead := range map[string]string{"Drain": "", "Drained": "", "Terminated": "Drain"} {
		for _, after := range []bool{false, true} {
			for times := int32(1); times <= 3; times++ {
				name := caseName(supervisor.KindConnections, message, after, times)
				if lead != "" {
					name += ", and her connection on " + lead
				}
				It("stops when Alice is the only one there: "+name, func(ctx SpecContext) {
					also := &bomb{spot: spot{kind: supervisor.KindConnection, message: lead}}
					b := &bomb{spot: spot{kind: supervisor.KindConnections, message: message}, after: after, with: []charge{also}}
					r := startRelayWith(b)
					alice := r.login(ctx)
					also.arm(1)
					b.arm(times)
					stopped := r.stops(context.WithoutCancel(ctx))
					if lead == "" {
						alice.isTold(ctx, frames.ShuttingDown)
					} else {
						alice.isTold(ctx, frames.Internal)
					}
					Eventually(ctx, stopped).Should(Receive(BeNil()))
					Expect(b.left.Load()).To(BeNumerically("<", times), "it did not crash")
				}, SpecTimeout(patience))
			}
		}
	}

	for _, at := range []spot{
		{kind: supervisor.KindRegistry, message: "Terminated"}, {kind: supervisor.KindConnections, message: "Terminated"},
	} {
		for _, after := range []bool{false, true} {
			for times := int32(1); times <= 3; times++ {
				It("stops when there is no time at all: "+caseName(at.kind, at.message, after, times), func(ctx SpecContext) {
					b := &bomb{spot: at, after: after}
					r := startRelayWith(b)
					alice := r.login(ctx) // whose end is the last there is
					b.arm(times)
					none, cancel := context.WithCancel(ctx)
					cancel()
					Eventually(ctx, r.stops(none)).Should(Receive(MatchError(context.Canceled)))
					Expect(b.left.Load()).To(BeNumerically("<", times), "it did not crash")
					alice.hearsUntilClosed(ctx)
				}, SpecTimeout(patience))
			}
		}
	}

	When("telling Alice panics", func() {
		It("stops, and tells the others", func(ctx SpecContext) {
			b := &bomb{}
			r := startRelayWith(b)
			carol, dave := r.session(ctx)
			t := &trap{told: b.told}
			r.serve(t.listens)
			alice := r.login(ctx)
			t.writing.Store(1)
			stopped := r.stops(context.WithoutCancel(ctx))
			alice.isClosed(ctx)
			carol.isTold(ctx, frames.ShuttingDown)
			dave.isTold(ctx, frames.ShuttingDown)
			Eventually(ctx, stopped).Should(Receive(BeNil()))
		}, SpecTimeout(patience))
	})
})

// stoppable is a relay with four clients: Alice and Bob, Carol and Dave.
type stoppable struct {
	*relay
	told    *told
	under   *barrier // where what Alice has said is held up
	hurried bool
	clients []*client // the number of a client's connection is one more than its place
}

func startToStop(ctx context.Context, b *bomb) *stoppable {
	GinkgoHelper()
	s := &stoppable{under: newBarrier(alicesTake)}
	b.with = append(b.with, s.under)
	s.relay = startRelayWith(b)
	s.told = b.told
	for range 2 {
		alice, bob := s.session(ctx)
		s.clients = append(s.clients, alice, bob)
	}
	return s
}

// hasty is a context whose time is nearly over, but does not end.
type hasty struct{ context.Context }

func (hasty) Deadline() (time.Time, bool) { return time.Now().Add(10 * time.Millisecond), true }

// stops has Alice say three things, of which the second is refused, and the relay stop before it has looked at them.
func (s *stoppable) stops(ctx context.Context) <-chan error {
	GinkgoHelper()
	alice, bob, carol := s.clients[0], s.clients[1], s.clients[2]
	s.under.shut.Store(true)
	alice.says(message(bob, "0"), message(carol, "1"), message(bob, "2"))
	Eventually(ctx, s.under.reached).Should(BeClosed())
	all := context.WithoutCancel(ctx) // without a deadline it does not hurry
	if s.hurried {
		all = hasty{all}
	}
	stopped := s.relay.stops(all)
	drain := spot{kind: supervisor.KindConnection, message: "Drain", number: 1}
	Eventually(ctx, func() bool { return s.told.hasSeen(drain) }).WithPolling(soon).Should(BeTrue())
	return stopped
}

// areTold expects that everybody is told SHUTTING_DOWN whose connection has not crashed, and that everything Alice said has
// one outcome.
func (s *stoppable) areTold(ctx context.Context) {
	GinkgoHelper()
	if !s.hurried {
		s.under.open()
	}
	Expect(s.hears(ctx, 2)).To(BeEmpty())
	Expect(s.hears(ctx, 3)).To(BeEmpty())
	s.under.open()
	toAlice, toBob := s.hears(ctx, 0), s.hears(ctx, 1)
	if s.hurried || s.crashed(0) { // then she is not told
		return
	}
	outcomes := make([]int, 3)
	for _, f := range toBob {
		Expect(f).To(HaveField("Peer", s.clients[0].key))
		outcomes[f.(frames.Message).Body[0]-'0']++
	}
	for _, f := range toAlice {
		outcomes[f.(frames.Error).Number-(s.clients[0].said-2)]++
	}
	if s.crashed(1) { // what was written to him may be lost
		Expect(outcomes).To(HaveEach(BeNumerically("<=", 1)))
	} else {
		Expect(outcomes).To(HaveEach(1))
	}
}

func (s *stoppable) crashed(i int) bool {
	return s.told.crashed(supervisor.KindConnection, int32(i)+1)
}

// hears returns what a client hears before it is told SHUTTING_DOWN.
func (s *stoppable) hears(ctx context.Context, i int) []frames.Frame {
	GinkgoHelper()
	all := s.clients[i].hearsUntilClosed(ctx)
	Expect(s.clients[i].conn.Close()).To(Succeed())
	last := len(all) - 1
	if last < 0 || all[last].Type() != frames.TypeError || all[last].(frames.Error).Number != 0 {
		Expect(s.crashed(i)).To(BeTrue(), "client %d is not told; it heard %v", i+1, all)
		return all
	}
	if s.crashed(i) && all[last].(frames.Error).Code == frames.Internal {
		return all[:last]
	}
	Expect(all[last]).To(beError(0, 0, frames.ShuttingDown))
	return all[:last]
}
