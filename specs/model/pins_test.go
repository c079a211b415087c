package model

import (
	"errors"
	"sync"
	"time"

	"github.com/mdeiml/blubbel-server/store"
)

// pins is the store of a relay's pins: one that fails now and then, and knows what it has failed at.
type pins struct {
	*store.Memory
	bombs  *bombs
	likely float64
	full   bool

	mu      sync.Mutex     // guards the rest
	since   map[int]uint64 // users that were pinned, and when first
	without map[int]bool   // users for whom there was no room once
}

func newPins(b *bombs, s script) *pins {
	return &pins{Memory: store.NewMemory(), bombs: b, likely: s.failing, full: s.full, since: map[int]uint64{}, without: map[int]bool{}}
}

var errBroken = errors.New("the disk is broken")

// Pin implements store.Store.
func (p *pins) Pin(key store.Fingerprint, at time.Time) error {
	user := holderOf(key)
	switch {
	case p.fails():
	case p.full:
		return p.hasNoRoom(user)
	default:
		return p.pins(user, key, at)
	}
	switch p.bombs.draws(4) {
	case 0:
		return p.hasNoRoom(user)
	case 1:
		return errBroken
	case 2:
		_ = p.pins(user, key, at)
		p.bombs.explodes("store", "the store", "Pin", "after")
	}
	p.bombs.explodes("store", "the store", "Pin", "before")
	return nil
}

func (p *pins) hasNoRoom(user int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.without[user] = true
	return store.ErrNoRoom
}

func (p *pins) pins(user int, key store.Fingerprint, at time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.Memory.Pin(key, at)
	if p.since[user] == 0 {
		p.since[user] = now()
	}
	return err
}

// Pinned implements store.Store.
func (p *pins) Pinned(key store.Fingerprint) (at time.Time, ok bool, err error) {
	if !p.fails() {
		return p.Memory.Pinned(key)
	}
	return at, false, errBroken
}

func (p *pins) fails() bool { return p.bombs.happens(p.likely) }

// before reports whether a user was pinned before a time.
func (p *pins) before(user int, at uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since[user] != 0 && p.since[user] < at
}

func holderOf(key store.Fingerprint) int {
	for i, k := range keys {
		if k.Fingerprint() == key {
			return i
		}
	}
	return -1
}
