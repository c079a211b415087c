package main

import (
	"context"
	"errors"
	"fmt"
)

// pair is a sender and a receiver who have a session.
type pair struct{ from, to *user }

// pair adds a pair to a load.
func (b *bench) pair(ctx context.Context, l *load) (p pair, err error) {
	if p.from, err = b.join(ctx, l, b.KeyBits); err != nil {
		return p, err
	}
	if p.to, err = b.join(ctx, l, b.ReceiverKeyBits); err != nil {
		return p, err
	}
	return p, b.meet(ctx, p.from, p.to)
}

// pairs adds so many pairs.
func (b *bench) pairs(ctx context.Context, l *load, n int) (all []pair, err error) {
	for range n {
		p, err := b.pair(ctx, l)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// oneWay lets the first of a pair send to the second.
func (p pair) oneWay(l *load, size, window int) *sender {
	return l.sender(p.from, window, l.stream(p.from, p.to, size, nil))
}

// saturate runs a load whose senders are all saturated, and measures it.
func (b *bench) saturate(ctx context.Context, l *load, t timing, r *result) {
	l.read(bulkRead, l.users...)
	l.send(l.senders...)
	err := b.pass(ctx, l, r.Cell+": warming up", l.now()+int64(t.Warmup))
	if err == nil {
		m := startMeter(b.server, l.senders)
		err = b.pass(ctx, l, r.Cell, l.now()+int64(t.Duration))
		m.stop(r)
	}
	b.conclude(l, r, err)
}

// conclude stops a load that one result is about, and writes into it what became of everything.
func (b *bench) conclude(l *load, r *result, err error) {
	b.progress.say(r.Cell + ": waiting for what is under way")
	l.stop()
	r.Account = settleAccount(l.senders)
	b.remark(l, r, err)
}

// remark writes into a result what else there is to be said about a load that has stopped, and why it did, if it should not
// have.
func (b *bench) remark(l *load, r *result, err error) {
	r.Account.Bad += l.bad.Load()
	if err == nil || errors.Is(err, context.Canceled) {
		select {
		case err = <-l.broken:
		default:
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		r.Error = err.Error()
	}
	r.note(l.faults())
	if len(r.Account.Refused) > 0 {
		r.note("refused: " + r.Account.byCode())
	}
}

// sized names a size, such as "16 KiB".
func sized(bytes int) string {
	if bytes >= 1<<10 && bytes%(1<<10) == 0 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d B", bytes)
}
