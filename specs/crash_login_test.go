package specs_test

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// reception is what Carol hears when her Login crashes somebody.
type reception int

const (
	isAccepted reception = iota
	isRefused            // with INTERNAL, and her connection goes on
	isCutOff             // by the end of the stream
)

// loginCrashes is where a login can crash, and what that costs when it happens once, twice, and so on. Who has done what
// a message is for crashes on it twice at most.
var loginCrashes = []struct {
	at    spot
	after bool
	got   []reception
}{
	{spot{kind: supervisor.KindRegistry, message: "Join"}, false, []reception{isAccepted, isRefused, isRefused}},
	{spot{kind: supervisor.KindRegistry, message: "Join"}, true, []reception{isAccepted, isAccepted}},
	{spot{kind: supervisor.KindUser, message: "Join"}, false, []reception{isAccepted, isRefused, isRefused}},
	{spot{kind: supervisor.KindUser, message: "Join"}, true, []reception{isAccepted, isAccepted}},
	{spot{kind: supervisor.KindConnection, message: "received"}, false, []reception{isCutOff, isCutOff, isCutOff}},
	{spot{kind: supervisor.KindConnection, message: "Joined"}, false, []reception{isCutOff, isCutOff, isCutOff}},
}

var _ = Describe("Crashing while Carol logs in", func() {
	for _, f := range loginCrashes {
		for i, got := range f.got {
			times := int32(i) + 1
			fact := [...]string{
				isAccepted: "is not noticed", isRefused: "refuses the Login with INTERNAL, and the next is accepted",
				isCutOff: "tells her so, closes her connection, and she is accepted on the next",
			}[got]
			It(fmt.Sprintf("%s (%s)", fact, caseName(f.at.kind, f.at.message, f.after, times)), func(ctx SpecContext) {
				b := &bomb{spot: f.at, after: f.after}
				r := startRelayWith(b)
				alice, bob := r.session(ctx)
				carol := r.connect()
				b.arm(times)
				carol.says(frames.Login{Key: carol.key})
				if got == isRefused {
					carol.isRefused(ctx, frames.TypeLogin, frames.Internal)
					b.arm(times - 2) // one more is got over
					carol.says(frames.Login{Key: carol.key})
				}
				if got == isCutOff {
					carol.isTold(ctx, frames.Internal)
					carol = r.insists(ctx, carol)
				} else {
					Expect(carol.hears(ctx)).To(Equal(frames.LoginAccepted{}))
				}
				Eventually(ctx, b.left.Load).Should(BeNumerically("<=", 0), "how often it is still to crash")
				alice.says(message(bob, "as before"))
				Expect(bob.hears(ctx)).To(Equal(message(alice, "as before")))
				carol.meets(ctx, alice)
			}, SpecTimeout(patience))
		}
	}

	When("her connection crashes after it was told that she is logged in", func() {
		It("tells her both, and she can log in again", func(ctx SpecContext) {
			b := &bomb{spot: spot{kind: supervisor.KindConnection, message: "Joined", number: 3}, after: true}
			r := startRelayWith(b)
			alice, bob := r.session(ctx)
			carol := r.connect()
			b.arm(1)
			carol.says(frames.Login{Key: carol.key})
			Expect(carol.hears(ctx)).To(Equal(frames.LoginAccepted{}))
			carol.isTold(ctx, frames.Internal)
			carol = r.insists(ctx, carol)
			carol.meets(ctx, alice)
			carol.meets(ctx, bob)
		}, SpecTimeout(patience))
	})

	When("somebody else has her key, and what would tell her crashes", func() {
		for kind, cost := range map[supervisor.Kind]reception{supervisor.KindUser: isRefused, supervisor.KindConnection: isCutOff} {
			It(fmt.Sprintf("costs her that, and nothing whoever has it (%s)", kind), func(ctx SpecContext) {
				message := map[supervisor.Kind]string{supervisor.KindUser: "Join", supervisor.KindConnection: "Rejected"}[kind]
				b := &bomb{spot: spot{kind: kind, message: message}}
				r := startRelayWith(b)
				alice, bob := r.session(ctx)
				b.arm(2)
				carol := r.connectAs(alice.key)
				carol.says(frames.Login{Key: alice.key})
				if cost == isRefused {
					carol.isRefused(ctx, frames.TypeLogin, frames.Internal)
				} else {
					carol.isTold(ctx, frames.Internal)
					b.arm(0)
					carol = r.connectAs(alice.key)
				}
				carol.says(frames.Login{Key: alice.key})
				carol.isRefused(ctx, frames.TypeLogin, frames.KeyInUse)
				alice.says(frames.Message{Peer: bob.key, Body: []byte("as before")})
				Expect(bob.hears(ctx).Append(nil)).To(HaveSuffix("as before"))
			}, SpecTimeout(patience))
		}
	})
})

// insists logs somebody in again and again, until it works.
func (r *relay) insists(ctx context.Context, who *client) (again *client) {
	GinkgoHelper()
	Eventually(ctx, func() frames.Frame {
		again = r.connectAs(who.key)
		again.says(frames.Login{Key: who.key})
		f, _ := again.frame(ctx) // nil at the end of the stream
		return f
	}).WithPolling(soon).Should(Equal(frames.LoginAccepted{}))
	return again
}
