package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// A user that has proved who it is keeps its sessions, with peers that have, when its connection ends: it is away then. What is sent to it
// is refused with OFFLINE, until it comes back, or was away for too long.

// Why sessions end, as peers are told (docs/protocol.md, EndSession).
const (
	disconnected = "disconnected"
	awayTooLong  = "away for too long"
)

// absence is how long a user has been away. It survives crashes.
type absence struct {
	awaySince time.Time // zero if it is not
	awayTimer *time.Timer
	awayHeard uint64 // what the Registry was told of, as in Away
}

// away tells the Registry of a user that has left and keeps sessions, and begins to count its time.
func (u *user) away(ctx actor.Context) {
	if !u.awaySince.IsZero() && u.awayHeard == u.heard {
		return
	}
	ctx.Send(u.registry, Away{Key: u.name, User: ctx.Self(), Heard: u.heard})
	u.awayHeard = u.heard
	if !u.awaySince.IsZero() {
		return
	}
	u.awaySince = time.Now()
	if limit := u.shared.Limits().AwayTime; limit > 0 {
		shared, self, over := u.shared, ctx.Self(), awayFor{since: u.awaySince}
		u.awayTimer = time.AfterFunc(limit, func() { shared.send(self, over) })
	}
}

// end ends it.
func (a *absence) end() {
	if a.awayTimer != nil {
		a.awayTimer.Stop()
	}
	*a = absence{}
}

// forget ends the sessions of a user that is away.
func (u *user) forget(ctx actor.Context) {
	if u.phase == vacant {
		u.absence.end()
		u.endAll(ctx, awayTooLong)
	}
}

// recheck has a user go that may not be here any more.
func (u *user) recheck(ctx actor.Context) {
	switch {
	case u.shared.Trust.allows(frames.Key(u.name).Fingerprint()):
	case u.phase == online:
		ctx.Send(u.login.Connection, Close{Code: frames.NotAllowed})
		for _, p := range u.pairs {
			p.keeps = false
		}
	default:
		u.forget(ctx)
	}
}

// endAll ends everything there is with peers; as with every end, nobody logs in before they have let go.
func (u *user) endAll(ctx actor.Context, reason string) {
	u.enter(leaving)
	for _, p := range u.pairs {
		p.keeps = false
		u.farewell(ctx, p, reason)
	}
}

// end ends what there is with a peer, because our client says so.
func (u *user) end(ctx actor.Context, c *Chunk, peer frames.Key) {
	p, ok := u.pairs[string(peer)]
	if !ok {
		_, whole := c.frame()
		c.pass(len(whole))
		return
	}
	run := c.run(len(peer))
	run.alone = true
	u.waitFor(p)
	ctx.Send(p.user, Hear{Run: run})
	state, _ := p.state.Say(End, Allowance{})
	u.set(p, state)
}

// hearEnd ends what there is with a peer, because the peer's client says so. Ours is told if there was a session, and it said Hello.
func (u *user) hearEnd(ctx actor.Context, run *Run) {
	p, peer := u.pair(run.From()), run.Sender()
	u.sendRun(ctx, p)
	tells := p.state&Open != 0 && u.extended()
	state, _ := p.state.Hear(End, Here{})
	u.set(p, state)
	u.mail.Mark()
	ctx.Send(peer, LetGo{Peer: u.name})
	if tells {
		ctx.Send(u.login.Connection, Deliver{Run: u.mail.carry(run)})
	} else {
		run.settleAll(0)
	}
	u.vacateIfVacant(ctx)
}

// extended reports whether there is a client, and it understands more than the seed's types.
func (u *user) extended() bool { return u.phase == online && u.login.extended }
