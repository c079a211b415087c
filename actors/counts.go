package actors

import (
	"sync/atomic"

	"github.com/mdeiml/blubbel-server/frames"
)

// LoginKind is what a login has proved, and how.
type LoginKind uint8

// The kinds.
const (
	LoginSeed        LoginKind = iota // nothing, by a client that does not say Hello
	LoginHello                        // nothing, by one that does
	LoginProof                        // possession of the key, by Prove
	LoginCertificate                  // the same, in TLS
	LoginHost                         // nothing, but the program that the relay is part of vouches for it

	loginKinds
)

// String returns a word for it.
func (k LoginKind) String() string {
	return [loginKinds]string{"seed", "hello", "proof", "certificate", "host"}[k]
}

// Counts are how often things have happened that are no frames: the Ledger has those.
type Counts struct {
	Logins        map[LoginKind]uint64
	LoginsRefused map[frames.Code]uint64
	Takeovers     uint64 // of a key that was logged in on another connection
	Unpinned      uint64 // keys that have proved, and were not pinned for want of room
	Sessions      uint64 // that were opened
	Closed        []Closed
}

type counts struct {
	logins    [loginKinds]atomic.Uint64
	refused   [frames.LastCode + 1]atomic.Uint64
	takeovers atomic.Uint64
	sessions  atomic.Uint64
	endings   endingCounts
}

// Counts returns them.
func (s *Shared) Counts() Counts {
	c := Counts{
		Logins: map[LoginKind]uint64{}, LoginsRefused: map[frames.Code]uint64{},
		Takeovers: s.counts.takeovers.Load(), Sessions: s.counts.sessions.Load(), Unpinned: s.Trust.unpinned.Load(),
		Closed: s.counts.endings.read(),
	}
	for kind := range s.counts.logins {
		c.Logins[LoginKind(kind)] = s.counts.logins[kind].Load()
	}
	for code := range s.counts.refused {
		if n := s.counts.refused[code].Load(); n > 0 {
			c.LoginsRefused[frames.Code(code)] = n
		}
	}
	return c
}
