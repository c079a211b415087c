package specs_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// limited starts a relay with limits by rate and address, all of them off but those that change sets.
func limited(change func(*supervisor.Config)) *relay {
	GinkgoHelper()
	needsInside("the relay has to be told small limits")
	return startRelay(func(c *supervisor.Config) {
		*c = supervisor.Config{
			Log: c.Log, EarlyRefusal: supervisor.EarlyRefusal{From: supervisor.Off}, PenaltyFrom: supervisor.Off,
			OnlinePerAddress: supervisor.Off, AnonymousPerAddress: supervisor.Off, AskedOfPerAddress: supervisor.Off,
			FrameRate: off, ByteRate: off, StartRate: off, StartRatePerAddress: off, StartRateTo: off,
		}
		change(c)
	})
}

var off = supervisor.Rate{Events: supervisor.Off}

// from makes whoever connects from now on come from an address.
func (r *relay) from(address string) *relay {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &relay{inside: r.inside, address: r.address, dial: func() (net.Conn, error) {
		conn, err := dialer.Dial("tcp", r.address)
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			Skip("on this system there is one loopback address only")
		}
		return conn, err
	}}
}

// isTurnedAway expects LIMIT, with number 0, and the end.
func (c *client) isTurnedAway(ctx context.Context) {
	GinkgoHelper()
	Expect(c.hears(ctx)).To(beError(0, 0, frames.Limit))
	c.isClosed(ctx)
}

// hearsUntilAnswered says something that is always answered, and returns what comes before the answer.
func (c *client) hearsUntilAnswered(ctx context.Context) (before []frames.Frame) {
	GinkgoHelper()
	c.says(rawType(0x7f))
	for {
		f := c.hears(ctx)
		if e, ok := f.(frames.Error); ok && e.Number == c.said {
			return before
		}
		before = append(before, f)
	}
}

// isLetIn expects that somebody can log in.
func (r *relay) isLetIn(ctx context.Context) {
	GinkgoHelper()
	Expect(r.login(ctx).conn.Close()).To(Succeed())
}

var _ = Describe("Coming to the door", func() {
	When("as many are connected as the relay takes", func() {
		It("turns the next one away, and nobody has to go for it", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) { c.Connections = 3 })
			alice, bob := r.session(ctx)
			silent := r.connect()
			r.connect().isTurnedAway(ctx)
			alice.says(message(bob, "still here?"))
			Expect(bob.hears(ctx)).To(Equal(message(alice, "still here?")))
			Expect(silent.conn.Close()).To(Succeed())
			Eventually(ctx, func(g Gomega) {
				c := r.connect()
				c.says(frames.Login{Key: c.key})
				f, err := c.frame(ctx)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(f).To(Equal(frames.LoginAccepted{}))
			}).WithTimeout(patience).Should(Succeed())
		}, SpecTimeout(patience))
	})

	When("as many of an address are not logged in as may be", func() {
		It("turns away who comes from there, until one logs in", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) { c.AnonymousPerAddress = 2 })
			first := r.connect()
			r.connect()
			r.connect().isTurnedAway(ctx)
			r.from("127.0.0.2").isLetIn(ctx)
			first.says(frames.Login{Key: first.key})
			Expect(first.hears(ctx)).To(Equal(frames.LoginAccepted{}))
			r.isLetIn(ctx)
		}, SpecTimeout(patience))
	})

	When("as many of an address are logged in as may be", func() {
		It("refuses the next Login from there with LIMIT, and closes", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) { c.OnlinePerAddress = 2 })
			alice, bob := r.session(ctx)
			carol := r.connect()
			carol.says(frames.Login{Key: carol.key})
			carol.isRefused(ctx, frames.TypeLogin, frames.Limit)
			carol.isClosed(ctx)
			r.from("127.0.0.2").isLetIn(ctx)
			alice.says(message(bob, "still here?"))
			Expect(bob.hears(ctx)).To(Equal(message(alice, "still here?")))
		}, SpecTimeout(patience))

		It("does not count a Login that was refused", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) { c.OnlinePerAddress = 3 })
			alice := r.login(ctx)
			mallory, trudy := r.connect(), r.connect()
			for range 3 {
				for _, c := range []*client{mallory, trudy} {
					c.says(frames.Login{Key: alice.key})
					c.isRefused(ctx, frames.TypeLogin, frames.KeyInUse)
				}
			}
			r.login(ctx)
			mallory.says(frames.Login{Key: freshKey(2048)})
			Expect(mallory.hears(ctx)).To(Equal(frames.LoginAccepted{}))
		}, SpecTimeout(patience))
	})

	When("many are not logged in", func() {
		It("turns some away at random, and at last all, but nobody who is logged in", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) { c.EarlyRefusal = supervisor.EarlyRefusal{From: 2, Percent: 0, All: 4} })
			alice, bob := r.session(ctx)
			var waiting []*client
			Eventually(ctx, func() bool {
				c := r.connect()
				c.says(rawType(0x7f)) // the answer tells whether it was let in
				f, err := c.frame(ctx)
				if e, ok := f.(frames.Error); err == nil && ok && e.Code == frames.Limit {
					return len(waiting) == 4
				}
				waiting = append(waiting, c)
				return false
			}).WithTimeout(patience).Should(BeTrue())
			r.connect().isTurnedAway(ctx)
			alice.says(message(bob, "still here?"))
			Expect(bob.hears(ctx)).To(Equal(message(alice, "still here?")))
		}, SpecTimeout(patience))
	})

	When("an address has misbehaved", func() {
		misbehave := map[string]func(ctx context.Context, c *client){
			"by Logins that cannot be read": func(ctx context.Context, c *client) {
				c.says(frames.Login{Key: frames.Key("\x30\x00")})
				c.isRefused(ctx, frames.TypeLogin, frames.BadKey)
			},
			"by Logins that are too long": func(ctx context.Context, c *client) {
				c.sends([]byte{byte(frames.TypeLogin), 0xff, 0xff, 0xff, 0xff})
				c.said++
				c.isRefused(ctx, frames.TypeLogin, frames.TooLarge)
			},
			"by not logging in in time": func(ctx context.Context, c *client) {
				Expect(c.hears(ctx)).To(beError(0, 0, frames.Timeout))
			},
		}
		for how, does := range misbehave {
			It("turns away who comes from there for a while, "+how, func(ctx SpecContext) {
				r := limited(func(c *supervisor.Config) {
					if how == "by not logging in in time" { // who misbehaves otherwise is not to be late as well
						c.LoginTime = 100 * time.Millisecond
					}
					c.PenaltyBadLogin, c.PenaltyLateLogin, c.PenaltyFrom = time.Minute, time.Minute, 2*time.Minute
				})
				alice, bob := r.session(ctx)
				for range 3 { // a little of it has run out meanwhile
					does(ctx, r.connect())
				}
				r.connect().isTurnedAway(ctx)
				r.from("127.0.0.2").isLetIn(ctx)
				alice.says(message(bob, "still here?"))
				Expect(bob.hears(ctx)).To(Equal(message(alice, "still here?")))
			}, SpecTimeout(patience))
		}

		It("does so for each of them by what it costs", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) {
				c.LoginTime = 500 * time.Millisecond
				c.PenaltyBadLogin, c.PenaltyLateLogin, c.PenaltyFrom = 10*time.Millisecond, time.Minute, time.Minute
			})
			for range 3 {
				c := r.connect()
				misbehave["by Logins that cannot be read"](ctx, c)
				Expect(c.conn.Close()).To(Succeed())
			}
			r.isLetIn(ctx)
			misbehave["by not logging in in time"](ctx, r.connect())
			r.connect().isTurnedAway(ctx)
		}, SpecTimeout(patience))

		It("does not do so for what somebody does who is logged in", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) {
				c.FrameTime = 100 * time.Millisecond
				c.PenaltyBadLogin, c.PenaltyLateLogin, c.PenaltyFrom = time.Minute, time.Minute, time.Minute
			})
			for what, code := range map[string]frames.Code{"\x04\xff\xff\xff\xff": frames.TooLarge, "\x04": frames.Timeout} {
				c := r.login(ctx)
				c.sends([]byte(what))
				c.said++
				c.isRefused(ctx, frames.TypeMessage, code)
				r.isLetIn(ctx)
			}
		}, SpecTimeout(patience))

		It("lets in who comes from there when the penalty has run out", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) {
				c.PenaltyBadLogin, c.PenaltyFrom = 200*time.Millisecond, 200*time.Millisecond
			})
			misbehave["by Logins that cannot be read"](ctx, r.connect())
			r.connect().isTurnedAway(ctx)
			Eventually(ctx, func() error {
				c := r.connect()
				c.says(frames.Login{Key: c.key})
				f, err := c.frame(ctx)
				if err == nil && f != (frames.LoginAccepted{}) {
					err = errors.New("turned away")
				}
				return err
			}).WithTimeout(patience).Should(Succeed())
		}, SpecTimeout(patience))
	})

	When("the connection comes from no address", func() {
		It("counts for none", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) { c.OnlinePerAddress, c.AnonymousPerAddress = 1, 1 })
			r.servePipes()
			for range 3 {
				r.connect()
				r.login(ctx)
			}
		}, SpecTimeout(patience))
	})
})

var _ = Describe("Taking one's time", func() {
	for _, kind := range kinds {
		When("the connection is by "+kind.name, func() {
			slow := func(change func(*supervisor.Config)) *relay {
				r := limited(change)
				kind.serve(r)
				return r
			}

			It("is over when the login does not come", func(ctx SpecContext) {
				c := slow(func(c *supervisor.Config) { c.LoginTime = 100 * time.Millisecond }).connect()
				Expect(c.hears(ctx)).To(beError(0, 0, frames.Timeout))
				c.isClosed(ctx)
			}, SpecTimeout(patience))

			It("is over when a frame does not become whole, which is named", func(ctx SpecContext) {
				r := slow(func(c *supervisor.Config) { c.FrameTime = 100 * time.Millisecond })
				alice, bob := r.session(ctx)
				alice.says(message(bob, "whole"))
				Expect(bob.hears(ctx)).To(Equal(message(alice, "whole")))
				half := frames.Message{Peer: bob.key, Body: noise(1000)}.Append(nil)
				alice.sends(half[:len(half)-1])
				alice.said++
				alice.isRefused(ctx, frames.TypeMessage, frames.Timeout)
				alice.isClosed(ctx)
				bob.hearsNothing(ctx)
			}, SpecTimeout(patience))

			It("is over when nothing is said and nothing heard", func(ctx SpecContext) {
				r := slow(func(c *supervisor.Config) { c.Silence = time.Second })
				alice := r.login(ctx)
				Expect(alice.hears(ctx)).To(beError(0, 0, frames.Timeout))
				alice.isClosed(ctx)
			}, SpecTimeout(patience))
		})
	}
})

var _ = Describe("Sending too fast", func() {
	It("is read later, and nothing is refused", func(ctx SpecContext) {
		r := limited(func(c *supervisor.Config) {
			c.FrameRate = supervisor.Rate{Events: 4000, Per: time.Second, Burst: 512}
			c.ByteRate = supervisor.Rate{Events: 1 << 20, Per: time.Second, Burst: 128 << 10}
		})
		alice, bob := r.session(ctx)
		many := make([]frames.Frame, 2000)
		for i := range many {
			many[i] = frames.Message{Peer: bob.key, Body: []byte{byte(i), byte(i >> 8)}}
		}
		alice.says(many...)
		for i := range many {
			Expect(bob.hears(ctx)).To(Equal(frames.Message{Peer: alice.key, Body: []byte{byte(i), byte(i >> 8)}}))
		}
	}, SpecTimeout(patience))

	It("does not keep the relay from stopping", func(ctx SpecContext) {
		r := limited(func(c *supervisor.Config) { c.FrameRate = supervisor.Rate{Events: 1, Per: time.Hour, Burst: 512} })
		alice, bob := r.session(ctx)
		many := make([]frames.Frame, 1000)
		for i := range many {
			many[i] = message(bob, "again")
		}
		alice.says(many...)
		bob.hears(ctx)
		Expect(r.inside.Stop(ctx)).To(Succeed())
	}, SpecTimeout(patience))
})

var _ = Describe("Asking too often", func() {
	// asksUntil has somebody ask until it is refused, and returns how often it was not.
	asksUntil := func(ctx context.Context, code frames.Code, who, asked *client) (passed int) {
		GinkgoHelper()
		for passed < 100 {
			who.says(frames.StartSession{Peer: asked.key})
			start := who.said
			before := append(who.hearsUntilAnswered(ctx), asked.hearsUntilAnswered(ctx)...)
			if len(before) == 0 {
				before = append(before, who.hears(ctx))
			}
			Expect(before).To(HaveLen(1))
			if _, ok := before[0].(frames.StartSession); !ok {
				Expect(before[0]).To(beError(frames.TypeStart, start, code))
				return passed
			}
			passed++
		}
		Fail("never refused")
		return 0
	}
	perHour := func(burst int) supervisor.Rate { return supervisor.Rate{Events: 1, Per: time.Hour, Burst: burst} }

	It("is refused with RATE_LIMITED to a user, whose sessions go on", func(ctx SpecContext) {
		r := limited(func(c *supervisor.Config) { c.StartRate = perHour(5) })
		alice, bob := r.session(ctx)
		carol := r.login(ctx)
		Expect(asksUntil(ctx, frames.RateLimited, alice, carol)).To(Equal(4), "one asked Bob")
		alice.says(message(bob, "us two"))
		Expect(bob.hears(ctx)).To(Equal(message(alice, "us two")))
		bob.asks(ctx, carol)
		Expect(alice.conn.Close()).To(Succeed())
		Eventually(ctx, func() frames.Frame { // once she has left
			again := r.connectAs(alice.key)
			again.says(frames.Login{Key: alice.key}, frames.StartSession{Peer: carol.key})
			Expect(again.hears(ctx)).To(Or(Equal(frames.LoginAccepted{}), beError(frames.TypeLogin, 1, frames.KeyInUse)))
			return again.hears(ctx)
		}).WithTimeout(patience).Should(beError(frames.TypeStart, 2, frames.RateLimited), "coming again changes nothing")
	}, SpecTimeout(patience))

	It("is refused with RATE_LIMITED to all users of an address, and of no other", func(ctx SpecContext) {
		r := limited(func(c *supervisor.Config) { c.StartRatePerAddress = perHour(5) })
		alice, bob, carol := r.login(ctx), r.login(ctx), r.login(ctx)
		dave := r.from("127.0.0.2").login(ctx)
		alice.asks(ctx, carol)
		bob.asks(ctx, carol)
		Expect(asksUntil(ctx, frames.RateLimited, alice, dave)).To(Equal(3))
		Expect(asksUntil(ctx, frames.RateLimited, bob, dave)).To(BeZero())
		dave.asks(ctx, carol)
		Expect(alice.conn.Close()).To(Succeed())
		Expect(asksUntil(ctx, frames.RateLimited, r.login(ctx), carol)).To(BeZero(), "coming again changes nothing")
	}, SpecTimeout(patience))

	When("many ask one user", func() {
		It("is refused with UNAVAILABLE, but not between those who have a session", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) { c.StartRateTo = perHour(3) })
			alice, bob := r.session(ctx)
			carol, dave := r.login(ctx), r.login(ctx)
			carol.asks(ctx, bob)
			dave.asks(ctx, bob)
			dave.says(frames.StartSession{Peer: bob.key})
			dave.isRefused(ctx, frames.TypeStart, frames.Unavailable)
			for range 5 {
				alice.asks(ctx, bob)
			}
			dave.asks(ctx, carol)
			bob.says(frames.AcceptSession{Peer: carol.key})
			Expect(carol.hears(ctx)).To(Equal(frames.AcceptSession{Peer: bob.key, Sealed: []byte{}}))
		}, SpecTimeout(patience))

		It("is refused with UNAVAILABLE to those of an address that has its share of the room", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) { c.AskedOf, c.AskedOfPerAddress = 4, 2 })
			bob := r.login(ctx)
			strangers := []*client{r.login(ctx), r.login(ctx), r.login(ctx)}
			strangers[0].asks(ctx, bob)
			strangers[1].asks(ctx, bob)
			strangers[2].says(frames.StartSession{Peer: bob.key})
			strangers[2].isRefused(ctx, frames.TypeStart, frames.Unavailable)
			elsewhere := r.from("127.0.0.2")
			elsewhere.login(ctx).asks(ctx, bob)
			bob.says(frames.AcceptSession{Peer: strangers[0].key})
			Expect(strangers[0].hears(ctx)).To(Equal(frames.AcceptSession{Peer: bob.key, Sealed: []byte{}}))
			strangers[2].asks(ctx, bob)
			Expect(strangers[1].conn.Close()).To(Succeed())
			Eventually(ctx, func() []frames.Frame { // he is refused until her request has gone with her
				c := r.login(ctx)
				c.says(frames.StartSession{Peer: bob.key})
				c.hearsUntilAnswered(ctx)
				return bob.hearsUntilAnswered(ctx)
			}).WithTimeout(patience).Should(HaveLen(1))
		}, SpecTimeout(patience))

		It("leaves the others their share of the rate, however often one address asks", func(ctx SpecContext) {
			r := limited(func(c *supervisor.Config) {
				c.AskedOf, c.AskedOfPerAddress, c.StartRateTo = 64, 8, perHour(16)
			})
			bob, mallory := r.login(ctx), r.login(ctx)
			Expect(asksUntil(ctx, frames.Unavailable, mallory, bob)).To(Equal(2), "an eighth of 16")
			r.from("127.0.0.2").login(ctx).asks(ctx, bob)
		}, SpecTimeout(patience))
	})
})
