package actors

import (
	"crypto/ed25519"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
)

// Trust is what a relay believes of keys: which is its own, who may log in, and who has to prove possession.
type Trust struct {
	Identity ed25519.PrivateKey // the relay's own
	Store    store.Store        // of the pins
	Pins     int                // how many there may be; 0 is no limit
	Required bool               // nobody logs in without a proof
	// Allow says who may log in; nil for everybody. Where it is set nobody does without a proof.
	Allow func(key store.Fingerprint) bool

	unpinned atomic.Uint64 // keys that have proved, and were not pinned for want of room
	said     rate.Sometimes
}

// PinTime is for how long after its last proof a key opens only to proof, at least.
const PinTime = 365 * 24 * time.Hour

// kept is for how long a pin counts: it is kept to the day.
const kept = PinTime + 24*time.Hour

// Unpinned returns how many logins with a proof were not pinned for want of room.
func (t *Trust) Unpinned() uint64 { return t.unpinned.Load() }

// needsProof reports whether a key opens only to proof. Where that cannot be found out, it does.
func (s *Shared) needsProof(key [32]byte) bool {
	t := s.Trust
	if t.Required || t.Allow != nil {
		return true
	}
	at, ok, err := t.Store.Pinned(key)
	if err != nil {
		s.Log.WithError(err).Error("cannot look up whether a key is pinned; it has to prove")
		return true
	}
	return ok && time.Since(at) < kept
}

// allows reports whether a key may log in at all.
func (t *Trust) allows(key [32]byte) bool { return t.Allow == nil || t.Allow(key) }

// pin remembers, durably, that a key has proved possession. It may take as long as a disk does. The code is for a proof that must not
// count, because it could not be remembered.
func (s *Shared) pin(key [32]byte) frames.Code {
	t, now := s.Trust, time.Now()
	err := store.ErrNoRoom
	if t.Pins == 0 || t.Store.Pins() < t.Pins || s.pinned(key) {
		err = t.Store.Pin(key, now)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, store.ErrNoRoom):
		n := t.unpinned.Add(1)
		t.said.Do(func() {
			s.Log.WithField("logins", n).Warn("there is no room for pins: keys that prove may be used without a proof by others later")
		})
		return 0
	}
	s.Log.WithError(err).Error("cannot remember that a key has proved; its login is refused")
	return frames.Internal
}

func (s *Shared) pinned(key [32]byte) bool {
	_, ok, err := s.Trust.Store.Pinned(key)
	return ok && err == nil
}
