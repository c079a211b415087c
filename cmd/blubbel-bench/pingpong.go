package main

import (
	"cmp"
	"context"
	"fmt"
)

// pingpong is the command of that name.
type pingpong struct {
	Pairs int `help:"How many pairs (${default})." short:"n" default:"1" placeholder:"N"`
	bodies
	timing
}

// Validate implements kong.Validatable.
func (c *pingpong) Validate() error {
	return cmp.Or(within("--pairs", c.Pairs, 1, mostPairs), c.bodies.validate(), c.timing.validate())
}

func (c *pingpong) measure(ctx context.Context, b *bench) error {
	l := b.load()
	defer l.close()
	all, err := b.pairs(ctx, l, c.Pairs)
	if err != nil {
		return err
	}
	r := &result{Command: "pingpong", Cell: fmt.Sprintf("pingpong %d, %s", c.Pairs, sized(c.Size)), Users: len(l.users), SizeBytes: c.Size, Window: 1}
	from := l.now() + int64(c.Warmup)
	to := from + int64(c.Duration)
	trips := newLatencies(from, to)
	for _, p := range all {
		p.roundTrips(l, c.Size, trips)
		p.from.begin = func() { p.from.sender.sendNow(l.now()) }
		back := p.to.sender.streams[0]
		back.reply = func(int64) { p.from.sender.sendNow(l.now()) }
		p.from.sender.streams[0].retry = p.from.begin // a refusal ends a round trip, too
	}
	l.read(bulkRead, l.users...)
	err = b.pass(ctx, l, r.Cell+": warming up", from)
	if err == nil {
		m := startMeter(b.server, l.senders)
		err = b.pass(ctx, l, r.Cell, to)
		m.stop(r)
	}
	b.conclude(l, r, err)
	r.RoundTrip = trips.quantiles()
	b.add(r)
	return nil
}

// roundTrips lets the second of a pair answer each Message of the first. The answer has the time of what it answers.
func (p pair) roundTrips(l *load, size int, trips ...*latencies) {
	there, back := l.stream(p.from, p.to, size, nil), l.stream(p.to, p.from, size, nil)
	l.sender(p.from, 1, there)
	l.sender(p.to, 1, back)
	back.latencies = trips
	there.reply = p.to.sender.sendNow
	back.retry = func() { p.to.sender.sendNow(0) } // the round trip goes on, but is none to measure
}
