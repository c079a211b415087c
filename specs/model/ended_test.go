package model

import "github.com/mdeiml/blubbel-server/frames"

// The rules about sessions that end, and about who is told of whom.

// ends is with whom a session has ended, as a connection has heard up to now, and did not begin anew.
type ends struct {
	conn *record
	with map[int]bool
	last map[int]uint64 // when a request or an acceptance was heard
}

// newEnds begins with what was heard on older connections.
func newEnds(c *checker, conn *record) *ends {
	e := &ends{conn, map[int]bool{}, map[int]uint64{}}
	if conn.login == nil {
		return e
	}
	latest := map[int]heard{}
	for _, r := range c.of(conn.user) {
		for _, m := range r.heard {
			session := m.typ == frames.TypeStart || m.typ == frames.TypeAccept || m.typ == frames.TypeEnd
			if r != conn && session && m.at > latest[m.from].at {
				latest[m.from] = m
			}
		}
	}
	for peer, m := range latest {
		e.with[peer] = m.typ == frames.TypeEnd && m.at < conn.login.at
	}
	return e
}

// hears takes note of what is heard next.
func (e *ends) hears(m heard) {
	switch m.typ { //nolint:exhaustive // the others say nothing about a session
	case frames.TypeStart, frames.TypeAccept:
		e.with[m.from] = false
		e.last[m.from] = m.at
	case frames.TypeEnd:
		e.with[m.from] = true
	case frames.TypePong: // what was said before the Ping has had its effect
		for _, s := range e.conn.said {
			if s.typ == frames.TypePing && s.id == m.id {
				return
			}
			if s.typ == frames.TypeEnd && s.want == 0 && e.last[s.to] < s.at {
				e.with[s.to] = true
			}
		}
	}
}

// endedBefore reports whether the session that a Message needs had ended before it was said, for its sender, and did not begin anew.
func (c *checker) endedBefore(p place) bool {
	conn, s := p.conn, p.said()
	since := uint64(0)
	for i := range p.index {
		if e := &conn.said[i]; e.typ == frames.TypeEnd && e.to == s.to && e.want == 0 {
			since = e.at
		}
	}
	for _, m := range conn.heard {
		if m.from != s.to {
			continue
		}
		switch {
		case m.typ == frames.TypeEnd && m.at < s.at:
			since = max(since, m.at)
		case (m.typ == frames.TypeStart || m.typ == frames.TypeAccept) && m.at > since:
			since = 0
		}
	}
	return since > 0 && conn.closed == 0
}

// presences: who asked for it, and has proved, is told of peers of sessions that are kept, and never the same twice.
func (c *checker) presences(conn *record) {
	told, online, credit := map[int]bool{}, map[int]bool{}, map[int]int{}
	for _, s := range conn.said {
		if s.typ == frames.TypeEnd {
			credit[s.to]++ // after it there may be another session
		}
	}
	for _, m := range conn.heard {
		switch {
		case m.typ == frames.TypeEnd:
			told[m.from] = false
			continue
		case m.typ != frames.TypePresence:
			continue
		case !conn.presence || !conn.proven() || m.from < 0 || !c.peers(conn, m):
			c.finds(wrong, []*record{conn}, "%s is told of %s, who is no such peer", name(conn.user), who(m.from))
		case told[m.from] && online[m.from] == m.online:
			if credit[m.from]--; credit[m.from] < 0 {
				c.finds(wrong, []*record{conn}, "%s is told of %s twice", name(conn.user), who(m.from))
			}
		}
		told[m.from], online[m.from] = true, m.online
	}
}

// peers: the two have agreed on a session that is kept, and the other has asked for Presence, too.
func (c *checker) peers(conn *record, m heard) bool {
	for _, r := range c.of(m.from) {
		if r.presence && (r.proven() || r.closed != 0) && (c.agreement(r, conn) < m.at || c.agreement(conn, r) < m.at) {
			return true
		}
	}
	return false
}
