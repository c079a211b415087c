package supervisor_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// panicky is a store of the host's that panics when it is told to.
type panicky struct {
	*store.Memory
	pin, pinned atomic.Bool
}

func (p *panicky) Pin(key store.Fingerprint, at time.Time) error {
	if p.pin.Load() {
		panic("of the test")
	}
	return p.Memory.Pin(key, at)
}

func (p *panicky) Pinned(key store.Fingerprint) (time.Time, bool, error) {
	if p.pinned.Load() {
		panic("of the test")
	}
	return p.Memory.Pinned(key)
}

// A store that panics costs the connection that it was to remember somebody for, and no other; whom it was asked about has to prove.
func TestAStoreThatPanicsCostsOneConnection(t *testing.T) {
	pins := &panicky{Memory: store.NewMemory()}
	inVirtualTime(t, supervisor.Config{NoRateLimits: true, Store: pins}, func(h *house) {
		a, b := h.friends(alice, bob)
		pins.pin.Store(true)
		c := h.comes(carol).greets(0)
		c.tells(c.proof())
		c.hears(frames.Error{Code: frames.Internal})
		c.hasEnded()
		pins.pin.Store(false)
		pins.pinned.Store(true)
		d := h.comes(dave)
		d.tells(frames.Login{Key: d.key})
		d.hears(frames.Error{Code: frames.ProofRequired, Request: frames.TypeLogin, Number: 1})
		pins.pinned.Store(false)
		h.comes(carol).proves(0)
		d.logsIn()
		a.tells(frames.Message{Peer: b.key, Body: []byte("as before")})
		b.hears(frames.Message{Peer: a.key, Body: []byte("as before")})
	})
}

// While a store that is slow is asked, nobody else waits, but for what it is asked for.
func TestASlowStoreHoldsUpOneLogin(t *testing.T) {
	pins := &slowly{Memory: store.NewMemory()}
	inVirtualTime(t, supervisor.Config{NoRateLimits: true, Store: pins}, func(h *house) {
		a, b := h.friends(alice, bob)
		after(time.Minute / 2)
		pins.takes.Store(int64(5 * time.Second))
		c := h.comes(carol).greets(0)
		c.tells(c.proof())
		a.tells(frames.Message{Peer: b.key, Body: []byte("meanwhile")})
		b.hears(frames.Message{Peer: a.key, Body: []byte("meanwhile")})
		h.comes(dave).logsIn()
		after(5*time.Second - time.Millisecond)
		c.hears()
		after(time.Millisecond)
		c.isIn()
	})
}

// slowly is a store that takes its time to keep something.
type slowly struct {
	*store.Memory
	takes atomic.Int64
}

func (s *slowly) Pin(key store.Fingerprint, at time.Time) error {
	<-time.After(time.Duration(s.takes.Load()))
	return s.Memory.Pin(key, at)
}
