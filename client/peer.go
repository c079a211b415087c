package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// maxStarts is how many of our requests to one peer may still be accepted, and how many of one peer's we may have accepted
// and wait for. Of those that are repeated while the peer takes its time, an older one may be accepted while a newer one
// is on its way.
const maxStarts = 4

// crossing is how long requests that cross may be under way.
const crossing = 5 * time.Second

// peer is what we have with another user.
type peer struct {
	key      frames.Key
	ends     *e2e.Ends
	starts   []asking     // our requests, oldest first
	request  *e2e.Request // the peer's, not accepted yet,
	came     time.Time    // and when it came
	accepted []accepting  // that we accepted, and that the peer has not confirmed
	session  *Session     // the newest that was open
	calls    int          // of StartSession that wait: while there are any, a request of the peer's is welcome
}

type asking struct {
	start   *e2e.Start
	at      time.Time
	request *request
}

// crossed reports whether a request of the peer's that comes now has crossed one of ours: whether the peer asked before it
// heard us. If ours is older, the peer cannot know of it, or it would have accepted it.
func (p *peer) crossed(now time.Time) bool {
	return len(p.starts) > 0 && now.Sub(p.starts[len(p.starts)-1].at) < crossing
}

type accepting struct {
	session *Session
	at      time.Time
	request *request
}

// justAccepted reports whether an acceptance of ours may be crossing one of the peer's.
func (p *peer) justAccepted(now time.Time) bool {
	return len(p.accepted) > 0 && now.Sub(p.accepted[len(p.accepted)-1].at) < crossing
}

// idle reports whether nothing is to be remembered.
func (p *peer) idle() bool {
	return len(p.starts) == 0 && p.request == nil && len(p.accepted) == 0 && p.session == nil && p.calls == 0
}

// peer returns what we have with the user of this key. The lock is held, as in all of this file's unexported methods.
func (c *Client) peer(key frames.Key) (*peer, error) {
	if p := c.peers[string(key)]; p != nil {
		return p, nil
	}
	if !c.entered {
		return nil, ErrNotLoggedIn
	}
	key = slices.Clone(key)
	ends, err := e2e.NewEnds(c.self.private, key)
	if err != nil {
		return nil, err
	}
	p := &peer{key: key, ends: ends}
	c.peers[string(key)] = p
	return p, nil
}

// tidy forgets a peer with whom there is nothing.
func (c *Client) tidy(p *peer) {
	if p.idle() && c.peers[string(p.key)] == p {
		delete(c.peers, string(p.key))
	}
}

// StartSession asks a user for a session and waits until it is open; or accepts the user's own request, if there is one;
// or returns the session that is open already. It is the same session for both if both ask at once. If the relay refuses,
// the error is a *[Refused]: with Unavailable the user is away, and may be asked again after some seconds. The relay does
// not tell when a user leaves that was asked: so give ctx a time limit, and ask again. A request cannot be taken back: if
// it is accepted after ctx has ended, the next StartSession returns that session.
func (c *Client) StartSession(ctx context.Context, key frames.Key) (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.peer(key)
	if err != nil {
		return nil, err
	}
	before := p.session
	if before != nil && before.err == nil {
		return before, nil
	}
	p.calls++
	defer func() { p.calls--; c.tidy(p) }()
	for {
		r, err := c.startOrAccept(ctx, p)
		if err != nil {
			return nil, err
		}
		err = c.await(ctx, func() bool { return p.session != before || r.err != nil })
		switch {
		case p.session != before:
			return p.session, nil
		case err != nil:
			return nil, err
		case takenBack(r.err): // so it is for us to ask
		case IsRefused(r.err, frames.Unavailable) && (p.request != nil || p.justAccepted(time.Now())): // the other's is left
		default:
			return nil, r.err
		}
	}
}

// takenBack reports whether the peer's request, which we accepted, was not there any more.
func takenBack(err error) bool {
	refused, ok := errors.AsType[*Refused](err)
	return ok && refused.Request == frames.TypeAccept && (refused.Code == frames.NoRequest || refused.Code == frames.Offline)
}

func (c *Client) startOrAccept(ctx context.Context, p *peer) (*request, error) {
	if err := c.await(ctx, c.connected); err != nil {
		return nil, err
	}
	switch {
	case p.request != nil:
		return c.accept(p)
	case p.justAccepted(time.Now()):
		return p.accepted[len(p.accepted)-1].request, nil
	case p.calls > 1 && len(p.starts) > 0:
		return p.starts[len(p.starts)-1].request, nil // another call has asked
	}
	return c.start(p)
}

// AcceptSession accepts the request of a user (see [Requested]) and waits until the session is open: until that user has
// shown to be there by a first record. If the request was taken back the error is [ErrNoRequest], or a *[Refused] with
// NoRequest. Give ctx a time limit: the relay may have kept the request for another day.
func (c *Client) AcceptSession(ctx context.Context, key frames.Key) (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[string(key)]
	if p == nil || p.request == nil {
		return nil, ErrNoRequest
	}
	before := p.session
	r, err := c.accept(p)
	if err != nil {
		return nil, err
	}
	err = c.await(ctx, func() bool { return p.session != before || r.err != nil })
	switch {
	case p.session != before && p.session.claimed:
		return nil, ErrReplaced // by a newer request, which another call has accepted
	case p.session != before:
		p.session.claimed = true
		return p.session, nil
	}
	c.giveUp(p, r)
	c.withdraw(p, r)
	if err != nil {
		return nil, err
	}
	return nil, r.err
}

// start sends a request.
func (c *Client) start(p *peer) (*request, error) {
	now := time.Now()
	start, err := p.ends.Start(now)
	if err != nil {
		return nil, err
	}
	sealed, err := p.ends.Seal(start.Body)
	if err != nil {
		return nil, err
	}
	r := &request{peer: p}
	if len(p.starts) == maxStarts {
		delete(c.link.asked, p.starts[0].request.number)
		p.starts[0].start.Forget()
		p.starts[0].request.err = ErrReplaced
		p.starts = p.starts[1:]
	}
	p.starts = append(p.starts, asking{start: start, at: now, request: r})
	c.post(c.link, frames.StartSession{Peer: p.key, Sealed: sealed}, r)
	return r, nil
}

// accept accepts the peer's request.
func (c *Client) accept(p *peer) (*request, error) {
	asked := p.request
	p.request = nil
	body, keys, err := asked.Accept()
	if err != nil {
		return nil, err
	}
	sealed, err := p.ends.Seal(body)
	if err != nil {
		return nil, err
	}
	if s := p.session; s != nil {
		s.talk.suspended = true // the peer may have no use for it any more; if it has, it will say something
	}
	r := &request{peer: p}
	if len(p.accepted) == maxStarts {
		delete(c.link.asked, p.accepted[0].request.number)
		p.accepted[0].request.err = ErrReplaced
		p.accepted = p.accepted[1:]
	}
	p.accepted = append(p.accepted, accepting{session: newSession(c, p, keys, false), at: time.Now(), request: r})
	c.post(c.link, frames.AcceptSession{Peer: p.key, Sealed: sealed}, r)
	return r, nil
}

// giveUp tells the peer, who may take the session for open, that we have given its acceptance up.
func (c *Client) giveUp(p *peer, r *request) {
	for _, a := range p.accepted {
		if a.request == r {
			a.session.fail(ErrGivenUp)
			c.sessions = append(c.sessions, a.session)
		}
	}
}

// withdraw forgets what nothing will come of.
func (c *Client) withdraw(p *peer, r *request) {
	delete(c.link.asked, r.number)
	p.starts = slices.DeleteFunc(p.starts, func(a asking) bool { return a.request == r })
	p.accepted = slices.DeleteFunc(p.accepted, func(a accepting) bool { return a.request == r })
	if s := p.session; s != nil && len(p.accepted) == 0 {
		s.talk.suspended = false
		c.poke()
	}
	c.tidy(p)
}

// open opens a session, in place of whatever there was with this peer.
func (c *Client) open(p *peer, s *Session) {
	for _, a := range p.starts {
		delete(c.link.asked, a.request.number)
		a.start.Forget()
	}
	for _, a := range p.accepted {
		delete(c.link.asked, a.request.number)
	}
	p.starts, p.accepted, p.request = nil, nil, nil
	if old := p.session; old != nil {
		old.finish(ErrReplaced)
		c.sessions = slices.DeleteFunc(c.sessions, func(s *Session) bool { return s == old })
	}
	p.session = s
	c.sessions = append(c.sessions, s)
	c.rang.ring()
	c.poke()
}
