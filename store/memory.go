package store

import (
	"maps"
	"sync"
	"time"
)

// day is how exactly the time of a proof is kept.
const day = 24 * time.Hour

// Memory is a Store that forgets everything with the process.
type Memory struct {
	mu   sync.Mutex
	pins map[Fingerprint]time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{pins: map[Fingerprint]time.Time{}} }

// Pin implements Store.
func (m *Memory) Pin(key Fingerprint, at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before, ok := m.pins[key]; !ok || at.Sub(before) >= day {
		m.pins[key] = at
	}
	return nil
}

// Pinned implements Store.
func (m *Memory) Pinned(key Fingerprint) (at time.Time, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok = m.pins[key]
	return at, ok, nil
}

// Unpin implements Store.
func (m *Memory) Unpin(key Fingerprint) (was bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, was = m.pins[key]
	delete(m.pins, key)
	return was, nil
}

// Expire implements Store.
func (m *Memory) Expire(before time.Time) (n int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n = len(m.pins)
	maps.DeleteFunc(m.pins, func(_ Fingerprint, at time.Time) bool { return at.Before(before) })
	return n - len(m.pins), nil
}

// Pins implements Store.
func (m *Memory) Pins() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.pins)
}

// Close implements Store.
func (*Memory) Close() error { return nil }
