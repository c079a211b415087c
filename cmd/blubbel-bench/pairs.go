package main

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// pairs is the command of that name.
type pairs struct {
	Pairs int     `help:"How many pairs (${default})." short:"n" default:"16" placeholder:"N"`
	Rate  float64 `help:"Messages a second over all pairs, on a fixed schedule; latencies count from the scheduled time. Without it: as many as get through." placeholder:"N"`
	bodies
	saturation
	timing
}

const (
	mostPairs = 10000
	mostRate  = 1e7
)

// Validate implements kong.Validatable.
func (c *pairs) Validate() error {
	var rate error
	if c.Rate < 0 || c.Rate > mostRate {
		rate = fmt.Errorf("--rate is %g; it must be from 0 to %g", c.Rate, mostRate)
	}
	return cmp.Or(within("--pairs", c.Pairs, 1, mostPairs), rate, c.bodies.validate(), c.saturation.validate(), c.timing.validate())
}

func (c *pairs) measure(ctx context.Context, b *bench) error {
	l := b.load()
	defer l.close()
	all, err := b.pairs(ctx, l, c.Pairs)
	if err != nil {
		return err
	}
	r := &result{Command: "pairs", Cell: fmt.Sprintf("pairs %d, %s", c.Pairs, sized(c.Size)), Users: len(l.users), SizeBytes: c.Size}
	for _, p := range all {
		p.oneWay(l, c.Size, c.of(c.Size))
	}
	if c.Rate > 0 {
		r.Cell += ", " + figure(c.Rate) + "/s"
		c.paced(ctx, b, l, r)
	} else {
		r.Window = c.of(c.Size)
		b.saturate(ctx, l, c.timing, r)
	}
	b.add(r)
	return nil
}

// lead is the time from when a pace is planned until it begins.
const lead = 20 * time.Millisecond

// paced runs an open loop, and measures it.
func (c *pairs) paced(ctx context.Context, b *bench, l *load, r *result) {
	defer oneMoreProcessor()()
	begin := l.now() + int64(lead)
	from := begin + int64(c.Warmup)
	to := from + int64(c.Duration)
	p, took := newPace(c.Rate, begin, to), newLatencies(from, to)
	late := newLatencies(from, to)
	p.late = append(p.late, late)
	for _, s := range l.senders {
		p.share(s)
		s.streams[0].latencies = append(s.streams[0].latencies, took)
	}
	l.read(bulkRead, l.users...)
	l.send(l.senders...)
	l.follow(p)
	r.Offered = c.Rate
	err := b.pass(ctx, l, r.Cell+": warming up", from)
	if err == nil {
		m := startMeter(b.server, l.senders)
		err = b.pass(ctx, l, r.Cell, to)
		m.stop(r)
	}
	b.conclude(l, r, err)
	r.Unsent = p.owed(took, l.now())
	if r.Unsent > 0 {
		r.note(fmt.Sprintf("the relay did not take %s Messages that were due; their latencies count until the end", grouped(r.Unsent)))
	}
	r.OneWay, r.Lateness = took.quantiles(), late.quantiles()
}
