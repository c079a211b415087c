package specs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// element is one of Hello's.
func element(id byte, value ...byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{id}, uint16(len(value))), value...)
}

// rawHello is a Hello of these elements.
func rawHello(elements ...[]byte) frames.Frame {
	return rawBytes(rawFrame(frames.TypeHello, elements...))
}

// rawBytes is a whole frame as it is.
type rawBytes []byte

func (b rawBytes) Append(to []byte) []byte { return append(to, b...) }
func (b rawBytes) Type() frames.Type       { return frames.Type(b[0]) }

// welcome is the answer to a Hello.
func (c *client) welcome(ctx context.Context, hello frames.Frame) frames.Welcome {
	GinkgoHelper()
	c.says(hello)
	answer := c.hears(ctx)
	Expect(answer).To(BeAssignableToTypeOf(frames.Welcome{}))
	return answer.(frames.Welcome)
}

var _ = Describe("Saying Hello", func() {
	It("is answered with what the relay is and takes", func(ctx SpecContext) {
		w := startRelay().connect().welcome(ctx, frames.Hello{})
		Expect(w.MaxPayload).To(BeEquivalentTo(64 << 10))
		Expect(w.PingInterval).To(BeEquivalentTo(60))
		Expect(w.RelayID).To(HaveLen(32))
		Expect(w.Software).To(Equal("blubbel-server"))
		Expect(w.Features).To(BeZero())
	}, SpecTimeout(patience))

	It("tells the limits that the relay was told", func(ctx SpecContext) {
		needsInside("the relay has to be told other limits")
		r := startRelay(func(c *supervisor.Config) { c.MaxPayload, c.PingInterval = 20_000, 90*time.Second })
		w := r.connect().welcome(ctx, frames.Hello{})
		Expect([]uint32{w.MaxPayload, w.PingInterval}).To(Equal([]uint32{20_000, 90}))
	}, SpecTimeout(patience))

	It("has the relay prove who it is, with a fresh nonce each time, if the client sent one", func(ctx SpecContext) {
		r := startRelay()
		var nonces, ids [][]byte
		for range 3 {
			alice := r.greets(ctx, freshOwner(), 0)
			Expect(bytes.HasPrefix(alice.welcome[len(alice.welcome)-67:], []byte{7, 0, 64})).To(BeTrue(), "the signature comes last")
			w, err := frames.DefaultKeys().Decode(frames.FromRelay, frames.Raw{Type: frames.TypeHello, Payload: alice.welcome})
			Expect(err).NotTo(HaveOccurred())
			of := w.(frames.Welcome)
			Expect(frames.SignedBy(frames.RelayID(of.RelayID), alice.hello, alice.welcome, alice.channel())).To(BeTrue())
			Expect(of.Nonce).To(HaveLen(32))
			Expect(nonces).NotTo(ContainElement(of.Nonce))
			nonces, ids = append(nonces, of.Nonce), append(ids, of.RelayID)
		}
		Expect(ids).To(HaveEach(ids[0]), "it is the same relay each time")
	}, SpecTimeout(patience))

	It("sends neither nonce nor signature to who sent no nonce", func(ctx SpecContext) {
		w := startRelay().connect().welcome(ctx, frames.Hello{Elements: frames.Elements{Features: wantsPresence}})
		Expect(w.Nonce).To(BeNil())
		Expect(w.Signature).To(BeNil())
	}, SpecTimeout(patience))

	DescribeTable("agrees on the features that both have", func(ctx SpecContext, asked, agreed uint32) {
		w := startRelay().connect().welcome(ctx, frames.Hello{Elements: frames.Elements{Features: asked}})
		Expect(w.Features).To(Equal(agreed))
	},
		Entry("none", uint32(0), uint32(0)),
		Entry("Presence", uint32(1), uint32(1)),
		Entry("what is reserved", uint32(2), uint32(0)),
		Entry("all there may ever be", ^uint32(0), uint32(1)),
		Entry("all but Presence", ^uint32(1), uint32(0)),
	)

	It("skips elements that it does not know, and those that only a relay sends, whatever they are", func(ctx SpecContext) {
		nonce := random(32)
		w := startRelay().connect().welcome(ctx, rawHello(
			element(0), element(0, 1), element(8, 1, 2, 3), element(8), element(255, make([]byte, 500)...),
			element(3, make([]byte, 32)...), element(3), element(4, 1), element(5), element(5), element(7, 1),
			element(1, 0, 0, 0, 1), element(2, nonce...), element(6, []byte("specs")...), element(9),
		))
		Expect(w.Features).To(BeEquivalentTo(1))
		Expect(w.Nonce).To(HaveLen(32))
		Expect(w.RelayID).NotTo(Equal(make([]byte, 32)))
	}, SpecTimeout(patience))

	DescribeTable("is MALFORMED, and was not said, with", func(ctx SpecContext, elements ...[]byte) {
		alice := startRelay().connect()
		alice.says(rawHello(elements...))
		alice.isRefused(ctx, frames.TypeHello, frames.Malformed)
		alice.says(frames.Ping{1})
		alice.isRefused(ctx, frames.TypePing, frames.Unsupported)
		alice.says(frames.Prove{Key: alice.key})
		alice.isRefused(ctx, frames.TypeProve, frames.Unsupported)
		alice.welcome(ctx, frames.Hello{})
		alice.says(frames.Ping{2})
		Expect(alice.hears(ctx)).To(Equal(frames.Pong{2}))
	},
		Entry("features twice", element(1, 0, 0, 0, 1), element(1, 0, 0, 0, 1)),
		Entry("a nonce twice", element(2, make([]byte, 32)...), element(6), element(2, make([]byte, 32)...)),
		Entry("software twice", element(6), element(6)),
		Entry("features of 3 bytes", element(1, 0, 0, 1)),
		Entry("no features in the element", element(1)),
		Entry("a nonce of 31 bytes", element(2, make([]byte, 31)...)),
		Entry("a nonce of 33 bytes", element(2, make([]byte, 33)...)),
		Entry("an id alone", []byte{1}),
		Entry("an element cut off", element(9, make([]byte, 9)...)[:11]),
		Entry("what is good, and something behind it", element(1, 0, 0, 0, 1), []byte{6, 0}),
	)

	It("may be as long as anything before login, and no longer", func(ctx SpecContext) {
		r := startRelay()
		r.connect().welcome(ctx, rawHello(element(9, make([]byte, frames.MaxLoginPayload-3)...)))
		alice := r.connect()
		alice.says(rawHello(element(9, make([]byte, frames.MaxLoginPayload-2)...)))
		alice.isRefused(ctx, frames.TypeHello, frames.TooLarge)
		alice.isClosed(ctx)
	}, SpecTimeout(patience))

	It("is said once: again it is MALFORMED, and the first one counts", func(ctx SpecContext) {
		alice := startRelay().greets(ctx, freshOwner(), 0)
		for range 2 {
			alice.says(frames.Hello{Elements: frames.Elements{Features: 1, Nonce: random(32)}})
			alice.isRefused(ctx, frames.TypeHello, frames.Malformed)
		}
		alice.says(alice.proof())
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	}, SpecTimeout(patience))

	It("comes before login: after it, it is ALREADY_LOGGED_IN, and changes nothing", func(ctx SpecContext) {
		r := startRelay()
		seed := r.login(ctx)
		extended := r.proves(ctx, freshOwner(), 0)
		for _, c := range []*client{seed, extended.client} {
			for _, hello := range []frames.Frame{frames.Hello{}, rawHello([]byte{1})} {
				c.says(hello)
				c.isRefused(ctx, frames.TypeHello, frames.AlreadyLoggedIn)
			}
		}
		seed.says(frames.Ping{1})
		seed.isRefused(ctx, frames.TypePing, frames.Unsupported)
		extended.says(frames.Ping{1})
		Expect(extended.hears(ctx)).To(Equal(frames.Pong{1}))
	}, SpecTimeout(patience))

	It("may come behind a login that was refused", func(ctx SpecContext) {
		r := startRelay()
		alice := r.proves(ctx, freshOwner(), 0)
		again := &owner{client: r.connectAs(alice.key), private: alice.private}
		again.says(frames.Login{Key: alice.key})
		again.isRefused(ctx, frames.TypeLogin, frames.ProofRequired)
		again.saysHello(ctx, 0)
		again.says(again.proof())
		Expect(again.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	}, SpecTimeout(patience))
})

// What else may become of a frame.
const (
	answered frames.Code = 1000 + iota // with a Pong
	silently                           // nothing comes of it
)

// Every type, from a client that has said Hello, in every state: before login, logged in, and in a session with Bob.
var extensions = []struct {
	name    string
	frame   func(alice, bob *client) []byte
	answers [3]frames.Code
}{
	{"Login with a bad key", func(_, _ *client) []byte { return rawFrame(1, []byte("?")) }, [3]frames.Code{bad, again, again}},
	{"StartSession to Bob", func(_, bob *client) []byte { return rawFrame(2, bob.key, []byte("g^a")) }, [3]frames.Code{early, forwarded, forwarded}},
	{"AcceptSession to Bob", func(_, bob *client) []byte { return rawFrame(3, bob.key) }, [3]frames.Code{early, noReq, noReq}},
	{"Message to Bob", func(_, bob *client) []byte { return rawFrame(4, bob.key, []byte("text")) }, [3]frames.Code{early, noSess, forwarded}},
	{"Error", func(_, _ *client) []byte { return rawFrame(5, make([]byte, 11)) }, [3]frames.Code{unsup, unsup, unsup}},
	{"type 6", func(_, _ *client) []byte { return rawFrame(6) }, [3]frames.Code{unsup, unsup, unsup}},
	{"Hello", func(_, _ *client) []byte { return rawFrame(0x10) }, [3]frames.Code{mal, again, again}},
	{"a Hello cut off", func(_, _ *client) []byte { return rawFrame(0x10, []byte{1, 0}) }, [3]frames.Code{mal, again, again}},
	{"Prove without a key", func(_, _ *client) []byte { return rawFrame(0x11) }, [3]frames.Code{mal, again, again}},
	{"Prove with a key cut off", func(alice, _ *client) []byte { return rawFrame(0x11, alice.key[:200]) }, [3]frames.Code{mal, again, again}},
	{"Prove without a signature", func(alice, _ *client) []byte { return rawFrame(0x11, alice.key) }, [3]frames.Code{frames.ProofInvalid, again, again}},
	{"Ack", func(_, _ *client) []byte { return rawFrame(0x12, make([]byte, 8)) }, [3]frames.Code{unsup, unsup, unsup}},
	{"type 0x13", func(_, _ *client) []byte { return rawFrame(0x13) }, [3]frames.Code{unsup, unsup, unsup}},
	{"Ping", func(_, _ *client) []byte { return rawFrame(0x14, []byte("12345678")) }, [3]frames.Code{answered, answered, answered}},
	{"a Ping of 7 bytes", func(_, _ *client) []byte { return rawFrame(0x14, make([]byte, 7)) }, [3]frames.Code{mal, mal, mal}},
	{"Pong", func(_, _ *client) []byte { return rawFrame(0x15, make([]byte, 8)) }, [3]frames.Code{silently, silently, silently}},
	{"a Pong of 9 bytes", func(_, _ *client) []byte { return rawFrame(0x15, make([]byte, 9)) }, [3]frames.Code{mal, mal, mal}},
	{"EndSession to Bob", func(_, bob *client) []byte { return rawFrame(0x16, bob.key, []byte("why")) }, [3]frames.Code{early, silently, forwarded}},
	{"EndSession to Bob with the longest reason", func(_, bob *client) []byte { return rawFrame(0x16, bob.key, make([]byte, 256)) }, [3]frames.Code{early, silently, forwarded}},
	{"EndSession to Bob with a reason too long", func(_, bob *client) []byte { return rawFrame(0x16, bob.key, make([]byte, 257)) }, [3]frames.Code{early, mal, mal}},
	{"EndSession to nobody", func(_, _ *client) []byte { return rawFrame(0x16, freshKey(2048)) }, [3]frames.Code{early, silently, silently}},
	{"EndSession to what is no key", func(_, _ *client) []byte { return rawFrame(0x16, []byte{0x30, 1, 7}) }, [3]frames.Code{early, silently, silently}},
	{"EndSession to herself", func(alice, _ *client) []byte { return rawFrame(0x16, alice.key) }, [3]frames.Code{early, bad, bad}},
	{"EndSession without a key", func(_, _ *client) []byte { return rawFrame(0x16) }, [3]frames.Code{early, mal, mal}},
	{"type 0x17", func(_, _ *client) []byte { return rawFrame(0x17) }, [3]frames.Code{unsup, unsup, unsup}},
	{"Presence", func(_, bob *client) []byte { return rawFrame(0x18, []byte{1}, bob.key) }, [3]frames.Code{unsup, unsup, unsup}},
	{"Restarting", func(_, _ *client) []byte { return rawFrame(0x1d, make([]byte, 8)) }, [3]frames.Code{unsup, unsup, unsup}},
	{"type 255", func(_, _ *client) []byte { return rawFrame(255, []byte("?")) }, [3]frames.Code{unsup, unsup, unsup}},
}

var _ = Describe("Having said Hello", func() {
	for i, state := range []struct {
		name  string
		reach func(ctx context.Context, r *relay) (alice, bob *owner)
	}{
		{"before login", func(ctx context.Context, r *relay) (*owner, *owner) {
			return r.greets(ctx, freshOwner(), 0), r.proves(ctx, freshOwner(), 0)
		}},
		{"logged in", func(ctx context.Context, r *relay) (*owner, *owner) {
			return r.proves(ctx, freshOwner(), 0), r.proves(ctx, freshOwner(), 0)
		}},
		{"in a session with Bob", func(ctx context.Context, r *relay) (*owner, *owner) { return r.provenSession(ctx, 0) }},
	} {
		It("gets for every type of frame what it is to, "+state.name, func(ctx SpecContext) {
			r := startRelay()
			for _, x := range extensions {
				alice, bob := state.reach(ctx, r)
				frame, code := x.frame(alice.client, bob.client), x.answers[i]
				By(fmt.Sprintf("%s: %v", x.name, code))
				alice.sends(frame)
				alice.said++
				switch code { //nolint:exhaustive // the others are refusals
				case forwarded:
					f := bob.hears(ctx)
					Expect(f.Append(nil)).To(Equal(rawFrame(frames.Type(frame[0]), alice.key, frame[frames.HeaderSize+len(bob.key):])))
				case answered:
					Expect(alice.hears(ctx).Append(nil)).To(Equal(rawFrame(frames.TypePong, frame[frames.HeaderSize:])))
				case silently:
				default:
					alice.isRefused(ctx, frames.Type(frame[0]), code)
				}
				if code.Closes() {
					alice.isClosed(ctx)
				} else {
					alice.says(rawType(0x7f))
					alice.isRefused(ctx, 0x7f, unsup)
				}
				bob.says(rawType(0x7f))
				bob.isRefused(ctx, 0x7f, unsup) // and has heard nothing before it
				Expect(alice.conn.Close()).To(Succeed())
				Expect(bob.conn.Close()).To(Succeed())
			}
		}, SpecTimeout(2*patience))
	}
})
