package main

import (
	"runtime"
	"time"
)

// pace is an open loop: a schedule that is fixed before the first Message is sent, and that no answer and no delay changes.
// So a relay that stalls has to answer for all the Messages that came due meanwhile, not just for the one that it held up.
type pace struct {
	start int64   // when the first Message is due, in ns since the load began
	every float64 // ns from one Message to the next, over all senders
	total uint64  // how many there are
	among []*sender
	late  []*latencies // by how much senders that waited for their time missed it: that is our fault, not the relay's

	stop, stopped chan struct{}
}

// newPace plans rate Messages a second, from one time until another.
func newPace(rate float64, from, to int64) *pace {
	every := float64(time.Second) / rate
	return &pace{
		start: from, every: every, total: uint64(max(0, float64(to-from)/every)),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
}

// share gives a sender a part of the pace.
func (p *pace) share(s *sender) {
	s.pace, s.place = p, uint64(len(p.among))
	p.among = append(p.among, s)
}

// at returns when the n-th Message of the sender at a place is due, n counted from 0.
func (p *pace) at(place, n uint64) int64 { return p.time(n*uint64(len(p.among)) + place) }

// time returns when the n-th Message of all is due.
func (p *pace) time(n uint64) int64 { return p.start + int64(float64(n)*p.every) }

// leastPause is the shortest time between two looks at the clock. What comes due meanwhile is late by that, at most.
const (
	leastPause   = 50 * time.Microsecond
	longestPause = 20 * time.Millisecond
)

// run tells each sender when its Messages are due, until the schedule's end or stop.
func (p *pace) run(l *load) {
	defer close(p.stopped)
	for n, last := uint64(0), false; n < p.total && !last; {
		select {
		case <-p.stop:
			last = true // what came due until now is still to be sent
		default:
		}
		now := l.now()
		for ; n < p.total && p.time(n) <= now; n++ {
			p.among[n%uint64(len(p.among))].allow()
		}
		if !last {
			l.pause(min(max(time.Duration(p.time(n)-now), leastPause), longestPause))
		}
	}
}

// oneMoreProcessor makes room for a goroutine that sleeps in a system call, which keeps its processor from others for a
// while, until the function it returns is called.
func oneMoreProcessor() (back func()) {
	before := runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	return func() { runtime.GOMAXPROCS(before) }
}

// missed notes when something was due, and when its sender was about to send it.
func (p *pace) missed(due, now int64) {
	for _, late := range p.late {
		late.add(due, now)
	}
}

// owed returns how many Messages came due and were never sent, and counts for each of them the time until now: their
// latencies would have been longer still.
func (p *pace) owed(took *latencies, now int64) (n uint64) {
	for _, s := range p.among {
		for i := s.sent.Load(); i < s.due.Load(); i++ {
			took.add(p.at(s.place, i), now)
			n++
		}
	}
	return n
}
