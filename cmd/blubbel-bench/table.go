package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// column is one of the table's. A column that has no figure in any row is not printed.
type column struct {
	title string
	cell  func(r *result) string
}

const absent = "-"

var columns = slices.Concat(begin, latency("one way", func(r *result) *quantiles { return r.OneWay }),
	latency("round trip", func(r *result) *quantiles { return r.RoundTrip }), end)

var begin = []column{
	{"", func(r *result) string { return r.Cell }},
	{"msg/s", func(r *result) string { return figure(r.Messages) }},
	{"MB/s", func(r *result) string { return figure(r.BodyMB) }},
	{"of alone", func(r *result) string { return figure(r.Ratio) }},
}

var end = []column{
	{"p50 of alone", func(r *result) string { return figure(r.P50Ratio) }},
	{"p99", func(r *result) string { return figure(r.P99Ratio) }},
	{"late us: p99", func(r *result) string {
		if r.Lateness == nil {
			return absent
		}
		return figure(r.Lateness.P99)
	}},
	{"server us/msg", func(r *result) string { return figure(r.ServerCPU) }},
	{"own us/msg", func(r *result) string { return figure(r.OwnCPU) }},
	{"other cores", func(r *result) string { return figure(r.Others) }},
	{"logins/s", func(r *result) string { return figure(r.Logins) }},
	{"server us/login", func(r *result) string { return figure(r.LoginCPU) }},
	{"KiB/conn", func(r *result) string { return figure(r.Connection) }},
	{"server %", func(r *result) string { return figure(r.Busy) }},
	{"more", func(r *result) string { return figure(r.Busier) }},
	{"RSS MiB", func(r *result) string { return figure(r.RSS) }},
	{"peak MiB", func(r *result) string { return figure(r.PeakRSS) }},
	{"growth MiB", func(r *result) string { return figure(r.Growth) }},
	{"after", func(r *result) string { return figure(r.RSSAfter) }},
	{"back s", func(r *result) string { return figure(r.RSSBack) }},
	{"files", func(r *result) string { return figure(r.Files) }},
	{"after", func(r *result) string { return figure(r.Left) }},
	{"back s", func(r *result) string { return figure(r.FilesBack) }},
	{"refused", func(r *result) string { return counted(r, (*account).refused) }},
	{"cut off", func(r *result) string { return counted(r, func(a *account) uint64 { return a.CutOff }) }},
	{"lost", func(r *result) string { return counted(r, func(a *account) uint64 { return a.Lost }) }},
	{"bad", func(r *result) string { return counted(r, func(a *account) uint64 { return a.Bad }) }},
}

// latency returns the columns of one kind of latencies. The first says which kind.
func latency(kind string, of func(*result) *quantiles) []column {
	cell := func(pick func(*quantiles) float64) func(*result) string {
		return func(r *result) string {
			if q := of(r); q != nil {
				return figure(pick(q))
			}
			return absent
		}
	}
	return []column{
		{kind + " us: p50", cell(func(q *quantiles) float64 { return q.P50 })},
		{"p99", cell(func(q *quantiles) float64 { return q.P99 })},
		{"p99.9", cell(func(q *quantiles) float64 { return q.P999 })},
		{"max", cell(func(q *quantiles) float64 { return q.Max })},
	}
}

func counted(r *result, of func(*account) uint64) string {
	if r.Account == nil {
		return absent
	}
	return grouped(of(r.Account))
}

// figure writes a figure with three digits that count, or more in front of the point.
func figure(f float64) string {
	switch {
	case f == 0:
		return absent
	case f >= 100:
		return grouped(uint64(f + 0.5))
	case f >= 10:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// grouped writes a number as people read it, such as 1,234,567.
func grouped(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// printTable prints the results, those of one command below each other, and below them what is to be said about each.
func printTable(w io.Writer, results []*result) {
	for len(results) > 0 {
		n := 1
		for n < len(results) && results[n].Command == results[0].Command {
			n++
		}
		printBlock(w, results[:n])
		printNotes(w, results[:n])
		if results = results[n:]; len(results) > 0 {
			_, _ = fmt.Fprintln(w)
		}
	}
}

// printBlock prints results in rows.
func printBlock(w io.Writer, results []*result) {
	rows := make([]string, len(results)+1)
	for _, c := range columns {
		cells, some := []string{c.title}, false
		for _, r := range results {
			cell := c.cell(r)
			some = some || cell != absent
			cells = append(cells, cell)
		}
		if !some {
			continue
		}
		for i, cell := range aligned(cells, c.title == "") {
			rows[i] += "  " + cell
		}
	}
	for _, row := range rows {
		_, _ = fmt.Fprintln(w, strings.TrimRight(row[2:], " "))
	}
}

func printNotes(w io.Writer, results []*result) {
	for _, r := range results {
		for _, wrong := range r.Wrong {
			_, _ = fmt.Fprintf(w, "* %s: WRONG: %s\n", r.Cell, wrong)
		}
		for _, note := range r.Notes {
			_, _ = fmt.Fprintf(w, "* %s: %s\n", r.Cell, note)
		}
		if r.Error != "" {
			_, _ = fmt.Fprintf(w, "* %s: ended early: %s\n", r.Cell, r.Error)
		}
	}
}

// aligned pads cells to the width of the longest: names on the right, figures on the left.
func aligned(cells []string, names bool) []string {
	width := 0
	for _, cell := range cells {
		width = max(width, utf8.RuneCountInString(cell))
	}
	for i, cell := range cells {
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(cell))
		if names {
			cells[i] = cell + pad
		} else {
			cells[i] = pad + cell
		}
	}
	return cells
}
