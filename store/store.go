// Package store keeps what must survive a restart of a relay: which keys have proved that they are their holders'. The relay is handed a
// [Store]; only the daemon opens one on disk.
package store

import (
	"errors"
	"time"
)

// Fingerprint is the SHA-256 of a key's bytes.
type Fingerprint = [32]byte

// Store is where a relay keeps its pins. A pin says when a key last proved possession; from then on the key opens only to proof
// (docs/protocol.md, Proof of possession). All methods are safe for concurrent use.
type Store interface {
	// Pin notes that a key proved possession at this time. When it returns nil the pin survives whatever happens to the process or,
	// as far as the disk keeps its word, to the machine. A pin that is less than a day older than the new one stays as it is.
	// The error is [ErrNoRoom] where nothing more can be kept; the relay goes on without.
	Pin(key Fingerprint, at time.Time) error
	// Pinned returns when a key last proved possession, to the day, if it did.
	Pinned(key Fingerprint) (at time.Time, ok bool, err error)
	// Unpin forgets a key, durably, and reports whether there was anything to forget.
	Unpin(key Fingerprint) (was bool, err error)
	// Expire forgets the pins of keys that last proved possession before that time, and returns how many there were.
	Expire(before time.Time) (n int, err error)
	// Pins returns how many keys are pinned.
	Pins() int
	// Close closes the store, which nobody may use any more.
	Close() error
}

// ErrNoRoom says that nothing more can be kept: the disk is all but full.
var ErrNoRoom = errors.New("there is no room left on the disk")
