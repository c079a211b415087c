package client

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// maxMissed is after how many pings without any word the relay counts as gone, one interval after the last.
const maxMissed = 2

// ping is a Ping of ours that was not answered yet.
type ping struct {
	request
	sent, back time.Time
}

// Ping asks the relay for an answer, and returns how long it took. It may be called before Login.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.options.Unproven {
		return 0, ErrNoHello
	}
	l := c.link
	if err := c.greet(ctx, l); err != nil {
		return 0, err
	}
	var f frames.Ping
	_, _ = rand.Read(f[:]) // it never fails
	p := &ping{}
	if l.err == nil {
		l.pings[f] = p
		defer delete(l.pings, f)
		c.post(l, f, &p.request)
	}
	err := c.await(ctx, func() bool { return !p.back.IsZero() || p.err != nil || l.err != nil })
	switch {
	case err != nil:
		return 0, err
	case p.back.IsZero() && p.err != nil:
		return 0, p.err
	case p.back.IsZero():
		return 0, l.err
	}
	return p.back.Sub(p.sent), nil
}

// ponged takes a Pong. One that nobody asked for is ignored. The lock is held.
func (c *Client) ponged(l *link, now time.Time, f frames.Pong) {
	if p := l.pings[frames.Ping(f)]; p != nil && !p.sent.IsZero() {
		delete(l.pings, frames.Ping(f))
		delete(l.asked, p.number)
		p.back = now
		c.rang.ring()
	}
}

// watch pings a relay from which nothing comes, and gives it up if that does not help. It returns when to look again. The
// lock is held.
func (c *Client) watch(l *link, now time.Time) (next time.Time) {
	interval := l.relay.PingInterval
	if !l.greeted || interval <= 0 {
		return now.Add(forever)
	}
	due := l.heardAt.Add(time.Duration(l.missed+1) * interval)
	if now.Before(due) {
		return due
	}
	if l.missed == maxMissed {
		c.end(l, ErrNoAnswer)
		_ = l.conn.Close()
		return now
	}
	l.missed++
	c.post(l, frames.Ping{}, nil) // whatever is answered will do
	return due.Add(interval)
}
