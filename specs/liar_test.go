package specs_test

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	sdk "github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// liar is a relay that lies to one client: it sits between that client and an honest one.
type liar struct {
	address string
	mu      sync.Mutex
	lie     lie // guarded by mu
}

// lie returns what becomes of a frame: itself, another, several, or none.
type lie func(from frames.Side, f frames.Raw) []frames.Raw

// startLiar starts one in front of a relay. It is honest until it is told to lie.
func startLiar(r *relay) *liar {
	GinkgoHelper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	l := &liar{address: ln.Addr().String()}
	l.tells(func(_ frames.Side, f frames.Raw) []frames.Raw { return []frames.Raw{f} })
	var all sync.WaitGroup
	DeferCleanup(func() {
		_ = ln.Close()
		all.Wait() // both ends of each connection close theirs
	})
	all.Go(func() { // ends with the listener
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			relay, err := net.Dial("tcp", r.address)
			if err != nil {
				_ = client.Close()
				continue
			}
			all.Go(func() { l.forward(frames.FromClient, client, relay) })
			all.Go(func() { l.forward(frames.FromRelay, relay, client) })
		}
	})
	return l
}

// forward forwards, and lies, until one side closes.
func (l *liar) forward(side frames.Side, from, to net.Conn) {
	defer func() { _ = from.Close() }()
	defer func() { _ = to.Close() }()
	in := bufio.NewReader(from)
	for {
		f, err := frames.Read(in, frames.MaxPayload+frames.MaxGrowth)
		if err != nil {
			return
		}
		l.mu.Lock()
		list := l.lie(side, f)
		l.mu.Unlock()
		for _, f := range list {
			if _, err := to.Write(append(frames.AppendHeader(nil, f.Type, len(f.Payload)), f.Payload...)); err != nil {
				return
			}
		}
	}
}

// tells makes it tell this lie from now on.
func (l *liar) tells(lie lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
}

// once makes it tell a lie about the next frame of a type, and tell the truth besides.
func (l *liar) once(from frames.Side, t frames.Type, about func(frames.Raw) []frames.Raw) {
	told := false
	l.tells(func(side frames.Side, f frames.Raw) []frames.Raw {
		if told || side != from || f.Type != t {
			return []frames.Raw{f}
		}
		told = true
		return about(f)
	})
}

// flipped is a frame with one bit of its last byte flipped, key untouched.
func flipped(f frames.Raw) []frames.Raw {
	p := append([]byte(nil), f.Payload...)
	p[len(p)-1] ^= 1
	return []frames.Raw{{Type: f.Type, Payload: p}}
}

// inTheNameOf is a frame with another key in front.
func inTheNameOf(key frames.Key) func(frames.Raw) []frames.Raw {
	return func(f frames.Raw) []frames.Raw {
		_, rest, err := frames.DefaultKeys().Split(f.Payload)
		if err != nil {
			return nil
		}
		return []frames.Raw{{Type: f.Type, Payload: append(append([]byte(nil), key...), rest...)}}
	}
}

func twice(f frames.Raw) []frames.Raw { return []frames.Raw{f, f} }

func never(frames.Raw) []frames.Raw { return nil }

var _ = Describe("Talking through a relay that lies", func() {
	var r *relay
	var l *liar
	BeforeEach(func() {
		r = startRelay()
		l = startLiar(r)
	})

	// isNoticed expects that both sides end the session and name what happened, and that both call it tampering.
	isNoticed := func(ctx context.Context, by, other *sdk.Session, as error) {
		GinkgoHelper()
		for _, s := range []*sdk.Session{by, other} {
			err := fate(ctx, s)
			Expect(err).To(MatchError(as))
			Expect(sdk.Tampering(err)).To(BeTrue())
		}
		var noticed *sdk.Noticed
		Expect(other.Err()).To(BeAssignableToTypeOf(noticed))
	}

	When("a session is open", func() {
		var toBob, toAlice *sdk.Session
		BeforeEach(func(ctx SpecContext) {
			_, _, toBob, toAlice = friends(ctx, r.address, l.address)
			Expect(toBob.Send(ctx, []byte("first"))).To(Succeed())
			Expect(reads(ctx, toAlice, 1)).To(Equal([]string{"first"}))
			Expect(toBob.Flush(ctx)).To(Succeed())
		}, NodeTimeout(patience))

		It("is noticed when it changes a message", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeMessage, flipped)
			Expect(toBob.Send(ctx, []byte("second"))).To(Succeed())
			isNoticed(ctx, toAlice, toBob, e2e.ErrForged)
		}, SpecTimeout(patience))

		It("is noticed when it changes a confirmation", func(ctx SpecContext) {
			l.once(frames.FromClient, frames.TypeMessage, flipped)
			Expect(toBob.Send(ctx, []byte("second"))).To(Succeed())
			isNoticed(ctx, toBob, toAlice, e2e.ErrForged)
		}, SpecTimeout(patience))

		It("is noticed when it repeats a message", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeMessage, twice)
			Expect(toBob.Send(ctx, []byte("second"))).To(Succeed())
			isNoticed(ctx, toAlice, toBob, e2e.ErrReplayed)
			Expect(reads(ctx, toAlice, 1)).To(Equal([]string{"second"}), "what was genuine is handed out")
		}, SpecTimeout(patience))

		It("is noticed when it swaps two messages", func(ctx SpecContext) {
			var first *frames.Raw
			l.tells(func(from frames.Side, f frames.Raw) []frames.Raw {
				switch {
				case from != frames.FromRelay || f.Type != frames.TypeMessage:
				case first == nil:
					first = &f
					return nil
				case first.Payload != nil:
					swapped := []frames.Raw{f, *first}
					first.Payload = nil
					return swapped
				}
				return []frames.Raw{f}
			})
			Expect(toBob.Send(ctx, []byte("second"))).To(Succeed())
			Expect(toBob.Send(ctx, []byte("third"))).To(Succeed())
			isNoticed(ctx, toAlice, toBob, e2e.ErrReordered)
		}, SpecTimeout(patience))

		It("is noticed when it drops one message", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeMessage, never)
			Expect(toBob.Send(ctx, []byte("second"))).To(Succeed())
			Expect(toBob.Send(ctx, []byte("third"))).To(Succeed())
			isNoticed(ctx, toBob, toAlice, e2e.ErrWithheld)
		}, SpecTimeout(patience))

		It("is noticed when it cuts a message short", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeMessage, func(f frames.Raw) []frames.Raw {
				return []frames.Raw{{Type: f.Type, Payload: f.Payload[:len(f.Payload)/2]}}
			})
			Expect(toBob.Send(ctx, []byte("second"))).To(Succeed())
			isNoticed(ctx, toAlice, toBob, e2e.ErrForged)
		}, SpecTimeout(patience))
	})

	It("is noticed when it refuses a message and delivers it all the same", func(ctx SpecContext) {
		said, message := uint64(0), uint64(0) // by Alice's client
		l.tells(func(from frames.Side, f frames.Raw) []frames.Raw {
			if from == frames.FromClient {
				if said++; f.Type == frames.TypeMessage {
					message = said
				}
				return []frames.Raw{f}
			}
			if f.Type != frames.TypeMessage || message == 0 {
				return []frames.Raw{f}
			}
			busy := frames.Error{Code: frames.Busy, Request: frames.TypeMessage, Number: message}.Append(nil)
			message = 0
			return []frames.Raw{{Type: frames.TypeError, Payload: busy[frames.HeaderSize:]}, f}
		})
		_, _, toBob, toAlice := friends(ctx, l.address, r.address)
		isNoticed(ctx, toBob, toAlice, sdk.ErrContradiction)
	}, SpecTimeout(patience))

	It("is noticed when it passes off one friend's message as another's", func(ctx SpecContext) {
		_, bob, toBob, _ := friends(ctx, r.address, l.address)
		carol := friendAt(ctx, r.address, "carol")
		carolToBob, bobToCarol := carol.befriends(ctx, bob)
		l.once(frames.FromRelay, frames.TypeMessage, inTheNameOf(carol.self.Key()))
		Expect(toBob.Send(ctx, []byte("from Alice"))).To(Succeed())
		isNoticed(ctx, bobToCarol, carolToBob, e2e.ErrForged)
	}, SpecTimeout(patience))

	When("Alice asks Bob", func() {
		var alice, bob *friend
		BeforeEach(func(ctx SpecContext) {
			alice, bob = friendAt(ctx, r.address, "alice"), friendAt(ctx, l.address, "bob")
		}, NodeTimeout(patience))

		It("is noticed when it changes the request", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeStart, flipped)
			alice.asksInBackground(bob)
			Expect(bob.trouble(ctx)).To(MatchError(e2e.ErrUnsealable))
		}, SpecTimeout(patience))

		It("is noticed when it says that the request is from somebody else", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeStart, inTheNameOf(identity("carol").Key()))
			alice.asksInBackground(bob)
			Expect(bob.trouble(ctx)).To(MatchError(e2e.ErrWrongUser))
		}, SpecTimeout(patience))

		It("is noticed when it repeats the request", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeStart, twice)
			alice.asksInBackground(bob)
			Expect(bob.event(ctx)).To(HaveField("Peer", alice.self.Key()))
			Expect(bob.trouble(ctx)).To(MatchError(sdk.ErrRepeated))
		}, SpecTimeout(patience))

		It("gains nothing by repeating it after Bob has come back: no session opens", func(ctx SpecContext) {
			var start frames.Raw
			l.once(frames.FromRelay, frames.TypeStart, func(f frames.Raw) []frames.Raw {
				start = f
				return []frames.Raw{f}
			})
			alice.asksInBackground(bob)
			bob.event(ctx)
			Expect(bob.Close()).To(Succeed())
			Expect(alice.Close()).To(Succeed())
			l.once(frames.FromRelay, frames.TypeLogin, func(f frames.Raw) []frames.Raw { return []frames.Raw{f, start} })
			bob = friendAt(ctx, l.address, "bob")
			Expect(bob.event(ctx)).To(HaveField("Peer", alice.self.Key()))
			l.once(frames.FromClient, frames.TypeAccept, never) // an honest relay would refuse it
			short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			_, err := bob.AcceptSession(short, alice.self.Key())
			Expect(err).To(MatchError(context.DeadlineExceeded))
		}, SpecTimeout(patience))
	})

	When("Bob accepts", func() {
		var alice, bob *friend
		var asked <-chan started
		BeforeEach(func(ctx SpecContext) {
			alice, bob = friendAt(ctx, l.address, "alice"), friendAt(ctx, r.address, "bob")
			asked = alice.asksInBackground(bob)
			bob.event(ctx)
		}, NodeTimeout(patience))

		accepts := func(ctx context.Context) {
			go func() { _, _ = bob.AcceptSession(ctx, alice.self.Key()) }() // ends with ctx
		}

		It("is noticed when it changes the acceptance", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeAccept, flipped)
			accepts(ctx)
			var answer started
			Eventually(ctx, asked).Should(Receive(&answer))
			Expect(answer.err).To(MatchError(e2e.ErrUnsealable))
			Expect(sdk.Tampering(answer.err)).To(BeTrue())
		}, SpecTimeout(patience))

		It("is noticed when it says that somebody else accepts", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeAccept, inTheNameOf(identity("carol").Key()))
			accepts(ctx)
			Expect(alice.trouble(ctx)).To(MatchError(sdk.ErrUnasked))
		}, SpecTimeout(patience))

		It("is noticed when it repeats the acceptance, and the session lives on", func(ctx SpecContext) {
			l.once(frames.FromRelay, frames.TypeAccept, twice)
			toAlice, err := bob.AcceptSession(ctx, alice.self.Key())
			Expect(err).NotTo(HaveOccurred())
			Expect(alice.trouble(ctx)).To(MatchError(sdk.ErrUnasked))
			var answer started
			Eventually(ctx, asked).Should(Receive(&answer))
			Expect(answer.session.Send(ctx, []byte("hello"))).To(Succeed())
			Expect(reads(ctx, toAlice, 1)).To(Equal([]string{"hello"}))
		}, SpecTimeout(patience))
	})

	It("is noticed when it answers with what no relay sends", func(ctx SpecContext) {
		for _, nonsense := range []frames.Raw{
			{Type: frames.TypeError, Payload: []byte("short")},
			{Type: frames.TypeMessage, Payload: []byte("no key")},
			{Type: frames.TypeLogin, Payload: []byte("not empty")},
		} {
			alice := friendAt(ctx, l.address, "alice")
			l.once(frames.FromRelay, frames.TypeError, func(frames.Raw) []frames.Raw { return []frames.Raw{nonsense} })
			_, err := alice.StartSession(ctx, identity("bob").Key())
			Expect(err).To(MatchError(sdk.ErrRelay))
			Expect(alice.Close()).To(Succeed())
		}
	}, SpecTimeout(patience))

	It("does not disturb a client that skips types of a later version", func(ctx SpecContext) {
		l.once(frames.FromRelay, frames.TypeLogin, func(f frames.Raw) []frames.Raw {
			return []frames.Raw{{Type: 0x7f, Payload: []byte("what is this?")}, f}
		})
		friendAt(ctx, l.address, "alice")
	}, SpecTimeout(patience))
})
