package actors

import (
	"slices"
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
// One that took little for a moment is dragging: what waits for it is copied out of its senders' buffers, where that helps.
// A stalled client costs its senders no more time: Messages that wait for it are refused with BUSY, but for the frame that is
// begun, and so are those that come. From then on, for a minute after it has caught up, it gets shortStall. One that takes nothing for
// the write deadline is closed.
type slow struct {
	output   *output
	behind   bool
	dragging bool
	busy     bool
	strict   time.Time // until then the stall time is shortStall
	since    time.Time // when the stall time began
	base     int64     // what the socket had taken then
	moved    time.Time // when the socket was last seen to have taken something
	seen     int64     // and what it had taken then, in all
	timer    *time.Timer
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
	s.behind, s.dragging, s.busy = false, false, false
}

func (s *slow) stall(now time.Time) time.Duration {
	if now.Before(s.strict) {
		return min(shortStall, s.output.shared.Limits().Stall)
	}
	return s.output.shared.Limits().Stall
}

// arm lets tick come when there may be something to decide.
func (s *slow) arm(now time.Time) {
	o := s.output
	next := min(shortStall, s.moved.Add(o.shared.Limits().WriteDeadline).Sub(now))
	if !s.busy {
		next = min(next, s.since.Add(s.stall(now)).Sub(now))
	}
	if s.timer == nil {
		shared, connection := o.shared, o.connection
		s.timer = time.AfterFunc(next, func() { shared.send(connection, tick{}) })
	} else {
		s.timer.Reset(next)
	}
}

// tick looks at the client. It is false if the client has taken nothing for too long.
func (s *slow) tick() (alive bool) {
	if !s.behind {
		return true
	}
	now, sent := time.Now(), s.output.socket.sent()
	little := sent-s.seen < stallBytes
	if sent != s.seen {
		s.seen, s.moved = sent, now
	}
	if now.Sub(s.moved) >= s.output.shared.Limits().WriteDeadline {
		return false
	}
	if s.dragging = little; little {
		s.output.detach()
	}
	if !s.busy && now.Sub(s.since) >= s.stall(now) {
		if s.seen-s.base < stallBytes {
			s.busy = true
			s.output.refuseWaiting()
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

// detach keeps what waits from keeping more memory than it has to.
func (o *output) detach() {
	o.splitBegun()
	for _, run := range o.queue[o.done:] {
		run.detachIfSmall()
	}
}

// splitBegun makes the frames that are in the round runs of their own.
func (o *output) splitBegun() {
	if o.round == nil {
		return
	}
	for i := o.done; i < len(o.queue); i++ {
		run := o.queue[i]
		switch begun := o.round.holds(run); {
		case begun == 0:
			return
		case begun < run.count:
			o.queue = slices.Insert(o.queue, i+1, run.behind(begun))
		}
	}
}

// refuseWaiting refuses the Messages that wait to be written with BUSY, but for frames that are begun. Answers to the client
// wait on, and so do requests and acceptances: both sides have taken note of them already, and there are few.
func (o *output) refuseWaiting() {
	o.weed((*Run).message, func(run *Run) { run.refuse(frames.Busy, "") })
}

// refuseUnbegun refuses everything that waits to be written, but for frames that are begun, and that the login was accepted.
func (o *output) refuseUnbegun() {
	o.weed(func(run *Run) bool {
		return run.code != 0 || run.own || run.Type != frames.TypeLogin && run.Type != frames.TypeProve
	}, o.fail)
}

// weed takes out of the queue what is not begun, and chosen.
func (o *output) weed(chosen func(*Run) bool, refuse func(*Run)) {
	o.splitBegun()
	kept := o.queue[:0]
	for _, run := range o.queue[o.done:] {
		if !chosen(run) || o.round != nil && o.round.holds(run) > 0 {
			kept = append(kept, run)
		} else {
			refuse(run)
		}
	}
	clear(o.queue[len(kept):])
	o.queue, o.done = kept, 0
}
