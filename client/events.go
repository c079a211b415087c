package client

import (
	"context"
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

const (
	// maxEvents is how many events of each type are kept for somebody who does not look. The newest are.
	maxEvents = 64
	// fresh is how far from now a request's time may be. Clocks may be wrong by less.
	fresh = time.Hour
	// maxSeen is how many requests are remembered, so that they are not taken twice.
	maxSeen = 4096
)

// Event is [Requested], [Trouble], [Presence], [Restarting], [Reconnecting] or [Reconnected].
type Event interface{ about() frames.Key }

// Requested says that a user asks for a session: see [Client.AcceptSession]. Of several requests of a user the newest
// counts. There is no Requested for a user whom StartSession asks at the same time.
type Requested struct {
	Peer frames.Key
	Time time.Time // by the user's clock
}

// Trouble says that something was wrong outside any session, and was thrown away: see [Tampering].
type Trouble struct {
	Peer frames.Key // who sent it, if that can be believed; nil for the relay
	Err  error
}

// Presence says that the peer of an open session is connected or not, as the relay sees it. Of several the newest counts.
type Presence struct {
	Peer   frames.Key
	Online bool
}

func (p Presence) about() frames.Key { return p.Peer }

func (r Requested) about() frames.Key { return r.Peer }

func (t Trouble) about() frames.Key { return t.Peer }

// Events returns what happens outside of sessions, in order, also what happened before. It ends with the connection, or
// with ctx, and the last error says which. Who does not look at events loses all but the newest.
func (c *Client) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			e, err := c.event(ctx)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (c *Client) event(ctx context.Context) (e Event, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.await(ctx, func() bool { return len(c.events) > 0 }); err != nil {
		return nil, err
	}
	e = c.events[0]
	c.events = c.events[1:]
	return e, nil
}

// announce tells of a request, once for each peer. If there are too many the oldest is forgotten: the relay keeps no more,
// so that user is gone.
func (c *Client) announce(p *peer, r *e2e.Request) {
	var waiting []*peer
	for _, p := range c.peers {
		if p.request != nil {
			waiting = append(waiting, p)
		}
	}
	if len(waiting) > maxEvents {
		oldest := slices.MinFunc(waiting, func(a, b *peer) int { return a.came.Compare(b.came) })
		oldest.request = nil
		c.tidy(oldest)
	}
	c.unannounce(p)
	c.add(Requested{Peer: p.key, Time: r.Time})
}

// unannounce forgets that a user asks.
func (c *Client) unannounce(p *peer) {
	c.events = slices.DeleteFunc(c.events, func(e Event) bool {
		_, requested := e.(Requested)
		return requested && string(e.about()) == string(p.key)
	})
}

// present takes the relay's word that a peer is connected or not.
func (c *Client) present(f frames.Presence) {
	p := c.peers[string(f.Peer)]
	if p == nil || p.session == nil || p.session.err != nil {
		return
	}
	p.session.talk.present(f.Online)
	c.events = slices.DeleteFunc(c.events, func(e Event) bool {
		_, presence := e.(Presence)
		return presence && string(e.about()) == string(p.key)
	})
	c.add(Presence{Peer: p.key, Online: f.Online})
	c.poke()
}

func (c *Client) trouble(from frames.Key, err error) {
	c.add(Trouble{Peer: slices.Clone(from), Err: err})
}

// add adds an event, and throws away the oldest of its type if there are too many.
func (c *Client) add(e Event) {
	c.events = append(c.events, e)
	same := func(other Event) bool { return reflect.TypeOf(other) == reflect.TypeOf(e) }
	n := 0
	for _, e := range c.events {
		if same(e) {
			n++
		}
	}
	if n > maxEvents {
		i := slices.IndexFunc(c.events, same)
		c.events = slices.Delete(c.events, i, i+1)
	}
	c.rang.ring()
}

// replays remembers the requests of the last hour.
type replays map[[32]byte]time.Time

// check refuses a request that was seen before, or whose time is too far off for that to be told.
func (s *replays) check(now time.Time, r *e2e.Request) error {
	if d := now.Sub(r.Time); d > fresh || d < -fresh {
		return ErrStale
	}
	if _, seen := (*s)[r.Hash]; seen {
		return ErrRepeated
	}
	s.makeRoom(now)
	(*s)[r.Hash] = r.Time
	return nil
}

// makeRoom forgets what is too old to be taken, and if that is not enough, anything.
func (s *replays) makeRoom(now time.Time) {
	if *s == nil {
		*s = make(replays)
	}
	if len(*s) < maxSeen {
		return
	}
	maps.DeleteFunc(*s, func(_ [32]byte, t time.Time) bool { return now.Sub(t) > fresh })
	for h := range *s {
		if len(*s) < maxSeen {
			return
		}
		delete(*s, h)
	}
}
