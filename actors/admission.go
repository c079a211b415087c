package actors

import "time"

// Admission is what one connection counts for. That of a connection nobody counts is nil. Safe for concurrent use.
type Admission struct {
	door    *Door
	address *Address

	// With the Door's mu.
	online bool
	closed bool
}

// from returns the address that the connection counts for.
func (a *Admission) from() *Address {
	if a == nil {
		return nil
	}
	return a.address
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
	switch {
	case a.address == nil:
	case a.online:
		a.address.online += n
	default:
		a.address.anonymous += n
	}
}

// punish adds to the penalty of the connection's address, for what happened before it logged in.
func (a *Admission) punish(by func(Penalties) time.Duration) {
	if a == nil || a.address == nil {
		return
	}
	a.door.mu.Lock()
	defer a.door.mu.Unlock()
	p := a.door.limits.Penalties
	if p.From == 0 {
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
