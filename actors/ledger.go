package actors

import (
	"fmt"
	"sync/atomic"

	"github.com/mdeiml/blubbel-server/frames"
)

// Ledger counts frames by what became of them: taken = delivered + refused + in flight. It counts StartSession,
// AcceptSession and Message on logged-in connections, from the moment they were read whole. All methods are safe for
// concurrent use.
type Ledger struct {
	taken, delivered atomic.Uint64
	refused          [frames.LastCode + 1]atomic.Uint64
	deadLetters      atomic.Uint64
}

// Account is what a Ledger says at one moment. While frames are under way its parts may be a few frames apart.
type Account struct {
	Taken, Delivered uint64
	Refused          map[frames.Code]uint64 // by code; codes that never occurred are absent
	InFlight         int64
	DeadLetters      uint64 // frames that the actors mislaid and that were refused nevertheless: each is a bug
}

// Read returns the account.
func (l *Ledger) Read() Account {
	// Taken is read last, so that in flight is never too small.
	a := Account{Delivered: l.delivered.Load(), DeadLetters: l.deadLetters.Load(), Refused: map[frames.Code]uint64{}}
	settled := a.Delivered
	for code := range l.refused {
		if n := l.refused[code].Load(); n > 0 {
			a.Refused[frames.Code(code)] = n
			settled += n
		}
	}
	a.Taken = l.taken.Load()
	a.InFlight = int64(a.Taken - settled) //nolint:gosec // a difference of counters of what one process handled
	return a
}

// String shows the account on one line.
func (a Account) String() string {
	return fmt.Sprintf("taken %d, delivered %d, refused %v, in flight %d, dead letters %d",
		a.Taken, a.Delivered, a.Refused, a.InFlight, a.DeadLetters)
}

// Mislaid counts a frame that the actors mislaid.
func (l *Ledger) Mislaid() { l.deadLetters.Add(1) }
