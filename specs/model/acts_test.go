package model

import (
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// keys are the users' public keys, of different lengths. Nobody has the private halves; the relay cannot tell.
var keys = func() (list []frames.Key) {
	r := rand.New(rand.NewPCG(0, 3))
	for _, bits := range []int{2048, 2048, 2048, 4096, 3072, 2048} {
		modulus := new(big.Int).SetBit(new(big.Int), bits-1, 1)
		for i := range bits - 1 {
			modulus.SetBit(modulus, i, uint(r.IntN(2)))
		}
		modulus.SetBit(modulus, 0, 1)
		list = append(list, must(x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: modulus, E: 65537})))
	}
	return list
}()

func (w *world) userOf(k frames.Key) int {
	for i, key := range keys {
		if string(k) == string(key) {
			return i
		}
	}
	return -1
}

// encode appends the frame that is said.
func (w *world) encode(by *user, s *said, b []byte) []byte {
	if s.want == frames.TooLarge {
		return append(b, byte(s.typ), 0xff, 0xff, 0xff, 0xff)
	}
	peer := by.key
	if s.to >= 0 {
		peer = keys[s.to]
	}
	content := body(s.id, s.size)
	switch s.typ { //nolint:exhaustive // any other is one that nobody knows
	case frames.TypeLogin:
		return frames.Login{Key: by.key}.Append(b)
	case frames.TypeStart:
		return frames.StartSession{Peer: peer, Sealed: content}.Append(b)
	case frames.TypeAccept:
		return frames.AcceptSession{Peer: peer, Sealed: content}.Append(b)
	case frames.TypeMessage:
		return frames.Message{Peer: peer, Body: content}.Append(b)
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
		u.world.isDeaf(u.index)
		c.mu.Lock()
		c.deafTill = time.Now().Add(u.world.limited(time.Duration(a.pause) * time.Millisecond))
		c.mu.Unlock()
	case wait:
		u.world.pause(time.Duration(a.pause) * time.Millisecond)
	case twice:
		u.comesTwice()
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
	}
}

// refusedOnce waits for the answer to a frame that is refused: whatever was written before it was heard then.
func (c *conn) refusedOnce() {
	c.say(0, said{typ: 0x77, to: -1, want: frames.Unsupported})
	c.mu.Lock()
	number := uint64(len(c.record.said))
	c.mu.Unlock()
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

// comesTwice logs in on another connection, and closes that, whether it was let in or not.
func (u *user) comesTwice() {
	second := u.connect()
	if second == nil {
		return
	}
	second.login()
	second.until(second.user.world.long(), func() bool { return second.over || second.loggedIn || second.answered() })
	second.closes("closes", false)
}

func (w *world) isDeaf(user int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf[user] = true
}
