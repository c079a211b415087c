package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// takeovers are when a key was last taken over by another connection that proved, within a minute. Two clients of one user that each
// connect again as soon as the other has replaced them would keep the relay busy.
type takeovers []time.Time

const (
	takeoverWindow = time.Minute
	damping        = time.Second
)

// count counts one more, and reports whether it is to be damped.
func (t *takeovers) count(limit int, now time.Time) bool {
	if limit == 0 {
		return false
	}
	*t = slices.DeleteFunc(*t, func(at time.Time) bool { return now.Sub(at) >= takeoverWindow })
	if len(*t) >= limit { // older ones make no difference
		*t = slices.Delete(*t, 0, 1)
	}
	*t = append(*t, now)
	return len(*t) >= limit
}

// damped is a takeover whose time has come.
type damped struct {
	quiet
	Join
}

// contend decides on a login of a key that is on elsewhere.
func (u *user) contend(ctx actor.Context, m Join) {
	if !m.Login.proven {
		ctx.Send(m.Login.Connection, Rejected{Login: m.Login, Code: frames.KeyInUse})
		if u.login.extended && !u.login.proven {
			ctx.Send(u.login.Connection, Probe{})
		}
		return
	}
	if u.takeovers.count(u.shared.Limits().Takeovers, time.Now()) {
		u.damping++
		shared, self := u.shared, ctx.Self()
		time.AfterFunc(damping, func() { shared.send(self, damped{Join: m}) })
		return
	}
	u.takeOver(ctx, m)
}

// takeOver puts a login in the place of the one that is on. First all of that one ends: its client, and then what it has with peers,
// but for sessions that both sides had proved for.
func (u *user) takeOver(ctx actor.Context, m Join) {
	u.shared.counts.takeovers.Add(1)
	u.next = slices.Insert(u.next, 0, m)
	u.parting = u.login
	ctx.Send(u.login.Connection, Oust{})
	u.depart(ctx, disconnected)
}

// goOn takes over after a damped takeover has waited.
func (u *user) goOn(ctx actor.Context, m Join) {
	u.damping--
	switch {
	case m.Login.over.Load(): // it did not wait
		u.vacateIfVacant(ctx)
	case u.phase == online:
		u.takeOver(ctx, m)
	default:
		u.join(ctx, m)
	}
}
