package model

import (
	"crypto/rand"
	"maps"
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// logIn asks to be let in, and waits for the answer.
func (c *conn) logIn(m manner) {
	u := c.user
	if m != plain {
		c.greets()
	}
	switch m {
	case plain, greets:
		c.say(0, said{typ: frames.TypeLogin, to: -1})
	case proves, forges:
		if !c.until(u.world.long(), func() bool { return c.over || c.welcome != nil }) || c.isOver() {
			return
		}
		proof := must(frames.NewGreeting(c.hello, c.welcome, frames.Binding{}).Prove(privates[u.index]))
		s := said{typ: frames.TypeProve, to: -1}
		if m == forges {
			proof.Signature[len(proof.Signature)/2] ^= 1
			s.want = frames.ProofInvalid
		}
		s.frame = proof
		c.say(0, s)
	}
	if !c.until(u.world.long(), func() bool { return c.over || c.loggedIn || c.hasAnswer(c.asking) }) {
		u.world.finds(leaked, "%s/%d has no answer to its login", name(u.index), c.id)
	}
}

// greets says Hello, once.
func (c *conn) greets() {
	if c.hello != nil {
		return
	}
	var elements frames.Elements
	elements.Nonce = make([]byte, frames.NonceSize)
	_, _ = rand.Read(elements.Nonce) // never fails
	wants := c.user.world.script.who[c.user.index].presence
	if wants {
		elements.Features = 1
	}
	hello := frames.Hello{Elements: elements}
	c.mu.Lock()
	c.hello = hello.Append(nil)[frames.HeaderSize:]
	c.greeted, c.presence = true, wants
	c.mu.Unlock()
	c.say(0, said{typ: frames.TypeHello, to: -1, frame: hello})
}

// unlessGreeted is the refusal of what needs a Hello.
func (c *conn) unlessGreeted(code frames.Code) frames.Code {
	if c.greeted {
		return 0
	}
	return code
}

// mustProve reports whether the last login was refused for want of a proof.
func (c *conn) mustProve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.heard {
		if m.number == c.asking && m.code == frames.ProofRequired {
			return true
		}
	}
	return false
}

// isLetIn takes note of what LoginAccepted answers. For who holds the lock.
func (c *conn) isLetIn(at uint64) {
	c.loggedIn = true
	if c.login == nil && c.asking > 0 {
		login := c.record.said[c.asking-1]
		c.login, c.letIn = &login, at
	}
}

// arrives makes the user know again of the sessions that are kept.
func (u *user) arrives() {
	before, c := u.last, u.conn
	u.last = c
	if before == nil || before == c || !before.proven() || !c.proven() {
		return
	}
	before.mu.Lock()
	open := maps.Clone(before.open)
	before.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	for peer := range open {
		c.open[peer] = c.open[peer] || u.world.script.who[peer].manner == proves
	}
}

// comesTwice logs in on another connection, tries to say something there, and closes it.
func (u *user) comesTwice(way manner, peer int) {
	second := u.connect()
	if second == nil {
		return
	}
	if second.logIn(way); second.isOn() {
		second.say(0, said{typ: frames.TypeMessage, to: peer, id: ids.Add(1)})
		second.refusedOnce()
	}
	second.closes("closes", false)
}

// comesAgain proves on some more connections at once. One of them is left, unless they crash.
func (u *user) comesAgain(count int) {
	u.manner = proves
	list := []*conn{u.conn}
	for range count {
		if c := u.connect(); c != nil {
			list = append(list, c)
		}
	}
	all := make(chan struct{})
	for _, c := range list[1:] {
		go func() { // ends when the relay has answered
			c.logIn(proves)
			all <- struct{}{}
		}()
	}
	for range list[1:] {
		<-all
	}
	on := u.leavesOne(list)
	for _, c := range list {
		if c != on {
			c.closes("closes", false)
		}
	}
	if u.conn = on; on != nil {
		u.arrives()
	}
}

// leavesOne waits until at most one of a user's connections is logged in, and returns it.
func (u *user) leavesOne(list []*conn) *conn {
	var on []*conn
	for range u.world.long() / soon {
		on = slices.DeleteFunc(slices.Clone(list), func(c *conn) bool { return !c.isOn() })
		if len(on) < 2 {
			break
		}
		<-time.After(soon)
	}
	switch len(on) {
	case 0:
		return nil
	case 1:
	default:
		u.world.finds(wrong, "%s is logged in on %d connections", name(u.index), len(on))
	}
	return on[0]
}
