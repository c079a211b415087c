package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// siege is one round of a cell: a chat, alone and then beside a flood.
type siege struct {
	*load
	bench  *bench
	floods *floods
	cell   cell
	flood  flood
	attack attack
	ends   time.Time // when the flood is to be over

	chat          []*sender
	victims       []*sender // who chat with somebody at a low rate
	talk          *pace     // the chat's
	planned       []*pace   // that, and of whoever else has one
	alone, beside *result
	more          []*result // rows of the flood's own
	before        *latencies
	during        *latencies
	victimTook    *latencies
	// By how much senders missed their times: that is our fault, not the relay's.
	missedBefore, missedDuring *latencies
}

// round runs one round, and returns its rows.
func (c *floods) round(ctx context.Context, b *bench, cell cell) ([]*result, error) {
	s := c.siege(b, cell)
	defer s.close()
	if !cell.quiet {
		all, err := b.pairs(ctx, s.load, c.Pairs)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			s.chat = append(s.chat, p.oneWay(s.load, c.Size, 0))
		}
	}
	if err := s.flood.enter(ctx, s); err != nil {
		return nil, err
	}
	s.run(ctx)
	return append([]*result{s.alone, s.beside}, s.more...), nil
}

// siege begins a round.
func (c *floods) siege(b *bench, cell cell) *siege {
	s := &siege{load: b.load(), bench: b, floods: c, cell: cell, flood: cell.flood()}
	names := [2]string{"alone", "beside"}
	if cell.quiet {
		names = [2]string{"idle", "the flood"}
	}
	s.alone, s.beside = s.row(names[0], c.Size), s.row(names[1], c.Size)
	s.beside.tally = &tally{}
	s.dial = func(ctx context.Context, nth int) (net.Conn, error) { return b.reach(ctx, c.home(b, nth)) }
	round := c.begun
	c.begun++
	s.attack = attack{tally: s.beside.tally, connect: func(ctx context.Context, nth int) (net.Conn, error) {
		return b.reach(ctx, c.lair(b, round, nth, cell.addresses))
	}}
	if !manyAddresses(b.Relay) {
		s.beside.note("everybody came from the same address")
	}
	if limit := b.server.descriptorLimit(); limit > 0 && limit < cell.atOnce {
		s.beside.note(fmt.Sprintf("the relay may have only %d files open; see ulimit -n", limit))
	}
	return s
}

// row begins a row.
func (s *siege) row(name string, size int) *result {
	r := &result{Command: "floods", Cell: s.cell.name + ": " + name}
	if !s.cell.quiet {
		r.Users, r.SizeBytes = 2*s.floods.Pairs, size
	}
	return r
}

// run lets everybody chat, then the flood pour, and measures.
func (s *siege) run(ctx context.Context) {
	defer oneMoreProcessor()()
	begin := s.now() + int64(lead)
	from := begin + int64(s.floods.Warmup)
	to := from + int64(s.floods.alone(s.cell))
	s.plan(begin, from, to)
	s.read(bulkRead, s.users...)
	for _, p := range s.planned {
		for _, sender := range p.among {
			s.send(sender)
		}
		s.follow(p)
	}
	err := s.bench.pass(ctx, s.load, s.alone.Cell+": warming up", from)
	if err == nil {
		err = s.measure(s.alone, func() error { return s.bench.pass(ctx, s.load, s.alone.Cell, to) })
	}
	if err == nil {
		err = s.measure(s.beside, func() error { return s.pour(ctx) })
	}
	for _, l := range []*latencies{s.during, s.missedDuring, s.victimTook} {
		l.until(s.now())
	}
	if err == nil {
		err = s.settleDown(ctx)
	}
	s.conclude(err)
}

// plan plans the chat. It goes on until the load stops.
func (s *siege) plan(begin, from, to int64) {
	end := to + int64(s.most()+s.floods.Settle+answerTime)
	s.before, s.missedBefore = newLatencies(from, to), newLatencies(from, to)
	s.during, s.missedDuring = newLatencies(to, end), newLatencies(to, end)
	s.victimTook = newLatencies(to, end)
	if len(s.chat) > 0 {
		s.alone.Offered, s.beside.Offered = s.floods.Rate, s.floods.Rate
		s.talk = s.schedule(begin, end, s.floods.Rate, s.chat...)
		s.talk.late = []*latencies{s.missedBefore, s.missedDuring}
	}
	for _, sender := range s.chat {
		sender.streams[0].latencies = []*latencies{s.before, s.during}
	}
	for _, sender := range s.victims {
		s.schedule(begin, end, victimRate, sender)
		sender.streams[0].latencies = []*latencies{s.victimTook}
	}
}

// schedule plans so many Messages a second of these senders.
func (s *siege) schedule(from, to int64, rate float64, senders ...*sender) *pace {
	p := newPace(rate, from, to)
	for _, sender := range senders {
		p.share(sender)
	}
	s.planned = append(s.planned, p)
	return p
}

// most returns how long the flood may take, whatever the relay does.
func (s *siege) most() time.Duration { return s.cell.lasts + s.cell.overtime + answerTime }

// pour lets the flood pour until it is over.
func (s *siege) pour(ctx context.Context) error {
	during, over := context.WithCancel(ctx)
	defer over()
	s.ends = time.Now().Add(s.cell.lasts)
	poured := make(chan error)
	go func() { // ends with the flood, and that with during, if not before
		err := s.flood.pour(during, s)
		over()
		poured <- err
	}()
	err := s.bench.pass(during, s.load, s.beside.Cell, s.now()+int64(s.most()))
	over()
	if errors.Is(err, context.Canceled) {
		err = ctx.Err()
	}
	return errors.Join(err, <-poured)
}

// measure measures an interval, for as long as something lasts.
func (s *siege) measure(r *result, during func() error) error {
	m, top := startMeter(s.bench.server, s.chat), s.bench.server.watch()
	err := during()
	theirs, _ := m.basics(r)
	r.Busy = 100 * theirs.Seconds() / r.Seconds
	r.RSS, r.Files = top.stop()
	return err
}

// enoughMemory is how much more memory the relay may have than before, in MiB, to be as before.
const (
	enoughMemory = 4
	settleLook   = 100 * time.Millisecond
)

// settleDown waits until the relay's memory and open files are as before, and notes after how long they were.
func (s *siege) settleDown(ctx context.Context) error {
	r, began := s.beside, time.Now()
	for memory, files := s.bench.server == nil, s.alone.Files == 0; !memory || !files; {
		if err := s.bench.pass(ctx, s.load, r.Cell+": until it is as before", s.now()+int64(settleLook)); err != nil {
			return err
		}
		since := time.Since(began)
		late := since >= s.floods.Settle
		now, _ := s.bench.server.memory()
		open := s.bench.server.descriptors()
		if !memory {
			r.RSSAfter, r.RSSBack = float64(now)/mib, since.Seconds()
			memory = late || r.RSSAfter <= s.alone.RSS+enoughMemory
		}
		if !files {
			r.Left, r.FilesBack = float64(open), since.Seconds()
			files = late || r.Left <= s.alone.Files
		}
	}
	return nil
}

// conclude stops everything, and says what became of it.
func (s *siege) conclude(err error) {
	s.bench.progress.say(s.beside.Cell + ": waiting for what is under way")
	s.stop()
	s.beside.Account = settleAccount(s.chat)
	s.bench.remark(s.load, s.beside, err)
	if s.talk != nil {
		s.beside.Unsent = s.talk.owed(s.during, s.now())
	}
	s.alone.OneWay, s.beside.OneWay = s.before.quantiles(), s.during.quantiles()
	s.alone.Lateness, s.beside.Lateness = s.missedBefore.quantiles(), s.missedDuring.quantiles()
	if before, after := s.alone.OneWay, s.beside.OneWay; before != nil && after != nil {
		s.beside.P50Ratio, s.beside.P99Ratio = after.P50/before.P50, after.P99/before.P99
	}
	s.beside.Busier = max(0, s.beside.Busy-s.alone.Busy)
	s.flood.tell(s, err)
}
