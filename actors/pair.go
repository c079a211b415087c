package actors

import "github.com/asynkron/protoactor-go/actor"

// pair is the relation to one peer.
type pair struct {
	state  Pair
	proven bool       // the peer had proved when it asked, or accepted
	keeps  bool       // the session, if there is one, outlives connections: both had proved when it opened
	peer   string     // the peer's key
	user   *actor.PID // the peer's UserActor
	mirror *pair      // the peer's, of us; not ours to look into. It goes along with what we send, and saves the peer's actor looking it up
	run    *Run       // messages gathered from the chunk that is being walked
	from   *Address   // of the peer's request, while that is pending
	presence
}

// pair returns the relation to a peer; a fresh one is kept by set only, or in asked.
func (u *user) pair(peer string) *pair {
	if p, ok := u.pairs[peer]; ok {
		return p
	}
	if u.asking != nil && u.askingTo.peer == peer {
		return u.askingTo
	}
	return &pair{peer: peer}
}

// set changes a pair's state, and what is counted of it.
func (u *user) set(p *pair, to Pair) {
	if p.state == to {
		return
	}
	before := p.state
	u.count(p, before, -1)
	u.count(p, to, +1)
	p.state = to
	switch {
	case to == 0:
		delete(u.pairs, p.peer)
		if u.last == p {
			u.last = &stranger
		}
	case u.pairs == nil:
		u.pairs = map[string]*pair{p.peer: p}
	default:
		u.pairs[p.peer] = p
	}
	u.publish(p, before, to)
}

func (u *user) count(p *pair, s Pair, n int) {
	if s&Asked != 0 {
		u.asked += n
	}
	if s&(Invited|Open) == Invited {
		u.box.count(p.from, n)
	}
	if s&(Asked|Open) != 0 {
		u.places += n
	}
	if s&Open != 0 {
		u.seen.sessions.Add(int32(n)) //nolint:gosec // one
	}
}
