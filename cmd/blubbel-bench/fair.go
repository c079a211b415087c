package main

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// fair is the command of that name.
type fair struct {
	Every     time.Duration `help:"Time from one round trip of the chatting pair to the next (${default})." default:"10ms" placeholder:"TIME"`
	FloodSize int           `help:"Size of the flooding pair's bodies in bytes (${default})." default:"1024" placeholder:"BYTES"`
	bodies
	saturation
	timing
}

// Validate implements kong.Validatable.
func (c *fair) Validate() error {
	return cmp.Or(atLeast("--every", c.Every, 100*time.Microsecond), within("--flood-size", c.FloodSize, leastBody, mostBody),
		c.bodies.validate(), c.saturation.validate(), c.timing.validate())
}

// fairLoad is a load of the command fair, and its three results.
type fairLoad struct {
	*load
	chat, flood           pair
	alone, beside, poured *result
}

func (c *fair) measure(ctx context.Context, b *bench) error {
	row := func(name string, size int) *result {
		return &result{Command: "fair", Cell: "fair: " + name, Users: 4, SizeBytes: size}
	}
	l := fairLoad{
		load: b.load(), alone: row("alone", c.Size), beside: row("beside a flood", c.Size), poured: row("the flood", c.FloodSize),
	}
	defer l.close()
	all, err := b.pairs(ctx, l.load, 2)
	if err != nil {
		return err
	}
	l.chat, l.flood = all[0], all[1]
	c.run(ctx, b, l)
	if l.alone.RoundTrip != nil && l.beside.RoundTrip != nil {
		times := l.beside.RoundTrip.P50 / l.alone.RoundTrip.P50
		l.beside.note(fmt.Sprintf("the median round trip takes %s times as long as alone", figure(times)))
	}
	b.add(l.alone, l.beside, l.poured)
	return nil
}

// run runs the load, and fills in the results.
func (c *fair) run(ctx context.Context, b *bench, l fairLoad) {
	defer oneMoreProcessor()()
	l.poured.Window = c.of(c.FloodSize)
	flood := []*sender{l.flood.oneWay(l.load, c.FloodSize, l.poured.Window)}
	p, alone, beside := c.plan(l.load, l.chat)
	l.read(bulkRead, l.users...)
	l.send(l.chat.from.sender)
	l.follow(p)
	err := b.pass(ctx, l.load, l.alone.Cell, alone.to)
	if err == nil {
		l.send(flood...)
		err = b.pass(ctx, l.load, l.beside.Cell+": warming up", beside.from)
	}
	if err == nil {
		m := startMeter(b.server, flood)
		err = b.pass(ctx, l.load, l.beside.Cell, beside.to)
		m.stop(l.poured)
	}
	l.stop()
	l.alone.RoundTrip, l.beside.RoundTrip = alone.quantiles(), beside.quantiles()
	l.alone.Lateness, l.beside.Lateness = p.late[0].quantiles(), p.late[1].quantiles()
	l.alone.Offered, l.beside.Offered = 1/c.Every.Seconds(), 1/c.Every.Seconds()
	l.poured.Account = settleAccount(flood)
	l.beside.Account = settleAccount([]*sender{l.chat.from.sender, l.chat.to.sender})
	b.remark(l.load, l.beside, err)
}

// plan plans the round trips of the chatting pair, alone and then beside the flood, each after a warm-up.
func (c *fair) plan(l *load, chat pair) (p *pace, alone, beside *latencies) {
	begin := l.now() + int64(lead)
	interval := func(after int64) (from, to int64) {
		from = after + int64(c.Warmup)
		return from, from + int64(c.Duration)
	}
	alone = newLatencies(interval(begin))
	beside = newLatencies(interval(alone.to))
	chat.roundTrips(l, c.Size, alone, beside)
	p = newPace(1/c.Every.Seconds(), begin, beside.to)
	p.late = []*latencies{newLatencies(alone.from, alone.to), newLatencies(beside.from, beside.to)}
	p.share(chat.from.sender)
	return p, alone, beside
}
