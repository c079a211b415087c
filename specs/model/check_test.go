package model

import (
	"fmt"
	"slices"

	"github.com/mdeiml/blubbel-server/frames"
)

// The promises (README.md), as rules over a history. They hold whatever crashes, whoever leaves, and in whatever order
// things happen.

// violation is a broken rule.
type violation struct {
	what  verdict
	text  string
	conns []*record // whom it is about
}

// verdict is what kind of rule was broken.
type verdict string

const (
	lost      verdict = "lost"      // taken, and neither delivered nor refused
	repeated  verdict = "repeated"  // delivered twice, refused twice, or both
	reordered verdict = "reordered" // delivered after what was sent later, or with a gap before it
	leaked    verdict = "leaked"    // held for ever: windows, goroutines, books
	wrong     verdict = "wrong"     // anything else: to somebody else, from somebody else, without consent, ...
)

// checker judges one history.
type checker struct {
	*history
	script    script
	pins      *pins
	deaf      map[int]bool          // users who did not read for a while
	crashes   bool                  // there were some
	agreed    map[[2]*record]uint64 // from when on; see agreement
	origin    map[uint64]place
	delivered map[uint64]place
	found     []violation
}

// place is a frame in a history.
type place struct {
	conn  *record
	index int
}

func (p place) said() *said { return &p.conn.said[p.index] }

func check(w *world) []violation {
	h := &w.history
	c := &checker{
		history: h, script: w.script, pins: w.pins, deaf: w.deaf, crashes: w.script.crashes > 0 || w.script.failing > 0,
		agreed: map[[2]*record]uint64{}, origin: map[uint64]place{}, delivered: map[uint64]place{},
	}
	for _, conn := range h.conns {
		for i, s := range conn.said {
			if s.id != 0 {
				c.origin[s.id] = place{conn, i}
			}
		}
	}
	for _, conn := range h.conns {
		c.answers(conn)
	}
	for _, conn := range h.conns {
		c.deliveries(conn)
	}
	for _, conn := range h.conns {
		for i := range conn.said {
			c.outcome(place{conn, i})
		}
		c.extensions(conn)
		c.owns(conn)
		c.presences(conn)
	}
	return c.found
}

func (c *checker) finds(what verdict, conns []*record, format string, a ...any) {
	c.found = append(c.found, violation{what, fmt.Sprintf(format, a...), conns})
}

// answers: an Error answers one frame of this connection, and no frame has two.
func (c *checker) answers(conn *record) {
	for i := range conn.heard {
		e := &conn.heard[i]
		if e.typ != frames.TypeError {
			continue
		}
		if e.number == 0 {
			if i < len(conn.heard)-1 || !c.lastWord(conn, e) {
				c.finds(wrong, []*record{conn}, "%s/%d heard more after the last word, which was %v", name(conn.user), conn.id, e.code)
			}
			continue
		}
		if e.number > uint64(len(conn.said)) || conn.said[e.number-1].typ != e.request {
			c.finds(wrong, []*record{conn}, "%s heard an Error for a frame that was never said: %v for %v number %d", name(conn.user), e.code, e.request, e.number)
			continue
		}
		s := &conn.said[e.number-1]
		if s.answer != nil {
			c.finds(repeated, []*record{conn}, "%s heard two Errors for number %d", name(conn.user), e.number)
		}
		s.answer = e
	}
}

// deliveries: what is heard was said, once, by whom it says, to whom hears it, in order, and with consent.
func (c *checker) deliveries(conn *record) {
	last, ended := map[*record]int{}, newEnds(c, conn)
	for _, m := range conn.heard {
		ended.hears(m)
		if !m.typ.Carries() && (m.typ != frames.TypeEnd || m.id == 0) {
			continue
		}
		from, ok := c.origin[m.id]
		if !ok || m.garbled {
			c.finds(wrong, []*record{conn}, "%s heard a %v that nobody said: id %d, from %s", name(conn.user), m.typ, m.id, who(m.from))
			continue
		}
		both := []*record{from.conn, conn}
		s := from.said()
		if s.to != conn.user || s.typ != m.typ || m.from != from.conn.user || s.want != 0 {
			c.finds(wrong, both, "%s heard a %v from %s, which %s said as a %v to %s: id %d",
				name(conn.user), m.typ, who(m.from), name(from.conn.user), s.typ, who(s.to), m.id)
		}
		switch before, twice := c.delivered[m.id]; {
		case twice:
			c.finds(repeated, append(both, before.conn), "id %d was heard twice", m.id)
		case s.answer != nil:
			c.finds(repeated, both, "id %d was delivered, and refused with %v", m.id, s.answer.code)
		}
		c.delivered[m.id] = place{conn, 0}
		if from.index < last[from.conn] {
			c.finds(reordered, both, "id %d was heard after what was said later", m.id)
		}
		last[from.conn] = max(last[from.conn], from.index)
		if !c.consented(from.conn, conn, m) || m.typ == frames.TypeMessage && (ended.with[m.from] || c.endedBefore(from)) {
			c.finds(wrong, both, "%s heard a %v from %s without consent: id %d", name(conn.user), m.typ, name(from.conn.user), m.id)
		}
	}
}

// consented: what is more than a request needs an acceptance between the two connections, and an acceptance needs a request.
func (c *checker) consented(from, to *record, m heard) bool {
	switch m.typ { //nolint:exhaustive // the others do not go from user to user
	case frames.TypeAccept:
		return to.saidTo(from.user, frames.TypeStart, m.at) != nil
	case frames.TypeMessage, frames.TypeEnd:
		return c.agreement(from, to) < m.at
	}
	return true
}

func (r *record) saidTo(user int, t frames.Type, before uint64) *said {
	for i := range r.said {
		if s := &r.said[i]; s.typ == t && s.to == user && s.at < before {
			return s
		}
	}
	return nil
}

func (r *record) heardFrom(from *record, t frames.Type, before uint64, c *checker) bool {
	for _, m := range r.heard {
		if m.typ == t && m.at < before && c.origin[m.id].conn == from {
			return true
		}
	}
	return false
}

func (r *record) heardId(id uint64, t frames.Type) bool {
	return slices.ContainsFunc(r.heard, func(m heard) bool { return m.id == id && m.typ == t })
}

// outcome: a frame said on a connection that is still open was delivered or answered, and for a reason.
func (c *checker) outcome(p place) {
	conn, s := p.conn, p.said()
	if conn.closed != 0 || !s.whole {
		return
	}
	_, delivered := c.delivered[s.id]
	switch {
	case s.answer != nil:
		c.reason(p)
	case !s.typ.Carries() && s.want == 0:
		if s.typ == frames.TypePing && !conn.heardId(s.id, frames.TypePong) {
			c.finds(lost, []*record{conn}, "%s has no Pong for number %d", name(conn.user), p.index+1)
		}
	case !delivered && !c.excused(p):
		c.finds(lost, c.between(conn, s.to), "%s said number %d, a %v to %s, id %d: it was neither delivered nor refused",
			name(conn.user), p.index+1, s.typ, who(s.to), s.id)
	}
}

// excused: a connection of the recipient's ended without a farewell, and with it what the kernel held for it.
func (c *checker) excused(p place) bool {
	s := p.said()
	if c.exact || s.to < 0 {
		return false
	}
	for _, r := range c.conns {
		if r.user == s.to && r.abrupt && r.closed > s.at && !c.passed(p, r) {
			return true
		}
	}
	return false
}

// passed reports whether something that was said after the frame, on the same connection, was heard on r.
func (c *checker) passed(p place, r *record) bool {
	for _, m := range r.heard {
		if o, ok := c.origin[m.id]; ok && o.conn == p.conn && o.index > p.index {
			return true
		}
	}
	return false
}

// reason: a refusal has the code that it must have, or one that can be.
func (c *checker) reason(p place) {
	conn, s := p.conn, p.said()
	code := s.answer.code
	bad := false
	switch {
	case code == frames.Internal:
		bad = !c.crashes
	case s.want != 0:
		bad = code != s.want
	case s.must:
		bad = true
	case s.typ == frames.TypeStart && (code == frames.Unavailable || code == frames.Offline):
		bad = s.to >= 0 && c.present(s.to, s.at)
	case code == frames.NoSession || code == frames.Offline:
		bad = c.together(conn, s)
	case code == frames.ProofRequired:
		bad = s.typ != frames.TypeLogin || !c.pins.before(conn.user, s.answer.at) && c.script.failing == 0
	case code == frames.KeyInUse:
		bad = s.typ != frames.TypeLogin
	case code == frames.Busy:
		bad = c.exact && !c.deaf[s.to]
	case code == frames.NoRequest || code == frames.AlreadyLoggedIn:
	default:
		bad = true
	}
	if bad {
		c.finds(wrong, c.between(conn, s.to), "%s said number %d, a %v to %s: it was refused with %v, for no reason", name(conn.user), p.index+1, s.typ, who(s.to), code)
	}
}

// together reports whether there was a session, when the frame was said, with a connection of the recipient's that was open to the end.
func (c *checker) together(conn *record, s *said) bool {
	if s.typ != frames.TypeMessage {
		return false
	}
	for _, r := range c.conns {
		if r.user == s.to && r.closed == 0 &&
			(r.heardFrom(conn, frames.TypeAccept, s.at, c) || conn.heardFrom(r, frames.TypeAccept, s.at, c) || c.kept(conn, r, s.at)) &&
			!c.ended(conn.user, s.to, s.answer.at) {
			return true
		}
	}
	return false
}

// present reports whether a user was logged in before a time, on a connection that was open to the end.
func (c *checker) present(user int, before uint64) bool {
	for _, r := range c.conns {
		if r.user == user && r.closed == 0 {
			for _, m := range r.heard {
				if m.typ == frames.TypeLogin && m.at < before {
					return true
				}
			}
		}
	}
	return false
}

// between returns a connection and all of a user's.
func (c *checker) between(conn *record, user int) []*record {
	list := []*record{conn}
	for _, r := range c.conns {
		if r.user == user {
			list = append(list, r)
		}
	}
	return list
}
