package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// tally counts what became of hostile clients, or of what they said.
type tally struct {
	mu  sync.Mutex
	all map[string]*outcome
}

// outcome is how many of them came to the same end.
type outcome struct {
	Count   uint64  `json:"count"`
	Median  float64 `json:"median_s,omitempty"`  // of the times until the relay closed the connection
	Slowest float64 `json:"slowest_s,omitempty"` // the longest of them

	times *latencies
}

// count notes that so many came to an end.
func (t *tally) count(end string, n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(end).Count += n
}

// add notes an end, and after how long it came. It does not matter how long a client had stayed that left by itself.
func (t *tally) add(end string, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.at(end)
	o.Count++
	if !strings.HasSuffix(end, toTheEnd) {
		o.times.add(0, int64(after))
	}
}

func (t *tally) at(end string) *outcome {
	if t.all == nil {
		t.all = map[string]*outcome{}
	}
	if t.all[end] == nil {
		t.all[end] = &outcome{times: newLatencies(0, 1)}
	}
	return t.all[end]
}

// of returns how many came to an end.
func (t *tally) of(end string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at(end).Count
}

// plus adds what another has counted.
func (t *tally) plus(other *tally) {
	for end, o := range other.all {
		sum := t.at(end)
		sum.Count += o.Count
		sum.times.histogram.Merge(o.times.histogram)
	}
}

// outcomes returns everything that was counted.
func (t *tally) outcomes() map[string]*outcome {
	maps.DeleteFunc(t.all, func(_ string, o *outcome) bool { return o.Count == 0 })
	for _, o := range t.all {
		if q := o.times.quantiles(); q != nil {
			o.Median, o.Slowest = q.P50/1e6, q.Max/1e6
		}
	}
	return t.all
}

// sentence tells it, such as "3 in all: 2 TIMEOUT (after 10s, at most 10.1s), 1 reset (after 1ms)".
func sentence(outcomes map[string]*outcome) string {
	var parts []string
	var all uint64
	for _, end := range slices.Sorted(maps.Keys(outcomes)) {
		o := outcomes[end]
		all += o.Count
		part := grouped(o.Count) + " " + end
		switch {
		case o.Slowest == 0:
		case o.Count == 1:
			part += fmt.Sprintf(" (after %s)", brief(o.Median))
		default:
			part += fmt.Sprintf(" (after %s, at most %s)", brief(o.Median), brief(o.Slowest))
		}
		parts = append(parts, part)
	}
	if all == 0 {
		return ""
	}
	return grouped(all) + " in all: " + strings.Join(parts, ", ")
}

// brief writes seconds as people read them, such as 10.1s or 2ms.
func brief(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d >= time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}
