// Package storetest tests whether a store keeps what package store promises.
package storetest

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/store"
)

// Key returns the n-th of many fingerprints.
func Key(n int) store.Fingerprint {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))) //nolint:gosec // any number is as good
}

// Midnight is a time that is kept exactly, by whoever keeps days.
var Midnight = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// Conform runs the tests. Each of them opens a store that is empty, and closes it.
func Conform(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, books){
		"nothing is pinned at first":             empty,
		"a pin stays for its day":                pinning,
		"what is unpinned is forgotten":          unpinning,
		"what is older than a time is forgotten": expiring,
		"many at a time":                         crowd,
		"a new pin never expires":                race,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			test(t, books{t, s})
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// books is a store whose answers are checked.
type books struct {
	*testing.T
	store.Store
}

func (b books) pin(n int, at time.Time) {
	b.Helper()
	if err := b.Pin(Key(n), at); err != nil {
		b.Errorf("pin %d: %v", n, err)
	}
}

// pinned expects a pin of this day, which may be kept as any time of it that is not later.
func (b books) pinned(n int, want time.Time) {
	b.Helper()
	if at, ok, err := b.Pinned(Key(n)); err != nil || !ok || at.After(want) || want.Sub(at) >= day {
		b.Errorf("key %d is pinned: %v at %v, %v; want %v", n, ok, at, err, want)
	}
}

func (b books) free(n int) {
	b.Helper()
	if at, ok, err := b.Pinned(Key(n)); err != nil || ok {
		b.Errorf("key %d is pinned: %v at %v, %v; want none", n, ok, at, err)
	}
}

func (b books) unpin(n int, want bool) {
	b.Helper()
	if was, err := b.Unpin(Key(n)); err != nil || was != want {
		b.Errorf("unpin %d: %v, %v", n, was, err)
	}
}

func (b books) expire(before time.Time, want int) {
	b.Helper()
	if n, err := b.Expire(before); err != nil || n != want {
		b.Errorf("%d expired, %v; want %d", n, err, want)
	}
}

func (b books) count(want int) {
	b.Helper()
	if n := b.Pins(); n != want {
		b.Errorf("there are %d pins, want %d", n, want)
	}
}

func empty(_ *testing.T, b books) {
	b.free(1)
	b.unpin(1, false)
	b.expire(Midnight, 0)
	b.count(0)
}

func pinning(_ *testing.T, b books) {
	b.pin(1, Midnight)
	b.pinned(1, Midnight)
	b.free(2)
	b.pin(1, Midnight.Add(day-time.Second))
	b.pinned(1, Midnight)
	b.pin(1, Midnight.Add(-5*day))
	b.pinned(1, Midnight)
	b.pin(1, Midnight.Add(day))
	b.pinned(1, Midnight.Add(day))
	b.pin(2, Midnight.Add(12*time.Hour))
	b.pinned(2, Midnight.Add(12*time.Hour))
	b.count(2)
}

func unpinning(_ *testing.T, b books) {
	b.pin(1, Midnight)
	b.pin(2, Midnight)
	b.unpin(1, true)
	b.unpin(1, false)
	b.free(1)
	b.pinned(2, Midnight)
	b.count(1)
	b.pin(1, Midnight)
	b.pinned(1, Midnight)
	b.count(2)
}

// expiring has more keys than there are first bytes of fingerprints.
func expiring(_ *testing.T, b books) {
	const days, each = 5, 300
	for n := range days * each {
		b.pin(n, Midnight.Add(time.Duration(n%days)*day))
	}
	b.expire(Midnight, 0)
	b.expire(Midnight.Add(2*day), 2*each)
	b.expire(Midnight.Add(2*day), 0)
	b.count((days - 2) * each)
	for n := range days * each {
		if n%days < 2 {
			b.free(n)
		} else {
			b.pinned(n, Midnight.Add(time.Duration(n%days)*day))
		}
	}
	b.expire(Midnight.Add(1000*day), (days-2)*each)
	b.count(0)
}

// crowd has everybody pin the same keys, and forget some of them.
func crowd(_ *testing.T, b books) {
	everybody(func() {
		for n := range 20 {
			b.pin(n, Midnight)
			b.pinned(n, Midnight)
		}
	})
	b.count(20)
	var gone atomic.Int64
	everybody(func() {
		for n := range 10 {
			if was, _ := b.Unpin(Key(n)); was {
				gone.Add(1)
			}
		}
	})
	if gone := gone.Load(); gone != 10 {
		b.Errorf("%d were there to be unpinned, want 10", gone)
	}
	b.count(10)
}

func everybody(do func()) {
	var all sync.WaitGroup
	for range 16 {
		all.Go(do)
	}
	all.Wait()
}

// race pins keys anew while their old pins expire.
func race(_ *testing.T, b books) {
	const keys = 200
	for round := range 5 {
		old, fresh := Midnight.Add(time.Duration(2*round)*day), Midnight.Add(time.Duration(2*round+1)*day)
		for n := range keys {
			b.pin(n, old)
		}
		var all sync.WaitGroup
		all.Go(func() {
			for n := range keys {
				b.pin(n, fresh)
			}
		})
		all.Go(func() {
			if _, err := b.Expire(fresh); err != nil {
				b.Error(err)
			}
		})
		all.Wait()
		for n := range keys {
			b.pinned(n, fresh)
		}
		b.count(keys)
	}
}
