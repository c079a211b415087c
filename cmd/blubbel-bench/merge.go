package main

import "slices"

// merge makes rows of several rounds' rows: medians of what was measured, sums of what was counted, and the longest of the
// longest latencies.
func merge(rounds [][]*result) (rows []*result) {
	if len(rounds) == 0 {
		return nil
	}
	for place, row := range rounds[0] {
		same := []*result{row}
		for _, round := range rounds[1:] {
			if place < len(round) {
				same = append(same, round[place])
			}
		}
		rows = append(rows, mergeRow(same))
	}
	return rows
}

// mergeRow merges the rows of the same name into the first of them.
func mergeRow(same []*result) *result {
	r := same[0]
	for _, other := range same[1:] {
		r.count(other)
	}
	done := slices.DeleteFunc(slices.Clone(same), func(r *result) bool { return r.Seconds == 0 })
	for _, figure := range measured {
		setMedian(r, done, figure)
	}
	for _, of := range latencyKinds {
		mergeLatency(same, of)
	}
	if r.tally != nil {
		r.Hostile = r.tally.outcomes()
		r.note(sentence(r.Hostile))
	}
	return r
}

// count adds what another round has counted.
func (r *result) count(other *result) {
	r.Unsent += other.Unsent
	r.Wrong = append(r.Wrong, other.Wrong...)
	for _, note := range other.Notes {
		if !slices.Contains(r.Notes, note) {
			r.Notes = append(r.Notes, note)
		}
	}
	if r.Error == "" {
		r.Error = other.Error
	}
	switch {
	case other.Account == nil:
	case r.Account == nil:
		r.Account = other.Account
	default:
		r.Account.plus(other.Account)
	}
	if other.tally != nil {
		r.tally.plus(other.tally)
	}
}

// measured are the figures whose median counts.
var measured = []func(r *result) *float64{
	func(r *result) *float64 { return &r.Seconds },
	func(r *result) *float64 { return &r.Messages },
	func(r *result) *float64 { return &r.BodyMB },
	func(r *result) *float64 { return &r.Others },
	func(r *result) *float64 { return &r.P50Ratio },
	func(r *result) *float64 { return &r.P99Ratio },
	func(r *result) *float64 { return &r.Busy },
	func(r *result) *float64 { return &r.Busier },
	func(r *result) *float64 { return &r.RSS },
	func(r *result) *float64 { return &r.RSSAfter },
	func(r *result) *float64 { return &r.RSSBack },
	func(r *result) *float64 { return &r.Files },
	func(r *result) *float64 { return &r.Left },
	func(r *result) *float64 { return &r.FilesBack },
}

// latencyKinds are the latencies whose quantiles' medians count.
var latencyKinds = []func(r *result) **quantiles{
	func(r *result) **quantiles { return &r.OneWay },
	func(r *result) **quantiles { return &r.Lateness },
}

// setMedian gives a row the median of a figure of several.
func setMedian[T any](r *T, of []*T, figure func(*T) *float64) {
	var all []float64
	for _, one := range of {
		all = append(all, *figure(one))
	}
	*figure(r) = median(all)
}

// mergeLatency gives the first row the medians of one kind of latencies, of the rounds that have any.
func mergeLatency(same []*result, of func(*result) **quantiles) {
	var all []*quantiles
	for _, r := range same {
		if q := *of(r); q != nil {
			all = append(all, q)
		}
	}
	if len(all) == 0 {
		return
	}
	for _, q := range all[1:] {
		all[0].Count += q.Count
		all[0].Max = max(all[0].Max, q.Max)
	}
	setMedian(all[0], all, func(q *quantiles) *float64 { return &q.P50 })
	setMedian(all[0], all, func(q *quantiles) *float64 { return &q.P99 })
	setMedian(all[0], all, func(q *quantiles) *float64 { return &q.P999 })
	*of(same[0]) = all[0]
}

// median returns the one in the middle, or the mean of the two that are; 0 of none.
func median(all []float64) float64 {
	n := len(all)
	if n == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	return (all[(n-1)/2] + all[n/2]) / 2
}
