package actors

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// What a UserActor does when a connection ends, its own or a peer's. Nobody logs in with the key before every peer has let go.

// ended takes note of a peer that has left: what remains is a session that outlives that, if there is one.
func (u *user) ended(ctx actor.Context, m Ended) {
	keeps := false
	if p, ok := u.pairs[m.Peer]; ok && p.user.Equal(m.User) {
		u.sendRun(ctx, p)
		open := p.state&Open != 0
		keeps = p.keeps && m.Keeps
		u.set(p, p.state.Left(keeps))
		switch {
		case keeps:
			u.is(ctx, p, false)
		case open && u.extended():
			f := frames.EndSession{Peer: frames.Key(m.Peer), Reason: m.Reason}
			ctx.Send(u.login.Connection, Deliver{Run: notice(u.shared, u.login.window, f)})
		}
	}
	ctx.Send(m.User, LetGo{Peer: u.name, Lost: !keeps})
	u.vacateIfVacant(ctx)
}

// leave ends everything of the login whose connection has stopped: all of it before the key can log in again.
func (u *user) leave(ctx actor.Context, m Leave) {
	u.heard = max(u.heard, m.Seq)
	u.next = slices.DeleteFunc(u.next, func(j Join) bool { return j.Login == m.Login })
	switch m.Login {
	case u.login:
		u.depart(ctx, disconnected)
	case u.parting:
		u.parting = nil
	default: // it was rejected, or waits to be the next, which the end of its connection keeps it from
		u.vacateIfVacant(ctx)
	}
}

// depart ends what the login that is on has with peers.
func (u *user) depart(ctx actor.Context, reason string) {
	u.enter(leaving)
	u.shared.note(u.name, "user gone")
	u.shared.Publish(UserGone{frames.Key(u.name)})
	u.dropChunks()
	u.delayed.stop()
	u.login = nil
	for _, p := range u.pairs {
		u.farewell(ctx, p, reason)
	}
}

func (u *user) farewell(ctx actor.Context, p *pair, reason string) {
	u.waitFor(p)
	ctx.Send(p.user, Ended{Peer: u.name, User: ctx.Self(), To: p.peer, Keeps: p.keeps, Reason: reason, over: u.shared})
	u.set(p, p.state.Left(p.keeps))
}

// waitFor has nobody log in before a peer has let go.
func (u *user) waitFor(p *pair) {
	if u.farewells == nil {
		u.farewells = map[string]int{}
	}
	u.farewells[p.peer]++
}

func (u *user) letGo(m LetGo) {
	if u.farewells[m.Peer]--; u.farewells[m.Peer] <= 0 {
		delete(u.farewells, m.Peer)
	}
	if p, ok := u.pairs[m.Peer]; ok && m.Lost {
		u.set(p, p.state.Left(false))
	}
}

// left goes on when the last login has ended for everybody.
func (u *user) left(ctx actor.Context) {
	switch {
	case u.phase == leaving && (len(u.farewells) > 0 || u.asking != nil || u.parting != nil):
	case u.phase == leaving:
		u.enter(vacant)
		u.stay(ctx)
		u.welcome(ctx)
	case u.phase == vacant && len(u.next) > 0: // it has crashed when it let them in
		u.welcome(ctx)
	}
}
