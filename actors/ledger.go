package actors

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// Ledger counts frames by what became of them: taken = delivered + refused + in flight. It counts StartSession,
// AcceptSession and Message on logged-in connections, from the moment they were read whole, a chunk or a run at a time.
// All methods are safe for concurrent use.
type Ledger struct {
	taken       counter
	_           [64]byte // readers count taken, writers delivered: not on one cache line
	delivered   counter
	refused     [frames.LastCode + 1]counter
	deadLetters atomic.Uint64
	latencies   latencies
}

// counter is a Tally that counts.
type counter struct{ frames, bytes atomic.Uint64 }

func (c *counter) add(frames, bytes int) {
	c.frames.Add(uint64(frames)) //nolint:gosec // neither is ever negative
	c.bytes.Add(uint64(bytes))   //nolint:gosec // likewise
}

func (c *counter) read() Tally { return Tally{Frames: c.frames.Load(), Bytes: c.bytes.Load()} }

// Tally is a number of frames, and how many bytes they had when they were read, headers included.
type Tally struct{ Frames, Bytes uint64 }

func (t Tally) plus(o Tally) Tally  { return Tally{t.Frames + o.Frames, t.Bytes + o.Bytes} }
func (t Tally) minus(o Tally) Tally { return Tally{t.Frames - o.Frames, t.Bytes - o.Bytes} }

// Account is what a Ledger says at one moment. While frames are under way its parts may be a few frames apart.
type Account struct {
	Taken, Delivered Tally
	Refused          map[frames.Code]Tally // by code; codes that never occurred are absent
	InFlight         Tally                 // taken, and neither delivered nor refused so far
	DeadLetters      uint64                // frames that the actors mislaid and that were refused nevertheless: each is a bug
}

// Read returns the account.
func (l *Ledger) Read() Account {
	// Taken is read last, so that in flight is never less than nothing.
	a := Account{Delivered: l.delivered.read(), DeadLetters: l.deadLetters.Load(), Refused: map[frames.Code]Tally{}}
	settled := a.Delivered
	for code := range l.refused {
		if t := l.refused[code].read(); t.Frames > 0 {
			a.Refused[frames.Code(code)] = t
			settled = settled.plus(t)
		}
	}
	a.Taken = l.taken.read()
	a.InFlight = a.Taken.minus(settled)
	return a
}

// String shows the account on one line, in frames.
func (a Account) String() string {
	return fmt.Sprintf("taken %d, delivered %d, refused %s, in flight %d, mislaid %d",
		a.Taken.Frames, a.Delivered.Frames, a.refused(), a.InFlight.Frames, a.DeadLetters)
}

// refused is how many frames were, and for what, as in 3 (BUSY 2, OFFLINE 1).
func (a Account) refused() string {
	sum, parts := uint64(0), []string{}
	for _, code := range slices.Sorted(maps.Keys(a.Refused)) {
		sum += a.Refused[code].Frames
		parts = append(parts, fmt.Sprint(code, " ", a.Refused[code].Frames))
	}
	if sum == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}

// Mislaid counts a frame that the actors mislaid.
func (l *Ledger) Mislaid() { l.deadLetters.Add(1) }

// Latencies returns how long the frames took that are settled.
func (l *Ledger) Latencies() Latencies { return l.latencies.read() }

// settle counts an outcome of frames that were read whole at some time: delivered (code 0), or refused.
func (l *Ledger) settle(count, bytes int, code frames.Code, read time.Time) {
	l.latencies.add(count, time.Since(read))
	if code == 0 {
		l.delivered.add(count, bytes)
	} else {
		l.refused[code].add(count, bytes)
	}
}
