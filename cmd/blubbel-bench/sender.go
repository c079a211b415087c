package main

import (
	"sync/atomic"

	"github.com/mdeiml/blubbel-server/frames"
)

// batch is how many bytes a sender gathers before it writes.
const batch = 32 << 10

// sender sends one user's Messages, to one recipient or to several in turn.
//
// It is either saturated, with a window of so many Messages under way, or paced by a schedule.
type sender struct {
	user     *user
	load     *load
	streams  []*stream // the Messages go round these
	first    uint64    // the number of the frame before the first Message
	window   uint64    // of a saturated one
	pace     *pace     // of a paced one
	place    uint64    // its place among those that share the pace
	hasty    bool      // of a paced one: what is due when the load stops need not be sent any more
	buf      []byte
	refusals map[frames.Code]uint64 // the user's reader's

	sent    atomic.Uint64 // Messages written, or being written
	due     atomic.Uint64 // of a paced one: how many should have been sent
	_       [64]byte      // what readers write is on another cache line
	settled atomic.Uint64 // how many are delivered or refused
	refused atomic.Uint64 // how many of these are refused
	waiting atomic.Bool
	bell    chan struct{}
}

// appendNext appends the frame of the n-th Message, counted from 0.
func (s *sender) appendNext(b []byte, n uint64, at int64) []byte {
	st, seq := s.message(n)
	return st.appendTo(b, seq, at)
}

// message says of the n-th Message, counted from 0, in which stream it is, and its number there.
func (s *sender) message(n uint64) (*stream, uint64) {
	k := uint64(len(s.streams))
	return s.streams[n%k], n/k + 1
}

// sentTo returns how many Messages of a stream were sent.
func (s *sender) sentTo(place int) uint64 {
	k := uint64(len(s.streams))
	return (s.sent.Load() + k - 1 - uint64(place)) / k //nolint:gosec // a place in a slice
}

// run sends until the load stops or the connection ends.
func (s *sender) run() {
	for {
		n, waited := s.wait()
		if n == 0 {
			return
		}
		if waited && s.pace != nil {
			s.pace.missed(s.pace.at(s.place, s.sent.Load()), s.load.now())
		}
		if s.send(n) != nil {
			return
		}
	}
}

// send sends n Messages, in as few writes as it can.
func (s *sender) send(n uint64) error {
	for n > 0 && !(s.hasty && s.load.stopping.Load()) {
		count := s.gather(n)
		if err := s.write(count); err != nil {
			return err
		}
		n -= count
	}
	return nil
}

// gather fills the buffer with up to n Messages, and returns how many there are now.
func (s *sender) gather(n uint64) (count uint64) {
	s.buf = s.buf[:0]
	sent, now := s.sent.Load(), s.load.now()
	for count < n && len(s.buf) < batch {
		at := now
		if s.pace != nil {
			at = s.pace.at(s.place, sent+count)
		}
		s.buf = s.appendNext(s.buf, sent+count, at)
		count++
	}
	return count
}

// sendNow sends one Message. It is for users whose reader sends, and has no goroutine beside it.
func (s *sender) sendNow(at int64) {
	if s.load.stopping.Load() {
		return
	}
	s.buf = s.appendNext(s.buf[:0], s.sent.Load(), at)
	_ = s.write(1) // the reader will find out
}

// write writes the buffer, which is so many Messages. They count as sent first: the answer may be faster than we.
func (s *sender) write(count uint64) error {
	sent := s.sent.Load()
	s.sent.Store(sent + count)
	n, err := s.user.conn.Write(s.buf)
	if err != nil { // why, the reader will hear
		s.sent.Store(sent + whole(s.buf[:n]))
	}
	return err
}

// whole returns how many whole frames there are.
func whole(b []byte) (n uint64) {
	for {
		_, rest, err := frames.Cut(b, longestPayload)
		if err != nil {
			return n
		}
		b = rest
		n++
	}
}

// wait waits until something may be sent, and returns how much, and whether it had to wait at all. 0 says that the load
// stops.
func (s *sender) wait() (n uint64, waited bool) {
	for {
		stopping := s.load.stopping.Load()
		n := s.budget()
		switch {
		case stopping && (s.pace == nil || s.hasty || n == 0):
			return 0, waited
		case n >= s.least():
			return n, waited
		}
		waited = true
		s.waiting.Store(true)
		if s.budget() >= s.least() || s.load.stopping.Load() {
			s.waiting.Store(false)
			continue
		}
		<-s.bell
	}
}

// budget returns how many Messages may be sent now.
func (s *sender) budget() uint64 {
	settled := s.settled.Load() // first: it must not be ahead of what was sent
	sent := s.sent.Load()
	if s.pace != nil {
		return s.due.Load() - sent
	}
	return s.window - min(s.window, sent-settled)
}

// least is for how much a sender wakes: one that wakes for every single Message writes them one by one.
func (s *sender) least() uint64 {
	if s.pace != nil {
		return 1
	}
	return max(1, s.window/4)
}

// settle notes that n Messages are delivered or refused.
func (s *sender) settle(n uint64) {
	s.settled.Add(n)
	if s.waiting.Load() && s.pace == nil && s.budget() >= s.least() {
		s.ring()
	}
}

// allow lets a paced sender send one more.
func (s *sender) allow() {
	s.due.Add(1)
	s.ring()
}

func (s *sender) ring() {
	if !s.waiting.CompareAndSwap(true, false) {
		return
	}
	select {
	case s.bell <- struct{}{}:
	default: // it rings already
	}
}
