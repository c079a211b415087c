package client

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// take acts on a frame of the relay's. An error ends the connection. The lock is held, as in all of this file.
func (c *Client) take(l *link, now time.Time, f frames.Frame, raw frames.Raw) error {
	l.heardAt, l.missed = now, 0
	if raw.Type.Carries() && !l.loggedIn {
		c.trouble(nil, ErrUnasked)
		return nil
	}
	switch f := f.(type) {
	case frames.LoginAccepted:
		c.enteredBy(l)
	case frames.StartSession:
		if err := c.requested(now, f); err != nil {
			c.trouble(f.Peer, err)
		}
	case frames.AcceptSession:
		if err := c.accepted(now, f); err != nil {
			c.trouble(f.Peer, err)
		}
	case frames.Message:
		c.heard(now, f)
	case frames.Error:
		return c.refused(l, now, f)
	case frames.Welcome:
		return c.welcomed(l, f, raw.Payload)
	default:
		if l.greeted {
			c.extension(l, now, f)
		}
	}
	return nil
}

// maxPosted is how many frames may wait to be written to a relay that asks for more of them and does not read.
const maxPosted = 1024

// extension acts on a frame that a relay sends only to who said Hello.
func (c *Client) extension(l *link, now time.Time, f frames.Frame) {
	switch f := f.(type) {
	case frames.Ping:
		if len(l.outbox) < maxPosted {
			c.post(l, frames.Pong(f), nil)
		}
	case frames.Pong:
		c.ponged(l, now, f)
	case frames.EndSession:
		c.left(f)
	case frames.Presence:
		c.present(f)
	case frames.Restarting:
		l.restarting = &Restarting{
			In:         time.Duration(f.ReconnectIn) * time.Millisecond,
			KeepTrying: time.Duration(f.KeepTryingFor) * time.Millisecond,
		}
		c.add(*l.restarting)
	}
}

// requested takes a peer's request for a session.
func (c *Client) requested(now time.Time, f frames.StartSession) error {
	p, err := c.peer(f.Peer)
	if err != nil {
		return err
	}
	defer c.tidy(p)
	body, err := p.ends.Unseal(f.Sealed)
	if err != nil {
		return err
	}
	r, err := p.ends.Open(body)
	if err != nil {
		return err
	}
	if err := c.seen.check(now, r); err != nil {
		return err
	}
	p.request, p.came = r, now
	switch {
	case p.calls == 0:
		c.announce(p, r)
	case !p.crossed(now) || !p.ends.SmallerFingerprint():
		_, err = c.accept(p) // who asks for a session agrees to one; of two requests that cross, this one counts
	}
	return err
}

// accepted takes a peer's answer to a request of ours.
func (c *Client) accepted(now time.Time, f frames.AcceptSession) error {
	p := c.peers[string(f.Peer)]
	switch {
	case p == nil || len(p.starts) == 0:
		return ErrUnasked
	case p.justAccepted(now) && !p.ends.SmallerFingerprint():
		return nil // acceptances that cross, too: the peer's request counts, which we have accepted
	}
	keys, err := p.finish(f.Sealed)
	switch {
	case err == nil:
		c.open(p, newSession(c, p, keys, true))
		return nil
	case errors.Is(err, e2e.ErrWrongStart):
		return err // what was asked last may still be answered
	}
	for _, a := range p.starts {
		a.request.err = err
	}
	p.starts = nil
	c.rang.ring()
	if p.calls > 0 {
		return nil // it is the call's error
	}
	return err
}

// finish returns the keys of an answer to one of our requests. The error is ErrWrongStart if it answers none of them.
func (p *peer) finish(sealed []byte) (*e2e.Keys, error) {
	body, err := p.ends.Unseal(sealed)
	if err != nil {
		return nil, err
	}
	for _, a := range p.starts {
		if keys, err := a.start.Finish(body); !errors.Is(err, e2e.ErrWrongStart) {
			return keys, err
		}
	}
	return nil, e2e.ErrWrongStart
}

// heard takes a record: of the session, or of one that we accepted and that it opens.
func (c *Client) heard(now time.Time, f frames.Message) {
	p := c.peers[string(f.Peer)]
	if p == nil || p.session == nil && len(p.accepted) == 0 {
		c.trouble(f.Peer, ErrUnasked)
		c.disown(p, f.Peer)
		return
	}
	var err error
	if p.session != nil {
		opened := false
		if opened, err = p.session.hear(now, f.Body); opened || p.session.talk.stray() {
			return // stray: of an older session, perhaps
		}
	}
	for _, a := range p.accepted {
		e := a.session.talk.hear(now, f.Body)
		if e == nil {
			c.open(p, a.session)
			return
		}
		err = cmp.Or(err, e)
	}
	for _, a := range slices.Clone(p.accepted) { // the relay could have us try for ever
		a.request.err = err
		c.withdraw(p, a.request)
	}
	if p.session != nil {
		p.session.fail(err)
	}
	c.rang.ring()
}

// refused takes an Error.
func (c *Client) refused(l *link, now time.Time, f frames.Error) error {
	refused := &Refused{Code: f.Code, Request: f.Request, Text: f.Text}
	if f.Number == 0 || f.Code.Closes() {
		return refused
	}
	if r := l.asked[f.Number]; r != nil {
		r.err = refused
		delete(l.asked, f.Number)
		if r.peer != nil {
			refused.Peer = r.peer.key
			c.withdraw(r.peer, r)
		}
		c.rang.ring()
		return nil
	}
	if s := c.sentIn(f.Number); s != nil {
		refused.Peer = s.peer.key
		s.refused(now, f.Number, refused)
		return nil
	}
	c.trouble(nil, refused)
	return nil
}

// sentIn returns the session of which a record went out in this frame. It may be over.
func (c *Client) sentIn(frame uint64) *Session {
	for _, s := range c.sessions {
		if s.talk.out.sentIn(frame) {
			return s
		}
	}
	for _, p := range c.peers {
		if p.session != nil && p.session.talk.out.sentIn(frame) {
			return p.session
		}
	}
	return nil
}
