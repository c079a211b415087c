package actors

import (
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// slow is what an output knows of a client that does not keep up.
//
//	            the socket is full             less than stallBytes within the stall time
//	keeping up ──────────────────► behind ─────────────────────────────────────────► stalled (busy)
//	    ▲                            │                                                   │
//	    └─────everything written─────┴─────────everything written────────────────────────┘
//
// A stalled client costs its senders no more time: what waits for it is refused with BUSY, but for the frame that is begun,
// and so is what comes. From then on, for a minute after it has caught up, it gets shortStall. One that takes nothing for
// the write deadline is closed.
type slow struct {
	output *output
	behind bool
	busy   bool
	strict time.Time // until then the stall time is shortStall
	since  time.Time // when the stall time began
	base   int64     // what the socket had taken then
	moved  time.Time // when the socket was last seen to have taken something
	seen   int64     // and what it had taken then, in all
	timer  *time.Timer
}

const (
	stallBytes = 64 << 10 // who takes so much in a stall time keeps up
	shortStall = 100 * time.Millisecond
	strictTime = time.Minute
)

// tick is the ConnectionActor's message to itself that it is time to look at a client that is behind.
type tick struct{ quiet }

// began takes note that the socket is full.
func (s *slow) began() {
	if s.behind {
		return
	}
	now := time.Now()
	s.behind, s.since, s.moved = true, now, now
	s.base = s.output.socket.sent()
	s.seen = s.base
	s.arm(now)
}

// caughtUp takes note that everything is written.
func (s *slow) caughtUp() {
	if s.busy {
		s.strict = time.Now().Add(strictTime)
	}
	s.behind, s.busy = false, false
}

func (s *slow) stall(now time.Time) time.Duration {
	if now.Before(s.strict) {
		return min(shortStall, s.output.shared.Limits.Stall)
	}
	return s.output.shared.Limits.Stall
}

// arm lets tick come when there may be something to decide.
func (s *slow) arm(now time.Time) {
	o := s.output
	next := s.moved.Add(o.shared.Limits.WriteDeadline).Sub(now)
	if !s.busy {
		next = min(next, s.since.Add(s.stall(now)).Sub(now))
	}
	if s.timer == nil {
		root, connection := o.shared.Root, o.connection
		s.timer = time.AfterFunc(next, func() { root.Send(connection, tick{}) })
	} else {
		s.timer.Reset(next)
	}
}

// tick looks at the client. It is false if the client has taken nothing for too long.
func (s *slow) tick() (alive bool) {
	o := s.output
	if !s.behind {
		return true
	}
	now := time.Now()
	if sent := o.socket.sent(); sent != s.seen {
		s.seen, s.moved = sent, now
	}
	if now.Sub(s.moved) >= o.shared.Limits.WriteDeadline {
		return false
	}
	if !s.busy && now.Sub(s.since) >= s.stall(now) {
		if s.seen-s.base < stallBytes {
			s.busy = true
			o.refuseWaiting()
		}
		s.since, s.base = now, s.seen
	}
	s.arm(now)
	return true
}

func (s *slow) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// refuseWaiting refuses what waits to be written with BUSY, but for frames that are begun. Answers to the client wait on.
func (o *output) refuseWaiting() {
	kept := o.queue[:0]
	for _, run := range o.queue[o.done:] {
		begun := 0
		if o.round != nil {
			begun = o.round.holds(run)
		}
		switch {
		case run.code != 0 || !run.Type.Carries():
			kept = append(kept, run)
		case begun > 0:
			if begun < run.count {
				run.behind(begun).refuse(frames.Busy, "")
			}
			run.detach()
			kept = append(kept, run)
		default:
			run.refuse(frames.Busy, "")
		}
	}
	clear(o.queue[len(kept):])
	o.queue, o.done = kept, 0
}
