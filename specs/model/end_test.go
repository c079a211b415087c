package model

import (
	"slices"
	"strings"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// What a world ends with, when nothing crashes any more: everybody must get through to everybody, come back to what is kept, be told the
// truth, and leave nothing behind.

func (w *world) ends() {
	w.calm()
	w.proves()
	w.calm()
	w.returns()
	w.calm()
	w.tellsTheTruth()
	w.endsSessions()
	w.calm()
	w.mark()
	w.leavesNothing()
}

// proves has each user talk to the next, and each message arrive: more than a window of them, on every connection.
func (w *world) proves() {
	for i, u := range w.users {
		peer := w.next(i)
		if !u.online() || !peer.online() || !u.meetsAgain(peer) {
			w.findsBetween(leaked, u, peer, "could not meet, when all was quiet again")
			continue
		}
		const size = 16 << 10
		var list []said
		for range 2*window/size + 2 {
			list = append(list, said{typ: frames.TypeMessage, to: peer.index, id: ids.Add(1), size: size, must: true})
		}
		u.conn.say(0, list...)
	}
}

func (w *world) next(i int) *user { return w.users[(i+1)%len(w.users)] }

// findsBetween finds something that is about two users.
func (w *world) findsBetween(what verdict, u, peer *user, text string) {
	w.finds(what, "%s and %s: %s", name(u.index), name(peer.index), text)
	w.mu.Lock()
	defer w.mu.Unlock()
	last := len(w.found) - 1
	for _, r := range w.history.conns {
		if r.user == u.index || r.user == peer.index {
			w.found[last].conns = append(w.found[last].conns, r)
		}
	}
}

// returns has each user come anew, one after the other: sessions between those who have proved must be there, and no others.
func (w *world) returns() {
	for i, u := range w.users {
		peer, old := w.next(i), u.conn
		kept := old.proven() && peer.conn.proven()
		switch {
		case u.manner == proves && w.bombs.heads():
			u.comesAgain(1)
			w.isReplaced(old)
		default:
			old.closes("comes anew", false)
			kept = w.staysAway(u, peer) && kept
		}
		if !u.online() {
			w.findsBetween(leaked, u, peer, "nobody lets the first in")
			return
		}
		w.talkAgain(u, peer, kept && u.conn.proven())
		before := w.users[(i+len(w.users)-1)%len(w.users)]
		if !u.meetsAgain(peer) || !before.meetsAgain(u) {
			w.findsBetween(leaked, u, peer, "could not meet again")
		}
	}
}

// isReplaced makes sure that a connection whose key was taken over is told so.
func (w *world) isReplaced(old *conn) {
	old.mu.Lock()
	defer old.mu.Unlock()
	if n := len(old.heard); !old.over || old.heard[n-1].code != frames.Replaced {
		w.finds(wrong, "%s/%d was not told that another has taken over", name(old.record.user), old.id)
	}
}

// staysAway has a user stay away for a while, maybe; false if that is too long.
func (w *world) staysAway(u, peer *user) (kept bool) {
	if !w.script.virtual || w.bombs.heads() {
		return true
	}
	w.pause(3 * time.Second)
	if u.last.proven() && peer.conn.proven() && w.script.awayTime == 0 {
		number := peer.conn.say(0, said{typ: frames.TypeMessage, to: u.index, id: ids.Add(1), want: frames.Offline})
		peer.conn.until(w.long(), func() bool { return peer.conn.hasAnswer(number) })
		w.isTold(peer, u, false)
	}
	return w.script.awayTime == 0
}

// talkAgain has two say something to each other, without asking.
func (w *world) talkAgain(u, peer *user, kept bool) {
	for _, two := range [][2]*user{{u, peer}, {peer, u}} {
		s := said{typ: frames.TypeMessage, to: two[1].index, id: ids.Add(1), must: kept}
		if !kept {
			s.want = frames.NoSession
		}
		two[0].conn.say(0, s)
	}
	w.calm() // somebody will leave next
}

// endsSessions has each user end what there is with the next, who must be told.
func (w *world) endsSessions() {
	for i, u := range w.users {
		peer := w.next(i)
		if u == w.next(peer.index) && i > peer.index || !u.conn.greeted { // it was ended already
			continue
		}
		u.ends(peer.index)
		ended := u.conn.lastSaid(frames.TypeEnd)
		u.conn.refusedOnce()
		peer.conn.refusedOnce()
		if peer.conn.greeted && !peer.conn.until(0, func() bool { return peer.conn.heardId(ended) }) {
			w.findsBetween(lost, u, peer, "the first has ended their session, and the second was not told")
		}
		for _, two := range [][2]*user{{u, peer}, {peer, u}} {
			two[0].conn.say(0, said{typ: frames.TypeMessage, to: two[1].index, id: ids.Add(1), want: frames.NoSession})
		}
	}
}

func (c *conn) lastSaid(t frames.Type) (id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range slices.Backward(c.record.said) {
		if s.typ == t {
			return s.id
		}
	}
	return 0
}

func (c *conn) heardId(id uint64) bool {
	return slices.ContainsFunc(c.heard, func(m heard) bool { return m.id == id })
}

// goodbye is why what nobody ended is ended.
const goodbye = "goodbye"

// leavesNothing has everybody end everything, and some leave: then nobody but who is there has an actor.
func (w *world) leavesNothing() {
	if !w.script.tolerant {
		return // who was given up is remembered
	}
	for _, u := range w.users {
		if u.conn.greeted {
			for _, peer := range w.users {
				if peer != u {
					_, _ = u.conn.net.Write(frames.EndSession{Peer: peer.key, Reason: goodbye}.Append(nil))
				}
			}
		}
	}
	for _, u := range w.users[1:] {
		u.conn.closes("", false)
	}
	for began := time.Now(); w.actors() > 1; <-time.After(time.Millisecond) {
		if time.Since(began) > w.long() {
			w.finds(leaked, "everybody but one has left, and %d users have actors", w.actors())
			return
		}
	}
}

// actors counts the users' actors.
func (w *world) actors() (n int) {
	for _, bucket := range w.system.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, id := range bucket.Keys() {
			_, below, _ := strings.Cut(id, "/registry")
			if strings.Contains(below, "/") {
				n++
			}
		}
	}
	return n
}
