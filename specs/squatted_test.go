package specs_test

import (
	"crypto/rsa"
	"flag"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
)

// squatted is how many keys are squatted:
//
//	go test ./specs -v -args -ginkgo.v -ginkgo.focus 'keys squatted' -squatted=1000
var squatted = flag.Int("squatted", 50, "keys that somebody logs in with before their owners do")

var _ = Describe("Having one's key squatted", func() {
	It("ends with the first proof, for each of the keys squatted, and never happens again", func(ctx SpecContext) {
		needsInside("the relay has to be restarted")
		pins := store.NewMemory()
		first := startRelay(keepingIn(pins))
		var keys []*rsa.PrivateKey
		var squatters []*client
		for range *squatted {
			key := freshOwner()
			keys = append(keys, key)
			squatters = append(squatters, first.loginAs(ctx, publicOf(key)))
		}
		var took []time.Duration
		for i, key := range keys {
			owner := first.greets(ctx, key, 0)
			proof := owner.proof()
			began := time.Now()
			owner.says(proof)
			Expect(owner.hears(ctx)).To(Equal(frames.LoginAccepted{}))
			took = append(took, time.Since(began))
			squatters[i].isReplaced(ctx)
		}
		slices.Sort(took)
		AddReportEntry(fmt.Sprintf("from Prove to LoginAccepted: p50 %v, p99 %v, max %v", took[len(took)/2], took[len(took)*99/100], took[len(took)-1]))
		Expect(first.inside.Stop(ctx)).To(Succeed())
		second := startRelay(keepingIn(pins))
		for _, key := range keys {
			c := second.connectAs(publicOf(key))
			c.isAskedForProof(ctx)
			Expect(c.conn.Close()).To(Succeed())
		}
	}, SpecTimeout(patience+time.Duration(*squatted)*100*time.Millisecond))
})
