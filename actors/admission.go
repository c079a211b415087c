package actors

import (
	"net"
	"net/netip"
	"time"
)

// Admission is what one connection counts for. That of a connection nobody counts is nil. Safe for concurrent use.
type Admission struct {
	door *Door

	// With the Door's mu.
	address *Address // set once, at the door or when it arrives
	online  bool
	closed  bool
}

// from returns the address that the connection counts for.
func (a *Admission) from() *Address {
	if a == nil {
		return nil
	}
	a.door.mu.Lock()
	defer a.door.mu.Unlock()
	return a.address
}

// arrive has a connection that counted for no address count for the one it has now, of which a proxy has told. The text says why it may
// not.
func (a *Admission) arrive(conn net.Conn) (arrived bool, text string) {
	if a == nil {
		return false, ""
	}
	from := prefixOf(conn)
	a.door.mu.Lock()
	if arrived = a.address == nil && from.IsValid() && !a.closed; arrived {
		text = a.comeFrom(from, time.Now())
	}
	told := a.door.toTell()
	a.door.mu.Unlock()
	a.door.tell(told)
	return arrived, text
}

// comeFrom counts the connection for an address, unless that may not have it. With the Door's mu.
func (a *Admission) comeFrom(from netip.Prefix, now time.Time) (text string) {
	address := a.door.address(from)
	if text = a.door.judgeAddress(address, now); text != "" {
		a.door.count(text)
		return text
	}
	a.count(-1)
	a.address = address
	a.count(+1)
	return ""
}

// logIn counts the connection as one that is logged in; false if its address has no place left for that.
func (a *Admission) logIn() bool {
	if a == nil {
		return true
	}
	a.door.mu.Lock()
	defer a.door.mu.Unlock()
	most := a.door.limits.OnlinePerAddress
	switch {
	case a.closed || a.online:
		return true
	case a.address != nil && most > 0 && a.address.online >= most:
		return false
	}
	a.count(-1)
	a.online = true
	a.count(+1)
	return true
}

// logOut takes logIn back: the login was refused.
func (a *Admission) logOut() {
	if a == nil {
		return
	}
	a.door.mu.Lock()
	defer a.door.mu.Unlock()
	if a.closed || !a.online {
		return
	}
	a.count(-1)
	a.online = false
	a.count(+1)
}

// Close takes the connection off the count. It may be called more than once.
func (a *Admission) Close() {
	if a == nil {
		return
	}
	a.door.mu.Lock()
	defer a.door.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	a.count(-1)
	a.door.connections--
	a.door.forget(a.address, time.Now())
}

// count counts the connection where it stands. With the Door's mu.
func (a *Admission) count(n int) {
	if !a.online {
		a.door.anonymous += n
	}
	if a.address == nil {
		return
	}
	before := a.address.online + a.address.anonymous
	a.door.crowds.move(before, before+n)
	if a.online {
		a.address.online += n
	} else {
		a.address.anonymous += n
	}
	if isPrivate(a.address.prefix) {
		a.door.private += n
	}
}

// punish adds to the penalty of the connection's address, for what happened before it logged in.
func (a *Admission) punish(by func(Penalties) time.Duration) {
	if a == nil {
		return
	}
	a.door.mu.Lock()
	defer a.door.mu.Unlock()
	p := a.door.limits.Penalties
	if a.address == nil || p.From == 0 {
		return
	}
	now, address := time.Now(), a.address
	if !now.Before(address.penalty) {
		address.penalty, address.banned = now, false
	}
	address.penalty = address.penalty.Add(by(p))
	if latest := now.Add(p.Most); address.penalty.After(latest) {
		address.penalty = latest
	}
	address.banned = address.banned || address.penalty.Sub(now) >= p.From
}

func badLogin(p Penalties) time.Duration  { return p.BadLogin }
func badProof(p Penalties) time.Duration  { return p.BadProof }
func lateLogin(p Penalties) time.Duration { return p.LateLogin }
