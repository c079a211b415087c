package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flatOut is a user who sends to an accomplice, who reads everything, as much as the relay takes.
type flatOut struct {
	messages uint64
	from     *sender // nil if the relay did not let the two in
	took     time.Duration
}

const (
	flatOutSize  = 1 << 10
	flatOutLasts = time.Minute // at most
	megabyte     = 1_000_000
)

func (c *floods) flatOut() cell {
	flood := func() flood {
		return &flatOut{messages: uint64(c.Megabytes) * megabyte / flatOutSize} //nolint:gosec // the flag allows no negative one
	}
	return cell{name: "flat-out", flood: flood, lasts: flatOutLasts, addresses: 1, atOnce: 2}
}

// enter lets the two in. If the relay refuses that, it is its right.
func (f *flatOut) enter(ctx context.Context, s *siege) error {
	s.dial = s.attack.connect
	before := len(s.users)
	p, err := s.bench.pair(ctx, s.load)
	for _, u := range s.users[before:] {
		u.mayEnd = true
	}
	r, refused := errors.AsType[*refusal](err)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return err
	case refused:
		s.attack.tally.count("not let in: "+r.Code.String(), 1)
		return nil
	default:
		s.attack.tally.count(notConnected, 1)
		return nil
	}
	s.attack.tally.count("with a session", 1)
	f.from = p.oneWay(s.load, flatOutSize, 0)
	f.from.hasty = true
	return nil
}

// pour ends when everything has arrived or was refused, or somebody is gone.
func (f *flatOut) pour(ctx context.Context, s *siege) error {
	if f.from == nil {
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, s.ends)
	defer cancel()
	began, due := time.Now(), s.now()
	p := newPace(float64(time.Second), due, due+int64(f.messages)) //nolint:gosec // far less. All of it is due at once
	p.share(f.from)
	s.follow(p)
	s.send(f.from)
	from, to := f.from.user, f.from.streams[0].to
	waitFor(ctx, func() bool { return f.from.settled.Load() >= f.messages || from.ended.Load() || to.ended.Load() })
	f.took = time.Since(began)
	_ = from.conn.Close() // what is not sent yet would be sent beside nothing
	return nil
}

func (f *flatOut) tell(s *siege, _ error) {
	if f.from == nil || f.took == 0 {
		return
	}
	r := s.row("the flood", flatOutSize)
	r.Account = settleAccount([]*sender{f.from})
	r.Users, r.Seconds = 2, f.took.Seconds()
	r.Messages = float64(r.Account.Delivered) / r.Seconds
	r.BodyMB = r.Messages * flatOutSize / megabyte
	r.Unsent = f.messages - f.from.sent.Load()
	if r.Unsent > 0 {
		r.note(fmt.Sprintf("%s Messages were due, but the relay did not take them in time", grouped(r.Unsent)))
	}
	if reason := f.from.user.reason; reason != nil && f.from.user.lastWord != "" {
		r.note(fmt.Sprintf("the flooding sender: %v", reason))
	}
	s.more = append(s.more, r)
}
