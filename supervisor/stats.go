package supervisor

import (
	"sync/atomic"

	"github.com/mdeiml/blubbel-server/actors"
)

// Stats is how a relay is, and what has happened since it was spawned. Nothing in it is about one user.
type Stats struct {
	Account   actors.Account
	Latencies actors.Latencies
	Counts    actors.Counts

	Accepted   map[string]uint64 // connections, by transport
	TurnedAway map[string]uint64 // of those, at the door, by reason
	Crashes    map[Kind]uint64

	Connections map[Place]int
	Spread      actors.Spread
	Users       map[string]int // by state
	Sessions    int
	Window      int64 // bytes of the relay's memory that connections hold
	Stuck       int   // connections whose socket takes no more at the moment
	Queue       int   // messages in mailboxes
	Pins        int   // keys that are pinned
	Stopping    bool
}

// Place is where a connection is: what it speaks below frames, and its state.
type Place struct{ Transport, State string }

// Stats returns them, as they are now. It looks at every actor, and disturbs none.
func (r *Relay) Stats() Stats {
	s := Stats{
		Accepted: map[string]uint64{}, Crashes: map[Kind]uint64{}, Connections: map[Place]int{}, Users: map[string]int{}, Stopping: r.Stopping(),
	}
	for kind, n := range r.crashes {
		s.Crashes[kind] = n.Load()
	}
	r.mu.Lock()
	for transport, n := range r.transports {
		s.Accepted[transport] = n.Load()
	}
	r.mu.Unlock()
	if r.shared == nil {
		return s
	}
	s.Account, s.Latencies, s.Counts = r.shared.Ledger.Read(), r.shared.Ledger.Latencies(), r.shared.Counts()
	s.TurnedAway, s.Spread, s.Pins = r.shared.Door.TurnedAway(), r.shared.Door.Spread(), r.Config().Store.Pins()
	for _, v := range r.shared.Census() {
		s.count(r.kind(v.Actor), v)
	}
	s.Sessions /= 2 // each was counted by both users
	return s
}

func (s *Stats) count(kind Kind, v actors.Vitals) {
	s.Queue += v.Queue
	switch kind { //nolint:exhaustive // there is one of each of the others
	case KindUser:
		s.Users[v.State]++
		s.Sessions += v.Sessions
	case KindConnection:
		s.Connections[Place{v.Transport, v.State}]++
		s.Window += v.Window
		if v.Stuck {
			s.Stuck++
		}
	}
}

// accepted returns how many connections of a transport were.
func (r *Relay) accepted(transport string) *atomic.Uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.transports[transport] == nil {
		r.transports[transport] = new(atomic.Uint64)
	}
	return r.transports[transport]
}
