package main

import (
	"slices"
	"testing"
	"time"
)

func TestMedians(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{5, 1}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 100, 1, 2}, 3}} {
		before := slices.Clone(c.of)
		if got := median(c.of); got != c.want || !slices.Equal(c.of, before) {
			t.Errorf("%v: %v", before, got)
		}
	}
}

// measuredRow is a row in which every figure is f.
func measuredRow(f float64) *result {
	r := &result{Command: "floods", Cell: "x: beside", tally: &tally{}, Account: &account{Refused: map[string]uint64{}}}
	for _, figure := range measured {
		*figure(r) = f
	}
	r.OneWay = &quantiles{Count: 10, P50: f, P99: 2 * f, P999: 3 * f, Max: 4 * f}
	return r
}

func TestRoundsAreMerged(t *testing.T) {
	one, other, third := measuredRow(1), measuredRow(5), measuredRow(3)
	one.Account.Sent, one.Account.Delivered = 10, 10
	other.Account.Sent, other.Account.Refused["BUSY"] = 7, 7
	third.Account.Sent, third.Account.Lost = 1, 1
	third.wrongly("it sings")
	one.note("twice the same")
	other.note("twice the same")
	for i, r := range []*result{one, other, third} {
		r.tally.add("LIMIT", time.Duration(i+1)*time.Second)
		r.tally.count(notConnected, 1)
	}
	cut := &result{Command: "floods", Cell: "x: beside", tally: &tally{}, Error: "it ended"} // nothing was measured
	rows := merge([][]*result{{one}, {other}, {third}, {cut}})
	if len(rows) != 1 {
		t.Fatalf("%d rows", len(rows))
	}
	r := rows[0]
	for i, figure := range measured {
		if *figure(r) != 3 {
			t.Errorf("the figure at place %d is %v", i, *figure(r))
		}
	}
	if q := *r.OneWay; q != (quantiles{Count: 30, P50: 3, P99: 6, P999: 9, Max: 20}) {
		t.Errorf("%+v", q)
	}
	if a := r.Account; a.Sent != 18 || a.Delivered != 10 || a.Refused["BUSY"] != 7 || a.Lost != 1 || !a.adds() {
		t.Error(a.sum())
	}
	if limit := r.Hostile["LIMIT"]; limit.Count != 3 || !near(limit.Median*1e6, 2*time.Second) || !near(limit.Slowest*1e6, 3*time.Second) {
		t.Errorf("%+v", limit)
	}
	if got := r.Hostile[notConnected]; got.Count != 3 || got.Slowest != 0 || len(r.Hostile) != 2 {
		t.Errorf("%s", sentence(r.Hostile))
	}
	if r.Error != "it ended" || !slices.Equal(r.Wrong, []string{"it sings"}) || !r.wrong() || len(r.Notes) != 2 {
		t.Errorf("%q, %q, %q", r.Error, r.Wrong, r.Notes)
	}
}

func TestNoRoundsAreNoRows(t *testing.T) {
	if rows := merge(nil); len(rows) > 0 {
		t.Errorf("%v", rows)
	}
}

func TestAnIntervalMayEndLater(t *testing.T) {
	l := newLatencies(10, 100)
	l.until(20)
	for began := range int64(30) {
		l.add(began, began+int64(time.Millisecond))
	}
	if q := l.quantiles(); q.Count != 10 {
		t.Errorf("%+v", q)
	}
}
