package model

import (
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// tellsTheTruth looks at whom the users were told of last, now that nothing changes.
func (w *world) tellsTheTruth() {
	if w.script.virtual {
		<-time.After(3 * time.Second)
	}
	for i, u := range w.users {
		w.isTold(u, w.next(i), true)
		w.isTold(w.next(i), u, true)
		for _, other := range w.users {
			if state, ok := u.conn.told(other.index); ok && state != other.conn.isOn() {
				w.findsBetween(wrong, u, other, "the first was not told the truth of the second")
			}
		}
	}
}

// isTold makes sure that a user is told of a peer of an open session, if both have proved and want to be told.
func (w *world) isTold(u, peer *user, online bool) {
	if !u.conn.proven() || !u.conn.presence || !peer.last.proven() || !peer.last.presence {
		return
	}
	limit := w.long()
	if w.script.virtual {
		limit = 0
	}
	told := func() bool {
		state, ok := u.conn.toldLocked(peer.index)
		return ok && state == online
	}
	if !u.conn.until(limit, told) {
		w.findsBetween(wrong, u, peer, "the first was not told of the second")
	}
}

// told is what a client was told last of a peer, if a session lasts since.
func (c *conn) told(peer int) (online, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.toldLocked(peer)
}

func (c *conn) toldLocked(peer int) (online, ok bool) {
	for _, m := range slices.Backward(c.heard) {
		if m.from != peer {
			continue
		}
		switch m.typ { //nolint:exhaustive // the others tell nothing
		case frames.TypeEnd:
			return false, false
		case frames.TypePresence:
			return m.online, c.lasts(peer, m.at)
		}
	}
	return false, false
}

// lasts reports whether we did not end the session that we were told of at a time, or have a new one since. For who holds the lock.
func (c *conn) lasts(peer int, told uint64) bool {
	ended, met := uint64(0), uint64(0)
	for _, s := range c.record.said {
		switch {
		case s.to != peer:
		case s.typ == frames.TypeEnd:
			ended = s.at
		case s.typ == frames.TypeAccept && s.at < told:
			met = s.at
		}
	}
	for _, m := range c.heard {
		if m.from == peer && m.typ == frames.TypeAccept && m.at < told {
			met = max(met, m.at)
		}
	}
	return met >= ended
}
