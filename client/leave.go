package client

import (
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// Left is how a session ends of which the relay says that the peer has ended it, or that its connection is gone. That is the
// relay's word, and nobody's signature is on it: what the peer has not confirmed, it may have received or not.
type Left struct{ Reason string } // the peer's words, or the relay's; may be empty, and may hold anything

// disconnected is the relay's reason for the session of a peer who did not prove its login.
const disconnected = "disconnected"

// Error says what the relay says.
func (l *Left) Error() string {
	if l.Disconnected() {
		return "the relay says that the peer's connection has ended"
	}
	return "the relay says that the peer has ended the session"
}

// Disconnected reports whether the peer's connection has ended, rather than that the peer has ended the session.
func (l *Left) Disconnected() bool { return l.Reason == disconnected }

// Decline forgets a user's request for a session (see [Requested]) and has the relay forget it; the user is not told. While a
// session with the user is open the relay is not told either, for that would end it.
func (c *Client) Decline(key frames.Key, reason string) error {
	if len(reason) > frames.MaxReason {
		return ErrTooLong
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[string(key)]
	if p == nil || p.request == nil {
		return ErrNoRequest
	}
	p.request = nil
	c.unannounce(p)
	if c.forgettable(p) && (p.session == nil || p.session.err != nil) {
		c.post(c.link, frames.EndSession{Peer: p.key, Reason: reason}, nil)
	}
	c.tidy(p)
	return nil
}

// forgettable reports whether the relay may be told that there is nothing with this peer, and understands it. The lock is
// held, as in all that follows.
func (c *Client) forgettable(p *peer) bool {
	return c.link.greeted && c.link.loggedIn && len(p.starts) == 0 && len(p.accepted) == 0 && p.request == nil && p.calls == 0
}

// leave takes leave of sessions that have nothing more to say, and, when the client is being closed and all was said, of all:
// the relay would keep them for a while.
func (c *Client) leave(l *link, now time.Time, batch []byte) []byte {
	closing := c.closing && len(batch) == 0
	for _, s := range c.sessions {
		over := closing || s.talk.silent(now) || s.talk.done()
		if over && !s.lost && s.peer.session == s && c.forgettable(s.peer) {
			s.lost = true
			l.number++
			batch = frames.EndSession{Peer: s.peer.key}.Append(batch)
		}
	}
	c.sessions = slices.DeleteFunc(c.sessions, func(s *Session) bool {
		return s.talk.silent(now) || s.lost && s.err != nil
	})
	return batch
}

// left takes the relay's word that a peer has ended what there was with it.
func (c *Client) left(f frames.EndSession) {
	p := c.peers[string(f.Peer)]
	if p == nil {
		return
	}
	err := &Left{Reason: f.Reason}
	for _, r := range p.requests() {
		r.err = err
		c.withdraw(p, r)
	}
	p.request = nil
	c.unannounce(p)
	if p.session != nil {
		p.session.lose(err)
	}
	c.rang.ring()
	c.tidy(p)
}

// disown tells who speaks in a session that we know nothing of, as after a crash of ours, that there is none.
func (c *Client) disown(p *peer, key frames.Key) {
	if c.link.greeted && len(c.link.outbox) < maxPosted && (p == nil || c.forgettable(p)) {
		c.post(c.link, frames.EndSession{Peer: slices.Clone(key)}, nil)
	}
}

// requests are ours that may still come to something.
func (p *peer) requests() (all []*request) {
	for _, a := range p.starts {
		all = append(all, a.request)
	}
	for _, a := range p.accepted {
		all = append(all, a.request)
	}
	return all
}

// interrupt is what becomes of peers when the connection has broken, and is to be made again: requests have ended with it,
// sessions wait.
func (c *Client) interrupt() {
	for _, p := range c.peers {
		for _, r := range p.requests() {
			r.err = c.link.err
			c.withdraw(p, r)
		}
		if p.session != nil {
			p.session.talk.out.forgetFrames()
		}
		p.request = nil
		c.unannounce(p)
		c.tidy(p)
	}
	c.sessions = slices.DeleteFunc(c.sessions, func(s *Session) bool {
		if c.options.Unproven {
			s.lose(ErrSessionLost)
		}
		return s.err != nil
	})
}
