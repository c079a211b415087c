package supervisor_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// How often proofs are looked at, what bad ones cost, how long they count, and how often a key is taken over.

// crowded are limits by which many may come from one address.
func crowded(c supervisor.Config) supervisor.Config {
	c.AnonymousPerAddress, c.OnlinePerAddress = supervisor.Off, supervisor.Off
	c.EarlyRefusal = supervisor.EarlyRefusal{From: supervisor.Off}
	return c
}

func TestProofsOverTheRateWaitUnreadAndNotLongerThanALogin(t *testing.T) {
	inVirtualTime(t, crowded(supervisor.Config{ProofRate: supervisor.Rate{Events: 1, Per: time.Second, Burst: 1}}), func(h *house) {
		var all []*guest
		for range 15 {
			g := h.comesFrom(alice, "192.0.2.1").greets(0)
			all = append(all, g)
			g.tells(g.proof(), frames.Ping{7}) // the Ping waits with it
		}
		other := h.comesFrom(bob, "192.0.2.2").proves(0) // of another address
		other.hears()
		for second := range 10 {
			for i, g := range all {
				switch {
				case i == second:
					g.isIn().hears(frames.Pong{7})
				case i == second-1: // it is the same key
					g.hears(frames.Error{Code: frames.Replaced})
				default:
					g.hears()
				}
			}
			after(time.Second)
		}
		for _, g := range all[11:] { // at 10 s number 10 may have had its turn, or not
			g.hears(frames.Error{Code: frames.Timeout, Request: frames.TypeProve, Number: 2})
			g.hasEnded()
		}
	})
}

// A Prove that waits is not read behind: what the client says stays with it.
func TestNothingIsReadBehindAProofThatWaits(t *testing.T) {
	inVirtualTime(t, crowded(supervisor.Config{ProofRate: supervisor.Rate{Events: 1, Per: 5 * time.Second, Burst: 1}}), func(h *house) {
		h.comesFrom(alice, "192.0.2.1").proves(0)
		g := h.comesFrom(bob, "192.0.2.1").greets(0)
		g.tells(g.proof())
		read := make(chan struct{})
		go func() { // ends when it is read, or the connection ends
			_, _ = g.out.Write(frames.Ping{1}.Append(nil))
			close(read)
		}()
		after(5*time.Second - time.Millisecond)
		select {
		case <-read:
			t.Error("what is behind a proof that waits was read")
		default:
		}
		after(time.Millisecond)
		g.isIn().hears(frames.Pong{1})
	})
}

// A proof whose time was over takes nobody's turn later.
func TestAProofThatWaitedInVainTakesNoTurn(t *testing.T) {
	inVirtualTime(t, crowded(supervisor.Config{PenaltyFrom: supervisor.Off}), func(h *house) {
		var all []*guest
		for range 300 {
			g := h.comesFrom(bob, "192.0.2.1").greets(0)
			g.tells(frames.Prove{Key: g.key})
			all = append(all, g)
		}
		after(10 * time.Second)
		for _, g := range all {
			g.hasEnded()
		}
		g := h.comesFrom(alice, "192.0.2.1").greets(0)
		g.tells(g.proof())
		after(time.Second)
		g.isIn()
	})
}

// The fourth bad proof within 5 s is one too many; 5 s each run out.
func TestBadProofsArePenalized(t *testing.T) {
	inVirtualTime(t, crowded(supervisor.Config{}), func(h *house) {
		bad := func() {
			g := h.comesFrom(alice, "192.0.2.1").greets(0)
			p := g.proof()
			p.Signature[100] ^= 1
			g.tells(p)
			g.isRefused(frames.TypeProve, frames.ProofInvalid)
			g.hasEnded()
		}
		online := h.comesFrom(bob, "192.0.2.1").proves(0)
		for range 4 { // each takes a second
			bad()
		}
		turnedAway := h.comesFrom(alice, "192.0.2.1")
		turnedAway.hears(frames.Error{Code: frames.Limit})
		h.comesFrom(carol, "192.0.2.2").proves(0)
		online.tells(frames.Ping{1})
		online.hears(frames.Pong{1})
		after(16 * time.Second)
		bad()
		h.comesFrom(carol, "192.0.2.1").proves(0)
	})
}

func TestBadProofsAreNotPenalizedWithoutLimitsByRate(t *testing.T) {
	inVirtualTime(t, supervisor.Config{NoRateLimits: true}, func(h *house) {
		for range 50 {
			g := h.comesFrom(alice, "192.0.2.1").greets(0)
			g.tells(frames.Prove{Key: g.key})
			g.isRefused(frames.TypeProve, frames.ProofInvalid)
		}
	})
}

func TestAPinLastsAYearAfterTheLastProof(t *testing.T) {
	pins := store.NewMemory()
	const day = 24 * time.Hour
	inVirtualTime(t, supervisor.Config{Store: pins}, func(h *house) {
		needs := func() {
			t.Helper()
			g := h.comes(alice)
			g.tells(frames.Login{Key: g.key})
			g.isRefused(frames.TypeLogin, frames.ProofRequired)
			g.goes()
		}
		h.comes(alice).proves(0).goes()
		after(300 * day)
		needs()
		h.comes(alice).proves(0).goes()
		after(365*day - time.Second)
		needs()
		after(2 * day) // it is kept to the day
		h.comes(alice).logsIn().goes()
		if n, err := pins.Expire(time.Now().Add(-365 * day)); n != 1 || err != nil {
			t.Errorf("%d pins expire, %v", n, err)
		}
	})
}

func TestTakeoversAreDampedFromThe30thWithinAMinute(t *testing.T) {
	inVirtualTime(t, crowded(supervisor.Config{ProofRate: supervisor.Rate{Events: supervisor.Off}}), func(h *house) {
		last := h.comes(alice).proves(0)
		takesOver := func(damped bool) {
			t.Helper()
			g := h.comes(alice).greets(0)
			g.tells(g.proof())
			if damped {
				after(time.Second - time.Millisecond)
				g.hears()
				last.hears()
				after(time.Millisecond)
			}
			g.isIn().hears()
			last.hears(frames.Error{Code: frames.Replaced})
			last = g
		}
		for range 29 {
			takesOver(false)
		}
		for range 3 {
			takesOver(true)
		}
		after(time.Minute)
		last.hears(frames.Ping{})
		takesOver(false)
		for range 40 { // this is slow enough
			after(2100 * time.Millisecond)
			takesOver(false)
		}
	})
}

func TestTakeoversAreNotDampedWithoutLimitsByRate(t *testing.T) {
	inVirtualTime(t, supervisor.Config{NoRateLimits: true}, func(h *house) {
		last := h.comes(alice).proves(0)
		for range 70 {
			g := h.comes(alice).proves(0)
			last.hears(frames.Error{Code: frames.Replaced})
			last = g
		}
	})
}

// Takeovers of other keys do not count, nor logins of a key that nobody holds.
func TestTakeoversAreCountedByKey(t *testing.T) {
	inVirtualTime(t, crowded(supervisor.Config{Takeovers: 2, ProofRate: supervisor.Rate{Events: supervisor.Off}}), func(h *house) {
		for range 5 {
			h.comes(alice).proves(0).goes()
		}
		for who := range 4 {
			h.comes(who).proves(0)
		}
		for who := range 4 {
			h.comes(who).proves(0)
		}
	})
}

// Who waits for a damped takeover has waited for it, also when nobody is left to be replaced.
func TestADampedTakeoverWaitsForItsTime(t *testing.T) {
	inVirtualTime(t, supervisor.Config{Takeovers: 1}, func(h *house) {
		first := h.comes(alice).proves(0)
		second := h.comes(alice).greets(0)
		second.tells(second.proof())
		first.goes()
		after(time.Second - time.Millisecond)
		second.hears()
		after(time.Millisecond)
		second.isIn().hears()
	})
}

// A client that does not read, in the middle of a frame, keeps nobody from taking its key over for longer than a moment.
func TestATakeoverDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	inVirtualTime(t, supervisor.Config{NoRateLimits: true}, func(h *house) {
		b := h.comes(bob).proves(0)
		c := &busy{goesOn: make(chan struct{})}
		a := h.receives(alice, func(l line) net.Conn { c.line = l; return c })
		a.proves(0)
		a.meets(b)
		c.stuck.Store(true)
		for range 10 {
			b.tells(frames.Message{Peer: a.key, Body: make([]byte, 1000)})
		}
		began := time.Now()
		again := h.comes(alice).greets(0)
		again.tells(again.proof())
		after(80 * time.Millisecond)
		again.isIn()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		told := b.news()
		if len(told) == 0 {
			t.Error("what waited is not refused")
		}
		for _, f := range told {
			if e, ok := f.(frames.Error); !ok || e.Code != frames.Offline {
				t.Errorf("heard %v", f)
			}
		}
		close(c.goesOn)
		a.goes()
	})
}

// busy is a line that takes a byte of what is written, when it is stuck, and no more until it goes on or is closed.
type busy struct {
	line
	stuck  atomic.Bool
	goesOn chan struct{}
}

func (b *busy) Write(p []byte) (int, error) {
	if !b.stuck.Load() {
		return b.line.Write(p)
	}
	if n, err := b.line.Write(p[:1]); err != nil {
		return n, err
	}
	<-b.goesOn
	return 1, net.ErrClosed
}
