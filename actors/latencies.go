package actors

import (
	"sync/atomic"
	"time"
)

// latencyBounds are the upper bounds of what frames are counted by: how long they took from when they were read whole until they were settled.
var latencyBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// latencies counts frames by how long they took. The last count is of those that took longer than all bounds.
type latencies struct {
	counts [len(latencyBounds) + 1]atomic.Uint64
	total  atomic.Int64 // in nanoseconds
}

func (l *latencies) add(frames int, took time.Duration) {
	i := 0
	for i < len(latencyBounds) && took > latencyBounds[i] {
		i++
	}
	l.counts[i].Add(uint64(frames)) //nolint:gosec // never negative
	l.total.Add(int64(frames) * int64(took))
}

// Latencies is how long frames took from when they were read whole until they were settled.
type Latencies struct {
	Bounds []time.Duration // upper ones, inclusive
	Counts []uint64        // frames up to each bound that are above the one before; and in the end those above all
	Total  time.Duration   // of all frames
}

func (l *latencies) read() Latencies {
	r := Latencies{Bounds: latencyBounds[:], Total: time.Duration(l.total.Load())}
	for i := range l.counts {
		r.Counts = append(r.Counts, l.counts[i].Load())
	}
	return r
}
