package actors

import (
	"crypto/ed25519"
	"errors"
	"fmt"
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
	Required bool               // nobody logs in without a proof
	// Allow says who may log in; nil for everybody. Where it is set nobody does without a proof.
	Allow func(key store.Fingerprint) bool

	pinnings atomic.Uint64  // keys that were pinned since the relay began
	unpinned atomic.Uint64  // keys that have proved, and were not pinned for want of room
	said     rate.Sometimes // that this is so
	failed   rate.Sometimes // that the store has
}

// PinTime is for how long after its last proof a key opens only to proof, at least.
const PinTime = 365 * 24 * time.Hour

// pinCounts is for how long a pin does, which is kept to the day.
const pinCounts = PinTime + 24*time.Hour

// needsProof reports whether a key opens only to proof. Where that cannot be found out, it does.
func (s *Shared) needsProof(key [32]byte) bool {
	t := s.Trust
	if t.Required || t.Allow != nil {
		return true
	}
	at, ok, err := t.pinned(key)
	if err != nil {
		t.failed.Do(func() { s.Log.WithError(err).Error("cannot look up whether keys are pinned; all have to prove") })
		return true
	}
	return ok && time.Since(at) < pinCounts
}

// nowNeedsProof reports whether a login needs a proof that needed none when it was asked first: only if keys were pinned meanwhile.
func (s *Shared) nowNeedsProof(l *Login) bool {
	return !l.proven && s.Trust.pinnings.Load() != l.pinnings && s.needsProof(l.fingerprint())
}

// pinned asks the store, which may be one of the host's that panics.
func (t *Trust) pinned(key [32]byte) (at time.Time, ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the store panics: %v", NewCrash(p))
		}
	}()
	return t.Store.Pinned(key)
}

// allows reports whether a key may log in at all.
func (t *Trust) allows(key [32]byte) bool { return t.Allow == nil || t.Allow(key) }

// pin remembers, durably, that a key has proved possession. It may take as long as a disk does. The code is for a proof that must not
// count, because it could not be remembered.
func (s *Shared) pin(key [32]byte) frames.Code {
	t := s.Trust
	most := s.Limits().Pins
	_, pinned, err := t.pinned(key)
	if pinned = pinned && err == nil; pinned || most == 0 || t.Store.Pins() < most {
		err = t.Store.Pin(key, time.Now())
	} else {
		err = store.ErrNoRoom
	}
	switch {
	case err == nil && pinned:
		return 0
	case err == nil:
		t.pinnings.Add(1)
		return 0
	case pinned: // and stays so, if not for as long
		t.failed.Do(func() { s.Log.WithError(err).Warn("cannot note the last proofs of keys that are pinned") })
		return 0
	case errors.Is(err, store.ErrNoRoom):
		n := t.unpinned.Add(1)
		t.said.Do(func() {
			s.Log.WithField("logins", n).Warn("there is no room for pins: keys that prove may be used without a proof by others later")
		})
		return 0
	}
	t.failed.Do(func() { s.Log.WithError(err).Error("cannot remember that keys have proved; their logins are refused") })
	return frames.Internal
}
