package specs_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// bomb makes actors of a kind panic on a kind of message, before they handle it or after. It is set off by arm.
type bomb struct {
	kind    supervisor.Kind
	message string // its type's name
	after   bool
	first   func(actor.ReceiverContext) // happens just before
	left    atomic.Int32
}

// arm makes the next so many messages crash their actor.
func (b *bomb) arm(times int32) { b.left.Store(times) }

func (b *bomb) props(kind supervisor.Kind, props *actor.Props) *actor.Props {
	if kind != b.kind {
		return props
	}
	return props.Clone(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			hit := strings.HasSuffix(fmt.Sprintf("%T", envelope.Message), "."+b.message) && b.left.Add(-1) >= 0
			if hit && !b.after {
				panic(canary)
			}
			next(ctx, envelope)
			if hit && b.first != nil {
				b.first(ctx)
			}
			if hit {
				panic(canary)
			}
		}
	}))
}

// canary is what must not show up in a log.
const canary = "canary-7c1f09"

// startRelayWith starts a relay with a bomb in it. Its log goes to log as well.
func startRelayWith(b *bomb, log io.Writer, change ...func(*supervisor.Config)) *relay {
	needsInside("crashes are caused from inside")
	return startRelay(append(change, func(c *supervisor.Config) {
		c.Props = b.props
		c.Log.Logger.SetOutput(io.MultiWriter(GinkgoWriter, log))
	})...)
}

var _ = Describe("Crashing", func() {
	for _, after := range []bool{false, true} {
		moment := map[bool]string{false: "before", true: "after"}[after]
		for who, crashing := range map[string]string{"Alice's": "Take", "Bob's": "Hear"} {
			When(who+" actor crashes once, "+moment+" it handled Alice's message", func() {
				It("costs nothing: every frame arrives once, in order", func(ctx SpecContext) {
					b := &bomb{kind: supervisor.KindUser, message: crashing, after: after}
					r := startRelayWith(b, io.Discard)
					alice, bob := r.session(ctx)
					b.arm(1)
					for _, body := range []string{"1", "2", "3"} {
						alice.says(frames.Message{Peer: bob.key, Body: []byte(body)})
					}
					for _, body := range []string{"1", "2", "3"} {
						Expect(bob.hears(ctx)).To(Equal(message(alice, body)))
					}
				}, SpecTimeout(patience))
			})
		}
	}

	for who, crashing := range map[string]string{"Alice's": "Take", "Bob's": "Hear"} {
		When(who+" actor crashes again and again on Alice's message", func() {
			It("refuses that frame with INTERNAL, and goes on with the session", func(ctx SpecContext) {
				b := &bomb{kind: supervisor.KindUser, message: crashing}
				r := startRelayWith(b, io.Discard)
				alice, bob := r.session(ctx)
				b.arm(2)
				alice.says(frames.Message{Peer: bob.key, Body: []byte(canary)})
				alice.isRefused(ctx, frames.TypeMessage, frames.Internal)
				alice.says(frames.Message{Peer: bob.key, Body: []byte("next")})
				Expect(bob.hears(ctx)).To(Equal(message(alice, "next")))
			}, SpecTimeout(patience))

			It("closes that user's connection when it is too often, and nobody else's", func(ctx SpecContext) {
				b := &bomb{kind: supervisor.KindUser, message: crashing}
				r := startRelayWith(b, io.Discard, func(c *supervisor.Config) { c.Crashes = 1 })
				alice, bob := r.session(ctx)
				victim, other := alice, bob
				if crashing == "Hear" {
					victim, other = bob, alice
				}
				b.arm(2)
				alice.says(frames.Message{Peer: bob.key, Body: []byte("ouch")})
				if victim == alice {
					alice.isRefused(ctx, frames.TypeMessage, frames.Internal)
				}
				Expect(victim.hears(ctx)).To(beError(0, 0, frames.Internal))
				victim.isClosed(ctx)
				if other == alice {
					alice.isRefused(ctx, frames.TypeMessage, frames.Internal)
				}
				again := r.returns(ctx, victim)
				other.says(frames.Message{Peer: victim.key})
				other.isRefused(ctx, frames.TypeMessage, frames.NoSession)
				other.meets(ctx, again)
			}, SpecTimeout(patience))
		})
	}

	When("Bob's actor crashes on Alice's StartSession", func() {
		It("costs nothing the first time, and INTERNAL the second", func(ctx SpecContext) {
			b := &bomb{kind: supervisor.KindUser, message: "Hear"}
			r := startRelayWith(b, io.Discard)
			alice, bob := r.login(ctx), r.login(ctx)
			b.arm(1)
			alice.asks(ctx, bob)
			b.arm(2)
			alice.says(frames.StartSession{Peer: bob.key})
			alice.isRefused(ctx, frames.TypeStart, frames.Internal)
			alice.meets(ctx, bob)
		}, SpecTimeout(patience))
	})

	When("a connection crashes", func() {
		for _, after := range []bool{false, true} {
			It(fmt.Sprintf("closes that socket and no other, and gives each frame one outcome (handled: %v)", after), func(ctx SpecContext) {
				b := &bomb{kind: supervisor.KindConnection, message: "Deliver", after: after}
				r := startRelayWith(b, io.Discard)
				alice, bob := r.session(ctx)
				carol := r.login(ctx)
				alice.meets(ctx, carol)
				b.arm(1)
				alice.says(frames.Message{Peer: bob.key, Body: []byte("to a socket that is about to close")})
				if after { // it may have been written in time, or not
					Eventually(ctx, b.left.Load).Should(BeZero())
				} else {
					alice.isRefused(ctx, frames.TypeMessage, frames.Offline)
					bob.isClosed(ctx)
				}
				alice.says(frames.Message{Peer: carol.key, Body: []byte("still there?")})
				Expect(carol.hears(ctx)).To(Equal(message(alice, "still there?")))
				carol.meets(ctx, r.returns(ctx, bob))
			}, SpecTimeout(patience))
		}
	})

	When("the Registry crashes", func() {
		It("costs nothing the first time, and INTERNAL the second", func(ctx SpecContext) {
			b := &bomb{kind: supervisor.KindRegistry, message: "Join"}
			r := startRelayWith(b, io.Discard)
			alice, bob := r.session(ctx)
			carol := r.connect()
			b.arm(2)
			carol.says(frames.Login{Key: carol.key})
			carol.isRefused(ctx, frames.TypeLogin, frames.Internal)
			b.arm(1)
			carol.says(frames.Login{Key: carol.key})
			Expect(carol.hears(ctx)).To(Equal(frames.LoginAccepted{}))
			alice.says(frames.Message{Peer: bob.key, Body: []byte("as before")})
			Expect(bob.hears(ctx)).To(Equal(message(alice, "as before")))
		}, SpecTimeout(patience))
	})

	When("Connections crashes", func() {
		It("accepts the connection nevertheless", func(ctx SpecContext) {
			b := &bomb{kind: supervisor.KindConnections, message: "Welcome"}
			r := startRelayWith(b, io.Discard)
			b.arm(1)
			r.login(ctx)
		}, SpecTimeout(patience))
	})

	for _, direction := range []string{"reading", "writing"} {
		When("what is "+direction+" a socket panics", func() {
			It("closes that socket and no other, and is told as a crash of its connection", func(ctx SpecContext) {
				needsInside("crashes are caused from inside")
				var all safeBuffer
				r := startRelayWith(&bomb{}, &all)
				carol, dave := r.session(ctx)
				trapped := &trap{}
				r.serve(func(ln net.Listener) net.Listener { return trappedListener{ln, trapped} })
				alice, bob := r.session(ctx)
				trapped.reading.Store(direction == "reading")
				if direction == "writing" {
					trapped.writing.Store(1)
				}
				alice.says(frames.Message{Peer: bob.key, Body: []byte("ouch")})
				if direction == "writing" {
					bob.isClosed(ctx)
				} else {
					Eventually(ctx, func() bool {
						_, err := alice.frame(ctx)
						return closedByPeer(err)
					}).Should(BeTrue())
				}
				Eventually(ctx, func() int { return all.count("an actor crashed") }).Should(BeNumerically(">", 0))
				carol.says(frames.Message{Peer: dave.key, Body: []byte("fine here")})
				Expect(dave.hears(ctx)).To(Equal(message(carol, "fine here")))
			}, SpecTimeout(patience))
		})
	}

	When("the Registry crashes after it has passed on a StartSession, and hears of somebody's end before it tries again", func() {
		It("asks Bob once", func(ctx SpecContext) {
			b := &bomb{kind: supervisor.KindRegistry, message: "Introduce", after: true, first: func(ctx actor.ReceiverContext) {
				registry, _ := ctx.ActorSystem().ProcessRegistry.Get(ctx.Self())
				registry.SendSystemMessage(ctx.Self(), &actor.Terminated{Who: ctx.Parent()})
			}}
			r := startRelayWith(b, io.Discard)
			alice, bob := r.login(ctx), r.login(ctx)
			b.arm(1)
			alice.asks(ctx, bob)
			bob.hearsNothing(ctx)
			alice.meets(ctx, bob)
		}, SpecTimeout(patience))
	})

	for what, prepare := range map[string]func(b *bomb, t *trap){
		"Bob's connection, which cannot tell what waits, crashes after it has taken note of a write": func(b *bomb, _ *trap) { b.arm(1) },
		"what is writing to Bob panics in the middle":                                                func(_ *bomb, t *trap) { t.writing.Store(3) },
	} {
		When(what, func() {
			It("gives every message one outcome: Bob hears the first ones, and the others are refused with OFFLINE", func(ctx SpecContext) {
				b, t := &bomb{kind: supervisor.KindConnection, message: "ready", after: true}, &trap{}
				r := startRelayWith(b, io.Discard, func(c *supervisor.Config) { c.Window = 1 << 20 }) // it takes all at once
				r.servePipes(func(ln net.Listener) net.Listener { return trappedListener{ln, t} })
				alice, bob := r.session(ctx)
				const count = 16
				var list []frames.Frame
				for i := range count {
					list = append(list, frames.Message{Peer: bob.key, Body: numbered(i, 10000)})
				}
				said := alice.said
				alice.says(list...)
				r.stalls(ctx)
				prepare(b, t)
				heard := bob.hearsUntilClosed(ctx)
				Expect(len(heard)).To(BeNumerically("<", count))
				for i, f := range heard {
					Expect(f).To(Equal(frames.Message{Peer: alice.key, Body: numbered(i, 10000)}))
				}
				for i := len(heard); i < count; i++ {
					Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, said+uint64(i)+1, frames.Offline))
				}
				alice.hearsNothing(ctx)
				Expect(r.inside.Account().Delivered.Frames).To(BeEquivalentTo(len(heard) + 2)) // the request and the acceptance
			}, SpecTimeout(patience))
		})
	}

	When("closing Bob's connection panics", func() {
		It("refuses what waited for him, and his key can log in again", func(ctx SpecContext) {
			needsInside("crashes are caused from inside")
			r, t := startRelay(), &trap{}
			r.servePipes(func(ln net.Listener) net.Listener { return trappedListener{ln, t} })
			alice, bob := r.session(ctx)
			for range 3 {
				alice.says(frames.Message{Peer: bob.key, Body: make([]byte, 1000)})
			}
			r.stalls(ctx)
			t.closing.Store(true)
			Expect(bob.conn.Close()).To(Succeed())
			for n := alice.said - 2; n <= alice.said; n++ {
				Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, n, frames.Offline))
			}
			alice.meets(ctx, r.returns(ctx, bob))
		}, SpecTimeout(patience))
	})

	It("is one line in the log, without what the panic or the frame said", func(ctx SpecContext) {
		b := &bomb{kind: supervisor.KindUser, message: "Hear"}
		var all safeBuffer
		r := startRelayWith(b, &all)
		alice, bob := r.session(ctx)
		b.arm(1)
		alice.says(frames.Message{Peer: bob.key, Body: []byte(canary)})
		Expect(bob.hears(ctx)).To(Equal(message(alice, canary)))
		Eventually(ctx, func() int { return all.count("an actor crashed") }).Should(Equal(1))
		Expect(all.count("bomb_test.go")).To(BeNumerically(">", 0), "the stack is there")
		for _, secret := range [][]byte{[]byte(canary), alice.key[100:130], bob.key[100:130]} {
			for _, form := range []string{
				string(secret), strings.Trim(strconv.Quote(string(secret)), `"`), hex.EncodeToString(secret),
				base64.StdEncoding.EncodeToString(secret[:len(secret)/3*3]), strings.Trim(fmt.Sprint(secret), "[]"),
			} {
				Expect(all.count(form)).To(BeZero(), form)
			}
		}
	}, SpecTimeout(patience))
})

// hearsUntilClosed returns what comes until the relay closes the connection.
func (c *client) hearsUntilClosed(ctx context.Context) (all []frames.Frame) {
	GinkgoHelper()
	for {
		f, err := c.frame(ctx)
		if err != nil {
			Expect(closedByPeer(err)).To(BeTrue(), "heard %v", err)
			return all
		}
		all = append(all, f)
	}
}

// trap makes sockets panic.
type trap struct {
	reading, closing atomic.Bool
	writing          atomic.Int32 // which of the writes from now on; 0 is none
}

type trappedListener struct {
	net.Listener
	*trap
}

type trappedConn struct {
	net.Conn
	*trap
}

func (l trappedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return trappedConn{conn, l.trap}, nil
}

func (c trappedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.reading.Load() {
		panic(canary)
	}
	return n, err
}

func (c trappedConn) Write(b []byte) (int, error) {
	if c.writing.Add(-1) == 0 {
		panic(canary)
	}
	return c.Conn.Write(b)
}

func (c trappedConn) Close() error {
	err := c.Conn.Close()
	if c.closing.Load() {
		panic(canary)
	}
	return err
}

// Every message that every actor understands, crashing it once and twice, before and after it is handled: whatever it
// costs, nothing is stuck afterwards. That every frame is settled then, and nothing leaked, is checked at each spec's end.
var _ = Describe("Crashing on any message", func() {
	for kind, messages := range map[supervisor.Kind][]string{
		supervisor.KindUser: {
			"Join", "Leave", "Take", "Hear", "Answered", "Ended", "LetGo", "Vacated", "walk", "unavailable",
		},
		supervisor.KindRegistry:    {"Join", "Leave", "Introduce", "Vacate", "Terminated"},
		supervisor.KindConnections: {"Welcome", "Terminated"},
		supervisor.KindConnection:  {"received", "Joined", "Rejected", "Deliver", "Refuse", "ended", "flush", "ready", "parted"},
	} {
		for _, message := range messages {
			for _, after := range []bool{false, true} {
				for times := range int32(3) {
					moment := map[bool]string{false: "before", true: "after"}[after]
					It(fmt.Sprintf("is got over: %s, %s, %d times %s", kind, message, times+1, moment), func(ctx SpecContext) {
						b := &bomb{kind: kind, message: message, after: after}
						r := startRelayWith(b, io.Discard)
						keys := []frames.Key{freshKey(2048), freshKey(2048)}
						b.arm(times + 1)
						_ = r.converses(ctx, keys, 100*time.Millisecond)
						b.arm(0)
						Eventually(ctx, func() error { return r.converses(ctx, keys, time.Second) }).WithTimeout(patience).Should(Succeed())
					}, SpecTimeout(2*patience))
				}
			}
		}
	}
})

// converses has two users meet, exchange a message each, and leave. It says what went wrong, with nothing left behind.
func (r *relay) converses(ctx context.Context, keys []frames.Key, limit time.Duration) error {
	var pair []*client
	for _, key := range keys {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		pair = append(pair, &client{conn: conn, key: key, in: bufio.NewReader(conn)})
	}
	alice, bob := pair[0], pair[1]
	for _, step := range []struct {
		from, to *client
		say      frames.Frame
		hear     frames.Type
	}{
		{alice, alice, frames.Login{Key: alice.key}, frames.TypeLogin},
		{bob, bob, frames.Login{Key: alice.key}, frames.TypeError}, // in use
		{bob, bob, frames.Login{Key: bob.key}, frames.TypeLogin},
		{alice, alice, frames.StartSession{Peer: frames.Key{0x30, 0}}, frames.TypeError}, // nobody
		{alice, bob, frames.StartSession{Peer: bob.key}, frames.TypeStart},
		{bob, alice, frames.AcceptSession{Peer: alice.key}, frames.TypeAccept},
		{alice, bob, frames.Message{Peer: bob.key, Body: []byte("1")}, frames.TypeMessage},
		{bob, alice, frames.Message{Peer: alice.key, Body: []byte("2")}, frames.TypeMessage},
	} {
		if _, err := step.from.conn.Write(step.say.Append(nil)); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		f, err := step.to.frame(ctx)
		cancel()
		if err != nil {
			return err
		}
		if f.Type() != step.hear {
			return fmt.Errorf("after %v came %v", step.say.Type(), f)
		}
	}
	return nil
}

// safeBuffer is a log to look through.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.b.Bytes(), []byte(text))
}
