package main

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// idle is the command of that name.
type idle struct {
	Connections int           `help:"How many (${default})." short:"n" default:"1000" placeholder:"N"`
	Duration    time.Duration `help:"How long they stay before the relay's memory is read (${default})." default:"1s" placeholder:"TIME"`
}

const (
	mostConnections = 1 << 20
	atOnce          = 16 // so many log in at the same time
)

// Validate implements kong.Validatable.
func (c *idle) Validate() error {
	return cmp.Or(within("--connections", c.Connections, 1, mostConnections), atLeast("--duration", c.Duration, time.Millisecond))
}

func (c *idle) measure(ctx context.Context, b *bench) error {
	l := b.load()
	defer l.close()
	r := &result{Command: "idle", Cell: fmt.Sprintf("idle %s", grouped(uint64(c.Connections))), Account: &account{}} //nolint:gosec // a flag that is positive
	before, _ := b.server.memory()
	began, used := time.Now(), b.server.cpu()
	err := c.enterAll(ctx, b, l)
	n := float64(len(l.users))
	r.Users = len(l.users)
	r.Logins = n / time.Since(began).Seconds()
	if err != nil {
		if ctx.Err() != nil {
			b.add(r)
		}
		return fmt.Errorf("after %s logins: %w", grouped(uint64(len(l.users))), err)
	}
	r.LoginCPU = micros(b.server.cpu()-used) / n
	l.read(modestRead, l.users...)
	err = b.pass(ctx, l, r.Cell, l.now()+int64(c.Duration))
	now, peak := b.server.memory()
	r.RSS, r.PeakRSS, r.Connection = float64(now)/mib, float64(peak)/mib, float64(now-before)/1024/n
	l.stop()
	b.remark(l, r, err)
	b.add(r)
	return nil
}

// enterAll logs the users in, several at a time.
func (c *idle) enterAll(ctx context.Context, b *bench, l *load) error {
	b.progress.say("logging in")
	var next atomic.Int64
	var workers sync.WaitGroup
	var mu sync.Mutex
	var failed error
	enter := func() (more bool) {
		n := int(next.Add(1) - 1)
		if n >= c.Connections || ctx.Err() != nil {
			return false
		}
		u, err := l.enter(ctx, n, b.KeyBits)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			l.users = append(l.users, u)
			return true
		}
		next.Store(int64(c.Connections)) // the others need not try
		if failed == nil {
			failed = explainLogin(b.Relay, err)
		}
		return false
	}
	for range min(atOnce, c.Connections) {
		workers.Go(func() { // ends when all are logged in, or with the first that is not
			for enter() {
			}
		})
	}
	workers.Wait()
	if failed != nil {
		return failed
	}
	return ctx.Err()
}
