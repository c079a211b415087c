package model

import (
	"math"
	"slices"

	"github.com/mdeiml/blubbel-server/frames"
)

// The rules about those who say Hello, and prove.

// of returns a user's connections.
func (c *checker) of(user int) (list []*record) {
	for _, r := range c.conns {
		if r.user == user {
			list = append(list, r)
		}
	}
	return list
}

// lastWord: it has a reason.
func (c *checker) lastWord(conn *record, e *heard) bool {
	switch e.code { //nolint:exhaustive // the others name a frame
	case frames.Internal, frames.ShuttingDown:
		return true
	case frames.Replaced: // another has asked for it, by proof
		return slices.ContainsFunc(c.of(conn.user), func(r *record) bool { return r != conn && r.says(frames.TypeProve) != nil })
	case frames.Timeout:
		return conn.greeted && c.deaf[conn.user]
	}
	return false
}

// says returns the first frame of a type.
func (r *record) says(t frames.Type) *said {
	for i := range r.said {
		if s := &r.said[i]; s.typ == t {
			return s
		}
	}
	return nil
}

// extensions: who did not say Hello is told nothing but the seed's types.
func (c *checker) extensions(conn *record) {
	for _, m := range conn.heard {
		switch {
		case m.typ.Extension() && !conn.greeted:
			c.finds(wrong, []*record{conn}, "%s hears %v, and never said Hello", name(conn.user), m.typ)
		case m.garbled:
			c.finds(wrong, []*record{conn}, "%s hears a %v that makes no sense", name(conn.user), m.typ)
		case m.typ == frames.TypeEnd && m.id == 0 && !c.mayEnd(conn, m):
			c.finds(wrong, []*record{conn}, "%s hears that a session has ended, %q, which does not end by that", name(conn.user), m.reason)
		}
	}
}

// mayEnd: the relay itself ends sessions of users that are away for too long, and, when somebody leaves, those that are not kept.
func (c *checker) mayEnd(conn *record, m heard) bool {
	switch m.reason {
	case goodbye:
		return true
	case "away for too long":
		return c.script.forgets()
	case "disconnected":
		return !c.script.tolerant || !conn.proven() || !c.onlyProves(m.from) || c.tooLate(conn, m.from)
	}
	return false
}

// tooLate: an acceptance did not get to who had asked, who has left. So there is no session on the other side.
func (c *checker) tooLate(conn *record, asker int) bool {
	for _, a := range conn.said {
		if a.typ == frames.TypeAccept && a.to == asker && c.delivered[a.id].conn == nil {
			return true
		}
	}
	return false
}

// onlyProves: nobody has logged in with the key without a proof, or was refused only because the store failed meanwhile.
func (c *checker) onlyProves(user int) bool {
	for _, r := range c.of(user) {
		for _, s := range r.said {
			if s.typ == frames.TypeLogin && s.want == 0 && (s.answer == nil || c.script.failing > 0) {
				return false
			}
		}
	}
	return true
}

// owns: a key that has proved opens to no other, and has one connection at a time, the newest.
func (c *checker) owns(conn *record) {
	if conn.login == nil {
		return
	}
	if conn.login.want != 0 {
		c.finds(wrong, []*record{conn}, "%s was let in by a proof that is none", name(conn.user))
	}
	for _, r := range c.of(conn.user) {
		if r == conn || r.login == nil || r.letIn >= conn.login.at {
			continue
		}
		if !conn.proven() && r.proven() && !c.pins.without[conn.user] {
			c.finds(wrong, []*record{r, conn}, "%s was let in without a proof, and had proved before", name(conn.user))
		}
		c.succeeds(conn, r)
	}
	if !conn.proven() && c.pins.before(conn.user, conn.login.at) {
		c.finds(wrong, []*record{conn}, "%s was let in without a proof, and was pinned before", name(conn.user))
	}
}

// succeeds: as soon as somebody is let in, the connection that was the key's before is not.
func (c *checker) succeeds(newer, older *record) {
	both := []*record{older, newer}
	if older.closed == 0 {
		c.finds(wrong, both, "%s/%d is still open", name(older.user), older.id)
	}
	late := 0
	for _, m := range older.heard {
		if p, ok := c.origin[m.id]; ok && p.said().at > newer.letIn {
			c.finds(wrong, append(both, p.conn), "%s/%d hears what was said when %d had taken over: id %d", name(older.user), older.id, newer.id, m.id)
		}
		if m.at > newer.letIn && (m.typ != frames.TypeError || m.number > 0) {
			late++
		}
	}
	if c.exact && late > 1 { // the last one may have been read in time, and be noted late
		c.finds(wrong, both, "%s/%d was written to when %d had taken over", name(older.user), older.id, newer.id)
	}
	for _, s := range older.said {
		if _, ok := c.delivered[s.id]; ok && s.at > newer.letIn {
			c.finds(wrong, both, "%s/%d was heard when %d had taken over: id %d", name(older.user), older.id, newer.id, s.id)
		}
	}
}

// agreement returns when, at the earliest, two connections may have come to a session: one of their own, or one that their users had
// on others, and that is kept because all had proved.
func (c *checker) agreement(from, to *record) uint64 {
	pair := [2]*record{from, to}
	if at, ok := c.agreed[pair]; ok {
		return at
	}
	at := uint64(math.MaxUint64)
	for _, f := range c.of(from.user) {
		for _, t := range c.of(to.user) {
			if f == from && t == to || from.proven() && to.proven() && f.proven() && t.proven() {
				at = min(at, c.accepts(f, t), c.accepts(t, f))
			}
		}
	}
	c.agreed[pair] = at
	return at
}

// accepts returns when a user first accepted another, on these connections.
func (c *checker) accepts(accepter, asker *record) uint64 {
	for _, a := range accepter.said {
		if a.typ == frames.TypeAccept && a.to == asker.user && (asker.closed != 0 || asker.heardId(a.id, frames.TypeAccept)) {
			return a.at
		}
	}
	return math.MaxUint64
}

// kept reports whether there was a session before a time that two connections have by being proven.
func (c *checker) kept(from, to *record, before uint64) bool {
	if !from.proven() || !to.proven() || to.letIn > before || !c.script.tolerant || c.script.forgets() || len(c.script.restarts) > 0 {
		return false
	}
	if !c.onlyProves(from.user) || !c.onlyProves(to.user) {
		return false
	}
	for _, f := range c.of(from.user) {
		for _, t := range c.of(to.user) {
			if f.proven() && t.proven() && (f.heardFrom(t, frames.TypeAccept, before, c) || t.heardFrom(f, frames.TypeAccept, before, c)) {
				return true
			}
		}
	}
	return false
}

// ended reports whether one of two users had ever ended what there was with the other, before a time.
func (c *checker) ended(a, b int, before uint64) bool {
	for _, r := range c.conns {
		for _, s := range r.said {
			if s.typ == frames.TypeEnd && s.at < before && (r.user == a && s.to == b || r.user == b && s.to == a) {
				return true
			}
		}
	}
	return false
}
