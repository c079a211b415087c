package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

const (
	// The pauses between attempts to connect again are random, from nothing up to a bound that doubles from the first to the
	// last: when a relay comes back, its clients do not come all at once.
	firstBound, lastBound = 250 * time.Millisecond, 30 * time.Second
	// attempting is how long an attempt may take.
	attempting = 20 * time.Second
	// steady is how long a connection must have held for the pauses to begin anew.
	steady = 30 * time.Second
)

// Restarting is an event: the relay says that it will be away for a moment. A client that connects again does so In, and
// tries for KeepTrying, even if Options.Reconnect is less.
type Restarting struct{ In, KeepTrying time.Duration }

// Reconnecting is an event: the connection broke, or could not be made again, because of Err; the next attempt is made In.
type Reconnecting struct {
	Err error
	In  time.Duration
}

// Reconnected is an event: the client is logged in again. Sessions go on, but requests for one have to be made again.
type Reconnected struct{}

func (Restarting) about() frames.Key { return nil }

func (Reconnecting) about() frames.Key { return nil }

func (Reconnected) about() frames.Key { return nil }

// mayReconnect reports whether to connect again after this. The lock is held.
func (c *Client) mayReconnect(err error) bool {
	return c.dials && c.entered && c.options.Reconnect > 0 && c.err == nil && !c.closing && !final(err)
}

// final reports whether it would be wrong, or of no use, to connect again by oneself.
func final(err error) bool {
	if refused, ok := errors.AsType[*Refused](err); ok {
		switch refused.Code { //nolint:exhaustive // whatever else was refused may pass
		case frames.Replaced, frames.ProofInvalid, frames.NotAllowed, frames.ProofRequired, frames.BadKey:
			return true
		}
	}
	if _, wrong := errors.AsType[*WrongRelay](err); wrong {
		return true
	}
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	return unverified || errors.Is(err, ErrOldRelay) || errors.Is(err, ErrClosed)
}

// backoff says when to try again.
type backoff struct {
	bound     time.Duration // of the next pause
	announced time.Duration // the next pause, if the relay said one
	until     time.Time     // when to give up
}

// broke begins anew, because a connection on which we were logged in has ended.
func (b *backoff) broke(now time.Time, patience time.Duration, held time.Duration, announced *Restarting) {
	if held >= steady || b.bound == 0 {
		b.bound = firstBound
	}
	b.until = now.AddDate(1000, 0, 0)
	if patience < Forever {
		b.until = now.Add(patience)
	}
	if announced == nil {
		return
	}
	b.announced = announced.In // which the relay has made different for each client
	if until := now.Add(announced.KeepTrying); until.After(b.until) {
		b.until = until
	}
}

// next returns the next pause.
func (b *backoff) next() (wait time.Duration) {
	if wait, b.announced = b.announced, 0; wait > 0 {
		return wait
	}
	wait = rand.N(b.bound) //nolint:gosec // so that clients do not come in step
	b.bound = min(2*b.bound, lastBound)
	return wait
}

// reconnect connects again whenever the connection has ended, for as long as that may help.
func (c *Client) reconnect(l *link) {
	var b backoff
	err := l.err
	for began := time.Now(); ; {
		if now := time.Now(); l != nil {
			b.broke(now, c.options.Reconnect, now.Sub(began), l.restarting)
		}
		if !c.goesOn(err, b.next(), b.until) {
			return
		}
		began = time.Now()
		l, err = c.attempt()
	}
}

// goesOn waits before the next attempt, and reports whether there is to be one. If not, the client has ended.
func (c *Client) goesOn(failed error, wait time.Duration, until time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
		failed = ErrClosed
	case c.mayReconnect(failed) && time.Now().Add(wait).Before(until):
		c.add(Reconnecting{Err: failed, In: wait})
		c.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.closed.Done():
			timer.Stop()
			failed = ErrClosed
		}
		c.mu.Lock()
		if !c.closing {
			return true
		}
	}
	c.fail(failed)
	return false
}

// attempt connects, logs in, and returns when that connection has ended; the link is nil if it came to no login.
func (c *Client) attempt() (*link, error) {
	ctx, cancel := context.WithTimeout(c.closed, attempting)
	defer cancel()
	conn, err := c.options.connect(ctx, c.address)
	if err != nil {
		return nil, err
	}
	l := newLink(conn)
	ended := make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	go func() { // ends with the connection
		defer close(ended)
		c.serve(l)
	}()
	if err = c.enter(ctx, l); err != nil {
		_ = conn.Close()
	}
	c.mu.Unlock()
	<-ended
	c.mu.Lock()
	if err != nil {
		return nil, err
	}
	return l, l.err
}

// resume goes on with the sessions, on a new connection. The lock is held.
func (c *Client) resume() {
	now := time.Now()
	for _, s := range c.sessions {
		s.talk.resume(now)
	}
	c.add(Reconnected{})
}
