package actors

import (
	"sync"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// Vitals is what is seen of an actor from outside, without asking it: one that hangs is seen as well.
type Vitals struct {
	Actor   string // the id of its PID
	State   string
	Crashes int // since it was spawned
	Queue   int // messages that wait in its mailbox
	Since   time.Time

	// Of a connection.

	Transport string
	Window    int64 // bytes of the relay's memory that it holds
	Stuck     bool  // its socket takes no more at the moment

	// Of a user: open sessions.
	Sessions int

	// Key is whose a user is, or who is logged in on a connection. Nil if nobody is.
	Key frames.Key
}

// roster is every actor of a relay that lives. The zero value is empty.
type roster struct {
	mu    sync.Mutex
	first *Mailbox
}

func (r *roster) add(m *Mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.after = r.first; m.after != nil {
		m.after.before = m
	}
	r.first = m
}

func (r *roster) remove(m *Mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.after != nil {
		m.after.before = m.before
	}
	if m.before != nil {
		m.before.after = m.after
	} else if r.first == m {
		r.first = m.after
	}
	m.before, m.after = nil, nil
}

// all returns the mailboxes of all, the youngest first.
func (r *roster) all() (list []*Mailbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for m := r.first; m != nil; m = m.after {
		list = append(list, m)
	}
	return list
}

// Census returns the vitals of every actor that lives, the youngest first.
func (s *Shared) Census() []Vitals {
	mailboxes := s.roster.all()
	list := make([]Vitals, 0, len(mailboxes))
	for _, m := range mailboxes {
		list = append(list, m.vitals())
	}
	return list
}

// Look has the mailbox say more about its actor in the census: look is called on any goroutine, whatever the actor does. It is to be called before the
// mailbox is used.
func (m *Mailbox) Look(look func(*Vitals)) { m.look = look }

func (m *Mailbox) vitals() Vitals {
	v := Vitals{Actor: m.self().Self().Id, State: "running", Crashes: int(m.crashes.Load()), Queue: m.UserMessageCount(), Since: m.since}
	if m.look != nil {
		m.look(&v)
	}
	return v
}
