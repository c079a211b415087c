package main

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies gathers durations of what was to begin within one interval.
type latencies struct {
	mu        sync.Mutex
	from, to  int64 // the interval, in ns since the load began
	histogram *hdrhistogram.Histogram
}

// The durations that are told from each other: three digits, and no longer than this.
const (
	leastLatency   = 100 * time.Nanosecond
	longestLatency = 10 * time.Minute
	digits         = 3
)

func newLatencies(from, to int64) *latencies {
	return &latencies{from: from, to: to, histogram: hdrhistogram.New(int64(leastLatency), int64(longestLatency), digits)}
}

// add takes something that was to begin at one time and ended at another.
func (l *latencies) add(began, ended int64) {
	took := min(max(ended-began, 1), int64(longestLatency))
	l.mu.Lock()
	defer l.mu.Unlock()
	if began < l.from || began >= l.to {
		return
	}
	_ = l.histogram.RecordValue(took) // it fits
}

// until lets the interval end, if it was not known before when it would.
func (l *latencies) until(to int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
}

// quantiles are durations in microseconds.
type quantiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p99.9"`
	Max   float64 `json:"max"`
}

// quantiles returns what was gathered, or nil if that is nothing.
func (l *latencies) quantiles() *quantiles {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.histogram
	if h.TotalCount() == 0 {
		return nil
	}
	at := func(percent float64) float64 { return float64(h.ValueAtQuantile(percent)) / 1e3 }
	return &quantiles{Count: h.TotalCount(), P50: at(50), P99: at(99), P999: at(99.9), Max: float64(h.Max()) / 1e3}
}
