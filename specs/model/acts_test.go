package model

import (
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// encode appends the frame that is said.
func (u *user) encode(s *said, b []byte) []byte {
	switch {
	case s.frame != nil:
		return s.frame.Append(b)
	case s.want == frames.TooLarge:
		return append(b, byte(s.typ), 0xff, 0xff, 0xff, 0xff)
	}
	peer := u.key
	if s.to >= 0 {
		peer = keys[s.to]
	}
	content := body(s.id, s.size)
	switch s.typ { //nolint:exhaustive // any other is one that nobody knows
	case frames.TypeLogin:
		return frames.Login{Key: u.key}.Append(b)
	case frames.TypeStart:
		return frames.StartSession{Peer: peer, Sealed: content}.Append(b)
	case frames.TypeAccept:
		return frames.AcceptSession{Peer: peer, Sealed: content}.Append(b)
	case frames.TypeMessage:
		return frames.Message{Peer: peer, Body: content}.Append(b)
	case frames.TypeEnd:
		return frames.EndSession{Peer: peer, Reason: string(content)}.Append(b)
	case frames.TypePing, frames.TypePong:
		return append(frames.AppendHeader(b, s.typ, len(content)), content...)
	}
	return append(frames.AppendHeader(b, s.typ, 8), content[:8]...)
}

// acts does one thing after the other.
func (u *user) acts(list []action) {
	for _, a := range list {
		if !u.online() {
			return
		}
		u.accepts()
		u.does(a)
	}
}

func (u *user) does(a action) {
	c := u.conn
	switch a.kind {
	case talk:
		u.talks(a)
	case ask:
		u.asks(a.peer)
	case accept:
		c.say(0, said{typ: frames.TypeAccept, to: a.peer, id: ids.Add(1), size: 20})
	case junk:
		c.say(a.cuts, u.junk()...)
	case deaf:
		u.isDeaf(a)
	case wait:
		u.world.pause(time.Duration(a.pause) * time.Millisecond)
	case end:
		u.ends(a.peer)
	case ping:
		c.say(a.cuts, said{typ: frames.TypePing, to: -1, id: ids.Add(1), want: c.unlessGreeted(frames.Unsupported)})
	case twice:
		u.comesTwice(a.way, a.peer)
	case again:
		if a.cuts > 0 {
			u.isDeaf(a)
		}
		if u.manner == proves || a.blind {
			u.comesAgain(1 + a.count%3)
		}
	case away:
		c.closes("goes away", a.blind)
		u.comesTwice(a.way, a.peer)
		u.world.pause(time.Duration(a.pause) * time.Millisecond)
	case leave:
		c.closes("closes", false)
	case vanish:
		c.closes("vanishes", true)
	case broken:
		c.write(frames.Message{Peer: u.key, Body: make([]byte, 100)}.Append(nil)[:70], 0)
		c.closes("closes in the middle of a frame", true)
	case absurd:
		c.say(0, said{typ: frames.TypeMessage, to: -1, size: -1, want: frames.TooLarge})
		c.until(c.user.world.long(), func() bool { return c.over })
	}
}

// junk is a frame of each kind that is refused whatever happens.
func (u *user) junk() []said {
	return []said{
		{typ: 0x77, to: -1, want: frames.Unsupported},
		{typ: frames.TypeMessage, to: u.index, id: ids.Add(1), want: frames.BadKey},
		{typ: frames.TypeStart, to: u.index, id: ids.Add(1), want: frames.BadKey},
		{typ: 0x78, to: -1, want: frames.Unsupported},
		{typ: frames.TypeLogin, to: -1, want: frames.AlreadyLoggedIn},
		{typ: frames.TypeHello, to: -1, want: frames.AlreadyLoggedIn},
		{typ: frames.TypePresence, to: -1, want: frames.Unsupported},
	}
}

// refusedOnce waits for the answer to a frame that is refused: whatever was written before it was heard then.
func (c *conn) refusedOnce() {
	number := c.say(0, said{typ: 0x77, to: -1, want: frames.Unsupported})
	if !c.until(c.user.world.long(), func() bool { return c.over || c.hasAnswer(number) }) {
		c.user.world.finds(leaked, "%s/%d has no answer to number %d", name(c.record.user), c.id, number)
	}
}

func (c *conn) hasAnswer(number uint64) bool {
	return slices.ContainsFunc(c.heard, func(m heard) bool { return m.typ == frames.TypeError && m.number == number })
}

func (u *user) asks(peer int) {
	c := u.conn
	c.mu.Lock()
	c.asked[peer] = true
	c.mu.Unlock()
	c.say(0, said{typ: frames.TypeStart, to: peer, id: ids.Add(1), size: 30})
}

// accepts accepts whoever has asked.
func (u *user) accepts() bool {
	c := u.conn
	c.mu.Lock()
	requests := c.requests
	c.requests = nil
	for _, peer := range requests {
		if peer >= 0 {
			c.open[peer] = true
		}
	}
	c.mu.Unlock()
	for _, peer := range requests {
		if peer >= 0 {
			c.say(0, said{typ: frames.TypeAccept, to: peer, id: ids.Add(1), size: 20})
		}
	}
	return true
}

// meets tries to have a session with a peer, for a while.
func (u *user) meets(peer int) bool {
	c := u.conn
	for end := time.Now().Add(5 * soon); time.Now().Before(end) && !c.isOver(); {
		c.mu.Lock()
		open, asked := c.open[peer], c.asked[peer]
		c.mu.Unlock()
		if open {
			return true
		}
		if !asked {
			u.asks(peer)
		}
		c.until(soon, func() bool { return c.over || c.open[peer] || len(c.requests) > 0 })
		u.accepts()
	}
	return false
}

// meetsAgain has a session with a peer for sure, now that nobody else does anything. The peer may have come anew since they met.
func (u *user) meetsAgain(peer *user) bool {
	c := u.conn
	c.mu.Lock()
	c.forgets(peer.index)
	c.mu.Unlock()
	peer.accepts() // what was asked long ago
	peer.conn.refusedOnce()
	u.asks(peer.index)
	return peer.conn.until(u.world.long(), func() bool { return peer.conn.over || slices.Contains(peer.conn.requests, u.index) }) &&
		peer.accepts() && c.until(c.user.world.long(), func() bool { return c.over || c.accepted[peer.index] }) && !c.isOver()
}

func (u *user) talks(a action) {
	if !a.blind && !u.meets(a.peer) {
		return
	}
	list := make([]said, 0, a.count)
	for range a.count {
		list = append(list, said{typ: frames.TypeMessage, to: a.peer, id: ids.Add(1), size: a.size})
	}
	u.conn.say(a.cuts, list...)
}

// ends ends what there is with a peer, and makes sure to know when that is done.
func (u *user) ends(peer int) {
	c := u.conn
	c.mu.Lock()
	c.forgets(peer)
	c.mu.Unlock()
	unsupported := c.unlessGreeted(frames.Unsupported)
	c.say(0,
		said{typ: frames.TypeEnd, to: peer, id: ids.Add(1), want: unsupported},
		said{typ: frames.TypePing, to: -1, id: ids.Add(1), want: unsupported},
	)
}

// isDeaf has the user read nothing for a while.
func (u *user) isDeaf(a action) {
	w, c := u.world, u.conn
	w.mu.Lock()
	w.deaf[u.index] = true
	w.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deafTill = time.Now().Add(w.limited(time.Duration(a.pause) * time.Millisecond))
}
