package specs_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

// seedClient is somebody who knows the seed's types alone, and takes note of what else it is told.
type seedClient struct {
	*client
	types map[frames.Type]int
}

// gets returns the next frame, as hears does.
func (s seedClient) gets(ctx context.Context) frames.Frame {
	GinkgoHelper()
	f := s.hears(ctx)
	s.types[f.Type()]++
	return f
}

// converses has everything happen to a seed client that can, from what its peers do who know more.
func (s seedClient) converses(ctx context.Context, r *relay, proven bool) {
	GinkgoHelper()
	bob := r.proves(ctx, freshOwner(), wantsPresence)
	meets := func(with *owner) {
		with.says(frames.StartSession{Peer: s.key, Sealed: mark})
		Expect(s.gets(ctx)).To(Equal(frames.StartSession{Peer: with.key, Sealed: mark}))
		s.says(frames.AcceptSession{Peer: with.key, Sealed: mark})
		Expect(with.hears(ctx)).To(Equal(frames.AcceptSession{Peer: s.key, Sealed: mark}))
	}
	meets(bob)
	bob.says(frames.EndSession{Peer: s.key, Reason: "she is to learn nothing of it"})
	Expect(bob.hearsUntilAnswered(ctx)).To(BeEmpty())
	s.says(message(bob.client, "are you there?"))
	Expect(s.gets(ctx)).To(beError(frames.TypeMessage, s.said, frames.NoSession))
	meets(bob)
	again := r.proves(ctx, bob.private, wantsPresence) // takes over
	bob.isReplaced(ctx)
	s.says(message(again.client, "still you?"))
	if !proven {
		Expect(s.gets(ctx)).To(beError(frames.TypeMessage, s.said, frames.NoSession))
		meets(again)
		s.says(message(again.client, "still you?"))
	}
	Expect(again.hears(ctx)).To(Equal(message(s.client, "still you?")))
	again.says(message(s.client, "still me"))
	Expect(s.gets(ctx)).To(Equal(message(again.client, "still me")))
	meets(r.logsInUnproven(ctx, wantsPresence))
	s.isWanted(ctx, r, proven)
	s.says(frames.Ping{1})
	Expect(s.gets(ctx)).To(beError(frames.TypePing, s.said, frames.Unsupported))
	s.says(frames.Hello{})
	Expect(s.gets(ctx)).To(beError(frames.TypeHello, s.said, frames.AlreadyLoggedIn))
}

// isWanted has somebody else want the seed client's key, without a proof.
func (s seedClient) isWanted(ctx context.Context, r *relay, proven bool) {
	GinkgoHelper()
	code := frames.KeyInUse
	if proven {
		code = frames.ProofRequired
	}
	other := r.connectAs(s.key)
	other.says(frames.Login{Key: s.key})
	other.isRefused(ctx, frames.TypeLogin, code)
}

var _ = Describe("Being a client that knows the seed's types alone", func() {
	BeforeEach(func() { needsInside("the relay has to be stopped") })

	// drains stops the relay, after which the client has heard of nothing but what it knows.
	drains := func(ctx SpecContext, r *relay, s seedClient) {
		GinkgoHelper()
		carol := r.proves(ctx, freshOwner(), 0)
		stopped := r.stops(ctx)
		Expect(carol.hears(ctx)).To(BeAssignableToTypeOf(frames.Restarting{}), "who said Hello is told more")
		Expect(carol.hears(ctx)).To(beError(0, 0, frames.ShuttingDown))
		Expect(s.gets(ctx)).To(beError(0, 0, frames.ShuttingDown))
		s.isClosed(ctx)
		Eventually(ctx, stopped).Should(Receive(BeNil()))
		for t := range s.types {
			Expect(t).To(BeNumerically("<=", frames.TypeError), "types: %v", s.types)
		}
		Expect(s.types).To(HaveLen(5), "each of them: %v", s.types)
	}

	It("hears nothing of the others, whatever its peers do and the relay does", func(ctx SpecContext) {
		r := startRelay()
		s := seedClient{r.connect(), map[frames.Type]int{}}
		s.says(frames.Login{Key: s.key})
		Expect(s.gets(ctx)).To(Equal(frames.LoginAccepted{}))
		s.converses(ctx, r, false)
		dave := r.login(ctx)
		s.says(frames.StartSession{Peer: dave.key})
		dave.hears(ctx)
		dave.says(frames.AcceptSession{Peer: s.key})
		Expect(s.gets(ctx)).To(Equal(frames.AcceptSession{Peer: dave.key, Sealed: []byte{}}))
		drains(ctx, r, s)
	}, SpecTimeout(patience))

	It("hears nothing of the others though it has proved, by its certificate, and keeps its sessions", func(ctx SpecContext) {
		r, key := startRelay(), freshOwner()
		plain := r.dial
		r.serveTLS(certificate(key, &key.PublicKey))
		tls := r.dial
		comes := func(types map[frames.Type]int) seedClient {
			r.dial = tls
			s := seedClient{r.connectAs(publicOf(key)), types}
			r.dial = plain
			s.says(frames.Login{Key: s.key})
			Expect(s.gets(ctx)).To(Equal(frames.LoginAccepted{}))
			return s
		}
		s := comes(map[frames.Type]int{})
		s.converses(ctx, r, true)
		dave := r.proves(ctx, freshOwner(), wantsPresence)
		s.says(frames.StartSession{Peer: dave.key})
		dave.hears(ctx)
		dave.says(frames.AcceptSession{Peer: s.key})
		Expect(s.gets(ctx)).To(Equal(frames.AcceptSession{Peer: dave.key, Sealed: []byte{}}))
		Expect(dave.hearsUntilAnswered(ctx)).To(BeEmpty(), "nor is anybody told of it")
		dave.dies()
		dave = r.proves(ctx, dave.private, wantsPresence)
		back := comes(s.types)
		Expect(s.gets(ctx)).To(beError(0, 0, frames.Replaced))
		dave.says(message(back.client, "we two"))
		Expect(back.gets(ctx)).To(Equal(message(dave.client, "we two")))
		drains(ctx, r, back)
	}, SpecTimeout(patience))
})
