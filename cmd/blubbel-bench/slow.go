package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"
)

// slow is the command of that name.
type slow struct {
	Pairs     int     `help:"How many pairs (${default})." short:"n" default:"4" placeholder:"N"`
	FloodRate float64 `help:"Messages a second that are offered to the receiver that does not read (${default})." default:"20000" placeholder:"N"`
	FloodSize int     `help:"Size of their bodies in bytes (${default})." default:"1024" placeholder:"BYTES"`
	bodies
	saturation
	timing
}

// Validate implements kong.Validatable.
func (c *slow) Validate() error {
	var rate error
	if c.FloodRate <= 0 || c.FloodRate > mostRate {
		rate = fmt.Errorf("--flood-rate is %g; it must be above 0, and at most %g", c.FloodRate, mostRate)
	}
	return cmp.Or(within("--pairs", c.Pairs, 1, mostPairs), rate, within("--flood-size", c.FloodSize, leastBody, mostBody),
		c.bodies.validate(), c.saturation.validate(), c.timing.validate())
}

const (
	// deafBuffer is what the operating system may keep for the receiver that does not read: little, so that it is the relay
	// that has to deal with the flood. When it reads at last it may keep more: below the size of a packet, which on loopback
	// is 64 KiB, TCP comes forward by a few packets a second.
	deafBuffer    = 64 << 10
	hearingBuffer = 1 << 20
	// longestFill is for how long, at most, the flood may fill what there is to fill before its effect is measured.
	longestFill = time.Second
)

// slowLoad is a load of the command slow, and its three results.
type slowLoad struct {
	*load
	crowd                []*sender // of the pairs
	flood                *sender
	deaf                 *user
	alone, beside, spilt *result
}

func (c *slow) measure(ctx context.Context, b *bench) error {
	l, err := c.setUp(ctx, b)
	defer l.close()
	if err != nil {
		return err
	}
	defer oneMoreProcessor()()
	l.read(bulkRead, l.users[:len(l.users)-1]...) // the last is deaf
	l.send(l.crowd...)
	err = b.pass(ctx, l.load, l.alone.Cell+": warming up", l.now()+int64(c.Warmup))
	if err == nil {
		m := startMeter(b.server, l.crowd)
		err = b.pass(ctx, l.load, l.alone.Cell, l.now()+int64(c.Duration))
		m.stop(l.alone)
	}
	if err == nil {
		err = c.pour(ctx, b, l)
	}
	readBuffer(l.deaf.conn, hearingBuffer)
	l.read(bulkRead, l.deaf)
	b.progress.say(l.spilt.Cell + ": reading at last")
	l.stop()
	l.beside.Account, l.spilt.Account = settleAccount(l.crowd), settleAccount([]*sender{l.flood})
	b.remark(l.load, l.beside, err)
	c.tell(l)
	b.add(l.alone, l.beside, l.spilt)
	return nil
}

// setUp logs everybody in. The load is there to be closed even if that fails.
func (c *slow) setUp(ctx context.Context, b *bench) (*slowLoad, error) {
	cell := fmt.Sprintf("slow %d, %s: ", c.Pairs, sized(c.Size))
	row := func(name string, size, window int) *result {
		return &result{Command: "slow", Cell: cell + name, Users: 2*c.Pairs + 2, SizeBytes: size, Window: window}
	}
	l := &slowLoad{
		load: b.load(), alone: row("alone", c.Size, c.of(c.Size)), beside: row("beside the flood", c.Size, c.of(c.Size)),
		spilt: row("the flood", c.FloodSize, 0),
	}
	all, err := b.pairs(ctx, l.load, c.Pairs)
	if err != nil {
		return l, err
	}
	for _, p := range all {
		l.crowd = append(l.crowd, p.oneWay(l.load, c.Size, c.of(c.Size)))
	}
	p, err := b.pair(ctx, l.load)
	if err != nil {
		return l, err
	}
	readBuffer(p.to.conn, deafBuffer)
	p.from.mayEnd, p.to.mayEnd = true, true
	l.deaf, l.flood = p.to, p.oneWay(l.load, c.FloodSize, 0)
	l.flood.hasty = true
	return l, nil
}

// readBuffer says how much the operating system may keep of what arrives and is not read yet. It is no more than a wish.
func readBuffer(conn net.Conn, bytes int) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(bytes)
	}
}

// pour lets the flood begin, and measures the pairs beside it.
func (c *slow) pour(ctx context.Context, b *bench, l *slowLoad) error {
	from := l.now() + int64(min(c.Duration, longestFill))
	to := from + int64(c.Duration)
	p := newPace(c.FloodRate, l.now(), to)
	p.share(l.flood)
	l.follow(p)
	l.send(l.flood)
	l.spilt.Offered = c.FloodRate
	if err := b.pass(ctx, l.load, l.beside.Cell+": filling", from); err != nil {
		return err
	}
	m := startMeter(b.server, l.crowd)
	err := b.pass(ctx, l.load, l.beside.Cell, to)
	m.stop(l.beside)
	l.beside.Growth = l.beside.RSS - l.alone.RSS
	l.beside.Ratio = l.beside.Messages / l.alone.Messages
	return err
}

// tell says what became of the flood, once the load has stopped.
func (c *slow) tell(l *slowLoad) {
	l.spilt.Unsent = l.flood.due.Load() - l.flood.sent.Load()
	l.spilt.note(l.spilt.Account.sum())
	if l.spilt.Unsent > 0 {
		l.spilt.note(fmt.Sprintf("%s more were due, but the relay did not take them in time", grouped(l.spilt.Unsent)))
	}
	if reason := l.flood.user.reason; reason != nil {
		l.spilt.note(fmt.Sprintf("the flooding sender: %v", reason))
	}
	if reason := l.deaf.reason; reason != nil {
		l.spilt.note(fmt.Sprintf("the receiver that did not read: %v", reason))
	}
}
