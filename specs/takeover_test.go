package specs_test

import (
	"cmp"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// takeoverRounds is how often the owners of one key contend for it:
//
//	go test ./specs -args -ginkgo.focus 'at once, under load' -takeovers=200
var takeoverRounds = flag.Int("takeovers", 10, "rounds of simultaneous logins of one key")

// channels are the kinds of connections, TLS included.
var channels = append(slices.Clip(kinds), struct {
	name  string
	serve func(r *relay)
}{"TLS", func(r *relay) { r.serveTLS() }})

// isReplaced expects that the connection is told that another has its key.
func (c *client) isReplaced(ctx context.Context) {
	GinkgoHelper()
	c.isTold(ctx, frames.Replaced)
}

var _ = Describe("Taking a key over", func() {
	for _, channel := range channels {
		When("it is by "+channel.name, func() {
			var r *relay
			BeforeEach(func() {
				needsInside("the relay listens at several places")
				r = startRelay()
				channel.serve(r)
			})

			It("from whoever holds it without proof ends all that it had before the owner is in, and tells peers with Hello", func(ctx SpecContext) {
				key := freshOwner()
				squatter := r.loginAs(ctx, publicOf(key))
				seed, bob, asked, asks := r.login(ctx), r.proves(ctx, freshOwner(), wantsPresence), r.login(ctx), r.login(ctx)
				squatter.meets(ctx, seed)
				squatter.meets(ctx, bob.client)
				squatter.asks(ctx, asked)
				asks.asks(ctx, squatter)
				alice := r.proves(ctx, key, 0)
				squatter.isReplaced(ctx)
				Expect(bob.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key, Reason: "disconnected"}))
				for _, c := range []*client{seed, bob.client} {
					c.says(message(alice.client, "are you there?"))
					c.isRefused(ctx, frames.TypeMessage, frames.NoSession)
					alice.says(message(c, "no"))
					alice.isRefused(ctx, frames.TypeMessage, frames.NoSession)
				}
				asked.says(frames.AcceptSession{Peer: alice.key})
				asked.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
				alice.says(frames.AcceptSession{Peer: asks.key})
				alice.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
				alice.meets(ctx, bob.client)
				seed.hearsNothing(ctx)
			}, SpecTimeout(patience))

			It("from an older connection that has proved leaves sessions as they are, and ends requests, both ways", func(ctx SpecContext) {
				alice, bob := r.provenSession(ctx, wantsPresence)
				carol, dave := r.proves(ctx, freshOwner(), 0), r.proves(ctx, freshOwner(), 0)
				alice.asks(ctx, carol.client)
				dave.asks(ctx, alice.client)
				alice.asks(ctx, bob.client) // to exchange a new key
				again := r.proves(ctx, alice.private, wantsPresence)
				alice.isReplaced(ctx)
				Expect(again.hears(ctx)).To(Equal(frames.Presence{Online: true, Peer: bob.key}))
				carol.says(frames.AcceptSession{Peer: again.key})
				carol.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
				bob.says(frames.AcceptSession{Peer: again.key})
				bob.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
				again.says(frames.AcceptSession{Peer: dave.key})
				again.isRefused(ctx, frames.TypeAccept, frames.NoRequest)
				bob.says(message(again.client, "which of you?"))
				Expect(again.hears(ctx)).To(Equal(message(bob.client, "which of you?")))
				again.says(message(bob.client, "the new one"))
				Expect(bob.hears(ctx)).To(Equal(message(again.client, "the new one")))
			}, SpecTimeout(patience))

			It("from an older connection ends its sessions with peers that have not proved", func(ctx SpecContext) {
				alice := r.proves(ctx, freshOwner(), 0)
				seed, bob := r.login(ctx), r.greets(ctx, freshOwner(), 0)
				bob.says(frames.Login{Key: bob.key})
				Expect(bob.hears(ctx)).To(Equal(frames.LoginAccepted{}))
				alice.meets(ctx, seed)
				alice.meets(ctx, bob.client)
				again := r.proves(ctx, alice.private, 0)
				Expect(bob.hears(ctx)).To(Equal(frames.EndSession{Peer: alice.key, Reason: "disconnected"}))
				for _, c := range []*client{seed, bob.client} {
					c.says(message(again.client, "still you?"))
					c.isRefused(ctx, frames.TypeMessage, frames.NoSession)
				}
			}, SpecTimeout(patience))

			It("takes no longer because the older connection does not read", func(ctx SpecContext) {
				needsInside("the relay has to be told to be very patient")
				r := startRelay(func(c *supervisor.Config) { c.Stall, c.WriteDeadline = time.Minute, time.Minute })
				channel.serve(r)
				alice, bob := r.provenSession(ctx, 0)
				first := bob.said + 1
				ended := bob.floods(alice.client) // who does not read: a frame is begun, and many wait
				r.stalls(ctx)
				began := time.Now()
				again := r.proves(ctx, alice.private, 0)
				AddReportEntry(fmt.Sprintf("the owner was in after %v", time.Since(began)))
				f := bob.hears(ctx)
				Expect(f).To(HaveField("Code", frames.Offline))
				Expect(f.(frames.Error).Number).To(BeNumerically(">=", first))
				go again.ignores() // what goes to the new one
				bob.dies()
				Eventually(ctx, ended).Should(BeClosed())
			}, SpecTimeout(patience))
		})
	}

	It("is not for who has no proof: the key is KEY_IN_USE, or PROOF_REQUIRED, and nobody is disturbed", func(ctx SpecContext) {
		r := startRelay()
		holder := r.login(ctx)
		alice, bob := r.provenSession(ctx, 0)
		for range 3 {
			again := r.connectAs(holder.key)
			again.says(frames.Login{Key: holder.key})
			again.isRefused(ctx, frames.TypeLogin, frames.KeyInUse)
			again = r.connectAs(alice.key)
			again.isAskedForProof(ctx)
		}
		holder.says(rawType(0x7f))
		holder.isRefused(ctx, 0x7f, frames.Unsupported)
		bob.says(message(alice.client, "still you"))
		Expect(alice.hears(ctx)).To(Equal(message(bob.client, "still you")))
	}, SpecTimeout(patience))

	It("pings who holds it without proof, and said Hello", func(ctx SpecContext) {
		r := startRelay()
		holder := r.greets(ctx, freshOwner(), 0)
		holder.says(frames.Login{Key: holder.key})
		Expect(holder.hears(ctx)).To(Equal(frames.LoginAccepted{}))
		again := r.connectAs(holder.key)
		again.says(frames.Login{Key: holder.key})
		again.isRefused(ctx, frames.TypeLogin, frames.KeyInUse)
		Expect(holder.hears(ctx)).To(BeAssignableToTypeOf(frames.Ping{}))
	}, SpecTimeout(patience))
})

// rival is one of many connections of one owner, and what it heard of whom.
type rival struct {
	*owner
	heard    map[string][]uint64 // numbers, by the sender's key, in order
	told     atomic.Bool         // that it is replaced
	lost     atomic.Bool         // the key: it was told so or, where the moment for that was too short, closed without a word
	accepted chan struct{}       // closed when it is logged in
	over     chan struct{}       // closed when nothing comes any more
}

// talker is a peer that sends numbered messages all the time, and takes note of those refused.
type talker struct {
	*owner
	mu       sync.Mutex
	first    uint64          // request number of message 0
	refused  map[uint64]bool // messages
	next     uint64
	due      map[uint64]*rival // whom a message must come to
	under    chan struct{}     // so many may be under way
	delivers func(n uint64)    // is told of each message that has come
}

var _ = Describe("Logging in with one key, by many at once, under load", func() {
	It("leaves one of them: nothing goes to an older one afterwards, and each message arrives once or is refused", func(ctx SpecContext) {
		needsInside("the relay listens at several places")
		r := startRelay()
		key := freshOwner()
		first := r.proves(ctx, key, 0)
		peers := map[string]*talker{}
		for range 3 {
			p := &talker{owner: r.proves(ctx, freshOwner(), 0), refused: map[uint64]bool{}, due: map[uint64]*rival{}, under: make(chan struct{}, 64)}
			first.meets(ctx, p.client)
			p.first = p.said + 1
			peers[string(p.key)] = p
		}
		stop := make(chan struct{})
		stops := sync.OnceFunc(func() { close(stop) })
		var talking sync.WaitGroup
		defer talking.Wait()
		defer stops()
		for _, p := range peers {
			talking.Go(func() { p.talks(ctx, first.key, stop) })
			go p.notes(ctx) // ends with the connection
		}
		var dials []func() (net.Conn, error)
		for _, channel := range channels {
			channel.serve(r)
			dials = append(dials, r.dial)
		}
		all := []*rival{newRival(first)}
		go all[0].listens(ctx, peers) // ends with the connection, as the others do
		for round := range *takeoverRounds {
			var now []*rival
			for i := range 8 {
				r.dial = dials[(round+i)%len(dials)]
				now = append(now, newRival(r.greets(ctx, key, 0)))
			}
			for _, c := range now {
				proof := c.proof()
				go c.listens(ctx, peers)
				talking.Go(func() {
					defer GinkgoRecover()
					c.says(proof)
				})
			}
			all = append(all, now...)
			for _, c := range now { // one that was in for no time at all may be told only that it is not any more
				Eventually(ctx, func() bool { return isClosed(c.accepted) || c.lost.Load() }).WithTimeout(patience).WithPolling(soon).Should(BeTrue())
			}
			lost := func() (n int) {
				for _, c := range all {
					if c.lost.Load() {
						n++
					}
				}
				return n
			}
			Eventually(ctx, lost).WithTimeout(patience).WithPolling(soon).Should(Equal(len(all) - 1))
			winner := now[slices.IndexFunc(now, func(c *rival) bool { return !c.lost.Load() })]
			for _, p := range peers {
				p.reaches(ctx, winner)
			}
		}
		stops()
		talking.Wait()
		r.settles(ctx)
		for name, p := range peers {
			Eventually(ctx, func() int { return len(p.under) }).WithTimeout(patience).Should(BeZero(), func() string { return p.misses(name, all) })
		}
		for _, c := range all {
			if !c.lost.Load() {
				_ = c.conn.Close()
			}
			Eventually(ctx, c.over).WithTimeout(patience).Should(BeClosed())
		}
		unheard := having(all[1:], func(c *rival) bool { return !isClosed(c.accepted) })
		AddReportEntry(fmt.Sprintf("%d of %d were replaced before they were told that they are in", len(unheard), len(all)-1))
		wordless := having(all, func(c *rival) bool { return !c.told.Load() })
		AddReportEntry(fmt.Sprintf("%d were replaced without a word", len(wordless)-1))
		for name, p := range peers {
			_ = p.conn.Close()
			p.audits(name, all)
		}
		agreeOnOrder(peers, all)
	}, SpecTimeout(time.Duration(*takeoverRounds+20)*time.Second))
})

func newRival(o *owner) *rival {
	return &rival{owner: o, heard: map[string][]uint64{}, accepted: make(chan struct{}), over: make(chan struct{})}
}

// listens takes note of what comes, until the end.
func (c *rival) listens(ctx context.Context, peers map[string]*talker) {
	defer GinkgoRecover()
	defer close(c.over)
	for {
		f, err := c.frame(ctx)
		if err != nil {
			c.lost.Store(true)
			return
		}
		switch f := f.(type) {
		case frames.LoginAccepted:
			close(c.accepted)
		case frames.Message:
			n := binary.BigEndian.Uint64(f.Body)
			c.heard[string(f.Peer)] = append(c.heard[string(f.Peer)], n)
			p := peers[string(f.Peer)]
			p.done(n)
		case frames.Error:
			Expect(f.Code).To(Equal(frames.Replaced))
			c.told.Store(true)
			c.lost.Store(true)
		default:
			Fail(fmt.Sprintf("heard %v", f))
		}
	}
}

// talks sends messages until told to stop.
func (p *talker) talks(ctx context.Context, to frames.Key, stop <-chan struct{}) {
	defer GinkgoRecover()
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case p.under <- struct{}{}:
		}
		p.mu.Lock()
		p.says(frames.Message{Peer: to, Body: numbered(int(p.next), 8)})
		p.next++
		p.mu.Unlock()
	}
}

// done takes note of an outcome.
func (p *talker) done(n uint64) {
	p.mu.Lock()
	delivers := p.delivers
	p.mu.Unlock()
	if delivers != nil {
		delivers(n)
	}
	<-p.under
}

// notes takes note of what is refused.
func (p *talker) notes(ctx context.Context) {
	defer GinkgoRecover()
	for {
		f, err := p.frame(ctx)
		if err != nil {
			return
		}
		e := f.(frames.Error)
		Expect(e.Code).To(Equal(frames.Offline))
		p.mu.Lock()
		Expect(p.refused).NotTo(HaveKey(e.Number-p.first), "an outcome, twice")
		p.refused[e.Number-p.first] = true
		p.mu.Unlock()
		<-p.under
	}
}

// reaches waits until a message that is sent from now on has come to the one who has the key. Who has it was told so, and has read
// that, before the message is sent: so it can be for nobody else, and there is no reason to refuse it.
func (p *talker) reaches(ctx context.Context, winner *rival) {
	GinkgoHelper()
	arrived := make(chan struct{})
	p.mu.Lock()
	from := p.next
	p.delivers = func(n uint64) {
		if n == from {
			close(arrived)
		}
	}
	p.mu.Unlock()
	Eventually(ctx, arrived).WithTimeout(patience).Should(BeClosed(), "number %d has gone elsewhere, or was refused", from)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delivers = nil
	p.due[from] = winner
}

// misses says which messages have no outcome, and who heard the last before them.
func (p *talker) misses(name string, all []*rival) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	heardBy := map[uint64]*rival{}
	for _, c := range all {
		for _, n := range c.heard[name] {
			heardBy[n] = c
		}
	}
	text, last := "messages without an outcome:", (*rival)(nil)
	for n := range p.next {
		if c := heardBy[n]; c != nil {
			last = c
		} else if !p.refused[n] && last != nil {
			text += fmt.Sprintf(" %d (behind a %T, told %v)", n, last.conn, last.told.Load())
		}
	}
	return text
}

// audits expects that each message has one outcome, and that each connection heard its part of them in order.
func (p *talker) audits(name string, all []*rival) {
	GinkgoHelper()
	outcomes := make([]int, p.next)
	for n := range p.refused {
		outcomes[n]++
	}
	delivered := 0
	for _, c := range all {
		heard := c.heard[name]
		Expect(slices.IsSorted(heard)).To(BeTrue())
		for _, n := range heard {
			outcomes[n]++
			delivered++
		}
	}
	Expect(slices.IndexFunc(outcomes, func(times int) bool { return times != 1 })).To(Equal(-1), "the message without an outcome, or with several")
	for n, winner := range p.due {
		Expect(slices.Contains(winner.heard[name], n)).To(BeTrue(), "it was sent when nobody else had the key any more")
	}
	AddReportEntry(fmt.Sprintf("%d messages delivered, %d refused", delivered, len(p.refused)))
}

// agreeOnOrder expects that what each sender sent went to one connection after the other, and never back to an older one; and that all
// senders agree on which is older.
func agreeOnOrder(peers map[string]*talker, all []*rival) {
	GinkgoHelper()
	orders := map[string][]*rival{}
	for name := range peers {
		order := slices.DeleteFunc(slices.Clone(all), func(c *rival) bool { return len(c.heard[name]) == 0 })
		slices.SortFunc(order, func(a, b *rival) int { return cmp.Compare(a.heard[name][0], b.heard[name][0]) })
		for i := range order[1:] {
			last, first := order[i].heard[name], order[i+1].heard[name]
			Expect(last[len(last)-1]).To(BeNumerically("<", first[0]), "one heard between what the other did")
		}
		orders[name] = order
	}
	for one, order := range orders {
		for other := range orders {
			both := func(c *rival) bool { return len(c.heard[one]) > 0 && len(c.heard[other]) > 0 }
			mine, theirs := having(order, both), having(orders[other], both)
			Expect(slices.Equal(mine, theirs)).To(BeTrue(), "for one sender the one was older, for another the other")
		}
	}
}

func having(all []*rival, is func(*rival) bool) []*rival {
	return slices.DeleteFunc(slices.Clone(all), func(c *rival) bool { return !is(c) })
}
