package specs_test

import (
	"bytes"
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

// Every kind of frame, in every state of its sender: which Error answers it, and that nothing else happens.
//
// The states are Alice's towards Bob, who is logged in throughout.
var states = []struct {
	name  string
	reach func(ctx context.Context, r *relay) (alice, bob *client)
}{
	{"before login", func(ctx context.Context, r *relay) (*client, *client) { return r.connect(), r.login(ctx) }},
	{"logged in", func(ctx context.Context, r *relay) (*client, *client) { return r.login(ctx), r.login(ctx) }},
	{"having asked Bob", func(ctx context.Context, r *relay) (*client, *client) {
		alice, bob := r.login(ctx), r.login(ctx)
		alice.asks(ctx, bob)
		return alice, bob
	}},
	{"asked by Bob", func(ctx context.Context, r *relay) (*client, *client) {
		alice, bob := r.login(ctx), r.login(ctx)
		bob.asks(ctx, alice)
		return alice, bob
	}},
	{"in a session with Bob", func(ctx context.Context, r *relay) (*client, *client) { return r.session(ctx) }},
}

const (
	forwarded frames.Code = 0
	early                 = frames.NotLoggedIn
	again                 = frames.AlreadyLoggedIn
	mal                   = frames.Malformed
	bad                   = frames.BadKey
	away                  = frames.Unavailable
	noReq                 = frames.NoRequest
	noSess                = frames.NoSession
	unsup                 = frames.Unsupported
	large                 = frames.TooLarge
)

// shapes are the kinds of frames, and the answer in each of the states.
var shapes = []struct {
	name    string
	frame   func(alice, bob *client) []byte
	answers [5]frames.Code
}{
	{"Login with a bad key", func(_, _ *client) []byte { return rawFrame(1, []byte("?")) }, [5]frames.Code{bad, again, again, again, again}},
	{"Login with Bob's key", func(_, bob *client) []byte { return rawFrame(1, bob.key) }, [5]frames.Code{frames.KeyInUse, again, again, again, again}},
	{"StartSession to Bob", func(_, bob *client) []byte { return rawFrame(2, bob.key, []byte("g^a")) }, [5]frames.Code{early, forwarded, forwarded, forwarded, forwarded}},
	{"StartSession to nobody", func(_, _ *client) []byte { return rawFrame(2, freshKey(2048), []byte("g^a")) }, [5]frames.Code{early, away, away, away, away}},
	{"StartSession to what is no key", func(_, _ *client) []byte { return rawFrame(2, []byte{0x30, 1, 7}, []byte("g^a")) }, [5]frames.Code{early, away, away, away, away}},
	{"StartSession to herself", func(alice, _ *client) []byte { return rawFrame(2, alice.key) }, [5]frames.Code{early, bad, bad, bad, bad}},
	{"StartSession without a key", func(_, _ *client) []byte { return rawFrame(2) }, [5]frames.Code{early, mal, mal, mal, mal}},
	{"StartSession with the longest sealed part", func(_, bob *client) []byte { return rawFrame(2, bob.key, make([]byte, frames.MaxSealed)) }, [5]frames.Code{large, forwarded, forwarded, forwarded, forwarded}},
	{"StartSession sealed too long", func(_, bob *client) []byte { return rawFrame(2, bob.key, make([]byte, frames.MaxSealed+1)) }, [5]frames.Code{large, mal, mal, mal, mal}},
	{"AcceptSession sealed too long", func(_, bob *client) []byte { return rawFrame(3, bob.key, make([]byte, frames.MaxSealed+1)) }, [5]frames.Code{large, mal, mal, mal, mal}},
	{"AcceptSession to Bob", func(_, bob *client) []byte { return rawFrame(3, bob.key, []byte("g^b")) }, [5]frames.Code{early, noReq, noReq, forwarded, noReq}},
	{"AcceptSession to nobody", func(_, _ *client) []byte { return rawFrame(3, freshKey(2048)) }, [5]frames.Code{early, noReq, noReq, noReq, noReq}},
	{"AcceptSession to herself", func(alice, _ *client) []byte { return rawFrame(3, alice.key) }, [5]frames.Code{early, bad, bad, bad, bad}},
	{"AcceptSession with a key cut off", func(_, bob *client) []byte { return rawFrame(3, bob.key[:100]) }, [5]frames.Code{early, mal, mal, mal, mal}},
	{"Message to Bob", func(_, bob *client) []byte { return rawFrame(4, bob.key, []byte("text")) }, [5]frames.Code{early, noSess, noSess, noSess, forwarded}},
	{"Message to nobody", func(_, _ *client) []byte { return rawFrame(4, freshKey(2048)) }, [5]frames.Code{early, noSess, noSess, noSess, noSess}},
	{"Message to herself", func(alice, _ *client) []byte { return rawFrame(4, alice.key) }, [5]frames.Code{early, bad, bad, bad, bad}},
	{"Message with a key not in its shortest form", func(_, _ *client) []byte { return rawFrame(4, []byte{0x30, 0x81, 1, 7}) }, [5]frames.Code{early, mal, mal, mal, mal}},
	{"Message with a key over 1024 bytes", func(_, _ *client) []byte { return rawFrame(4, []byte{0x30, 0x82, 3, 0xfd}, make([]byte, 1021)) }, [5]frames.Code{early, mal, mal, mal, mal}},
	{"Error", func(_, _ *client) []byte { return rawFrame(5, make([]byte, 11)) }, [5]frames.Code{unsup, unsup, unsup, unsup, unsup}},
	{"a Hello cut off", func(_, _ *client) []byte { return rawFrame(0x10, []byte{1, 0}) }, [5]frames.Code{mal, again, again, again, again}},
	{"Prove", func(alice, _ *client) []byte { return rawFrame(0x11, alice.key) }, [5]frames.Code{unsup, unsup, unsup, unsup, unsup}},
	{"Ack", func(_, _ *client) []byte { return rawFrame(0x12) }, [5]frames.Code{unsup, unsup, unsup, unsup, unsup}},
	{"Ping", func(_, _ *client) []byte { return rawFrame(0x14, make([]byte, 8)) }, [5]frames.Code{unsup, unsup, unsup, unsup, unsup}},
	{"EndSession", func(_, bob *client) []byte { return rawFrame(0x16, bob.key) }, [5]frames.Code{unsup, unsup, unsup, unsup, unsup}},
	{"type 0", func(_, _ *client) []byte { return rawFrame(0) }, [5]frames.Code{unsup, unsup, unsup, unsup, unsup}},
	{"type 6", func(_, _ *client) []byte { return rawFrame(6, []byte("?")) }, [5]frames.Code{unsup, unsup, unsup, unsup, unsup}},
	{"type 255", func(_, _ *client) []byte { return rawFrame(255, []byte("?")) }, [5]frames.Code{unsup, unsup, unsup, unsup, unsup}},
}

func rawFrame(t frames.Type, parts ...[]byte) []byte {
	p := bytes.Join(parts, nil)
	return append(frames.AppendHeader(nil, t, len(p)), p...)
}

var _ = Describe("Being refused", func() {
	for i, state := range states {
		When("Alice, "+state.name+",", func() {
			for _, shape := range shapes {
				code := shape.answers[i]
				fact := fmt.Sprintf("gets %v for %s, and can go on", code, shape.name)
				switch {
				case code == forwarded:
					fact = "reaches Bob with " + shape.name
				case code.Closes():
					fact = fmt.Sprintf("gets %v for %s, and is closed", code, shape.name)
				}
				It(fact, func(ctx SpecContext) {
					alice, bob := state.reach(ctx, startRelay())
					frame := shape.frame(alice, bob)
					alice.sends(frame)
					alice.said++
					if code == forwarded {
						f := bob.hears(ctx)
						Expect(f.Append(nil)).To(HaveSuffix(string(frame[frames.HeaderSize+len(bob.key):])))
						Expect(f.Type()).To(Equal(frames.Type(frame[0])))
					} else {
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
				}, SpecTimeout(patience))
			}

			It("is closed after TOO_LARGE for a payload over the limit, by its header alone", func(ctx SpecContext) {
				alice, bob := state.reach(ctx, startRelay())
				limit := frames.MaxPayload
				if i == 0 {
					limit = frames.MaxLoginPayload
				}
				alice.says(rawType(0x7f))
				alice.isRefused(ctx, 0x7f, unsup)
				alice.sends(frames.AppendHeader(nil, frames.TypeMessage, limit+1))
				alice.said++
				alice.isRefused(ctx, frames.TypeMessage, frames.TooLarge)
				alice.isClosed(ctx)
				bob.hearsNothing(ctx)
			}, SpecTimeout(patience))
		})
	}
})

var _ = Describe("Flooding the relay with junk", func() {
	It("has every frame refused, by its number", func(ctx SpecContext) {
		alice := startRelay().login(ctx)
		const n = 20000
		var junk []byte
		for range n / 2 {
			junk = append(append(junk, rawFrame(6)...), rawFrame(frames.TypeMessage)...)
		}
		go func() {
			defer GinkgoRecover()
			alice.sends(junk)
		}()
		seen := map[uint64]frames.Type{}
		for range n {
			f := alice.hears(ctx).(frames.Error)
			seen[f.Number] = f.Request
		}
		want := map[uint64]frames.Type{}
		for i := uint64(2); i <= n; i += 2 {
			want[i], want[i+1] = 6, frames.TypeMessage
		}
		Expect(seen).To(Equal(want))
	}, SpecTimeout(2*patience))
})

// rawType is an empty frame of a type there is no struct for.
type rawType frames.Type

func (t rawType) Append(b []byte) []byte { return frames.AppendHeader(b, frames.Type(t), 0) }
func (t rawType) Type() frames.Type      { return frames.Type(t) }
