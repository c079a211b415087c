package actors

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// UserActor is one public key: it decides what its client may say to whom, and is the authority on what reaches its client.
//
//	          Join           Leave, or a Join that has proved          every LetGo
//	vacant ──────────► online ────────────────────────────► leaving ───────────────► vacant, or online for the next Join
//	   │
//	   └─ Vacated: stops
//
// Whoever may still send to it is in its pairs, or is the Registry; it stops when neither can. One that is vacant with pairs is away: it
// keeps sessions.
type UserActor struct{ *user }

// user is the state of a UserActor. It survives crashes: the actor starts again with the same.
type user struct {
	shared   *Shared
	mail     *Mailbox
	registry *actor.PID
	name     string // the key
	phase    phase
	login    *Login // who is connected; nil unless online
	parting  *Login // whose login was taken over, and may still write
	next     []Join // who wants to be, once everything of the last login has ended
	heard    uint64 // the last message of the Registry's, by its Seq

	pairs         map[string]*pair // by the peer's key
	asked, places int              // pairs that are Asked; Asked or Open
	farewells     map[string]int   // how many Ended each peer has not answered
	box           box              // of pairs that are Invited but not Open

	walking
	delayed delayed
	rest    rest

	takeovers takeovers
	damping   int // takeovers that wait
	newsDue   bool
	absence

	seen struct{ phase, sessions atomic.Int32 } // from outside
}

// UserProps makes the UserActor of the key with that Name.
func UserProps(shared *Shared, name string, registry *actor.PID) *actor.Props {
	u := &user{shared: shared, registry: registry, name: name, walking: walking{last: &stranger}}
	u.mail = NewMailbox(shared, u.quarantine)
	u.mail.Look(u.vitals)
	return actor.PropsFromProducer(func() actor.Actor { return &UserActor{u} }, u.mail.Props())
}

// Receive implements actor.Actor.
func (u *UserActor) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started, *actor.Restarting, *actor.Stopped:
	case *actor.Stopping:
		u.shared.contain(u.abandon)
	default:
		if !u.mail.Marked() { // else its effect was had before a crash
			u.handle(ctx, ctx.Message())
			u.mail.Mark()
		}
		u.walk(ctx)
		u.left(ctx)
	}
}

// handle does what a message is for, but for the walk.
func (u *user) handle(ctx actor.Context, message any) {
	switch m := message.(type) {
	case Take:
		u.take(m.Chunk)
	case Hear:
		u.hear(ctx, m.Run)
	case Answered:
		u.answered(ctx, m)
	case unavailable:
		u.delayed.due()
	case walk: // it is walked after every message
	case Ended:
		u.ended(ctx, m)
	case LetGo:
		u.letGo(m)
	case Present:
		u.hearPresent(ctx, m)
	case news:
		u.news(ctx)
	default:
		u.comeOrGo(ctx, m)
	}
}

// comeOrGo does what a message is for that has somebody come or go.
func (u *user) comeOrGo(ctx actor.Context, message any) {
	switch m := message.(type) {
	case Join:
		u.join(ctx, m)
	case Leave:
		u.leave(ctx, m)
	case damped:
		u.goOn(ctx, m.Join)
	case Forget:
		u.forget(ctx)
	case Recheck:
		u.recheck(ctx)
	case awayFor:
		if u.awaySince.Equal(m.since) {
			u.forget(ctx)
		}
	case Vacated:
		ctx.Stop(ctx.Self())
	case GiveUp:
		u.giveUp(ctx)
	case rested:
		u.rested(ctx)
	default:
		Abandon(m)
	}
}

// join makes a login ours, if nobody else is, or it has proved.
func (u *user) join(ctx actor.Context, m Join) {
	u.heard = max(u.heard, m.Seq)
	switch {
	case u.login != nil && u.login == m.Login: // asked again, after a crash
	case u.phase == leaving || u.rest.on():
		u.next = append(u.next, m) // the last login ends first, all of it
	case u.shared.nowNeedsProof(m.Login):
		ctx.Send(m.Login.Connection, Rejected{Login: m.Login, Code: frames.ProofRequired})
		u.vacateIfVacant(ctx)
	case u.phase == online:
		u.contend(ctx, m)
	case !m.Login.proven && len(u.pairs) > 0: // the pin is gone; sessions are for those who prove
		u.next = append(u.next, m)
		u.endAll(ctx, disconnected)
	default:
		u.admit(ctx, m)
	}
}

func (u *user) admit(ctx actor.Context, m Join) {
	u.login = m.Login
	u.enter(online)
	u.absence.end()
	m.Login.User = ctx.Self()
	m.Login.Ride(u.mail)
	ctx.Send(m.Login.Connection, Joined{Login: m.Login})
	u.present(ctx)
	u.shared.note(u.name, "user online")
	u.shared.Publish(UserOnline{frames.Key(u.name), m.Login.kind(), m.Login.Connection})
}

// hear decides whether a peer's run reaches our client.
func (u *user) hear(ctx actor.Context, run *Run) {
	u.heard = max(u.heard, run.seq)
	if run.Type == frames.TypeEnd {
		u.hearEnd(ctx, run)
		return
	}
	event, p := EventOf(run.Type), run.there
	if p == nil || p.state == 0 { // there is nothing with that peer, or not the same any more
		p = u.pair(run.From())
	}
	peer := run.chunk.login
	state, code := u.decide(p, event, peer.address)
	run.away = p.state.Away(event)
	if code == 0 {
		p.user, p.mirror = peer.User, run.here
		if p.state&Invited == 0 {
			p.from = peer.address
		}
		u.set(p, state)
	}
	u.mail.Mark()
	if event == Start {
		ctx.Send(peer.User, Answered{Run: run, Code: code, User: ctx.Self()})
	} else if code != 0 {
		u.mail.carry(run).refuse(code, "")
	}
	if code == 0 {
		ctx.Send(u.login.Connection, Deliver{Run: u.mail.carry(run)})
		if event != Message {
			u.meet(ctx, p, peer)
		}
	}
	u.vacateIfVacant(ctx) // the Registry did not let us go because of this very message
}

// decide is the rule, and the request box: what a peer does, from an address, leads to, or why it is refused.
func (u *user) decide(p *pair, event Event, from *Address) (Pair, frames.Code) {
	limits := u.shared.Limits()
	state, code := p.state.Hear(event, Here{Connected: u.phase == online, Room: event != Start || u.box.room(limits, from)})
	if code == 0 && event == Start && p.state&Open == 0 && !u.box.allow(limits, from, time.Now()) {
		code = frames.Unavailable
	}
	return state, code
}

// meet takes note of who a peer is that asks or accepts, and of the session that may be open by that.
func (u *user) meet(ctx actor.Context, p *pair, peer *Login) {
	p.proven, p.wanted, p.online = peer.proven, peer.presence, true
	u.opened(ctx, p)
}

// opened takes note of whether a session, if one is open now, outlives connections.
func (u *user) opened(ctx actor.Context, p *pair) {
	p.keeps = p.state&Open != 0 && u.login.proven && p.proven
	u.tell(ctx, p)
}

// welcome lets log in who waits, and offers to go if there is nobody.
func (u *user) welcome(ctx actor.Context) {
	for len(u.next) > 0 && !u.rest.on() && u.phase != leaving {
		m := u.next[0]
		if !m.Login.over.Load() {
			u.join(ctx, m) // should we crash in here, it comes again
		}
		u.next = slices.Delete(u.next, 0, 1) // who is to wait again stands behind, or once more
	}
	u.vacateIfVacant(ctx)
}

// vacateIfVacant offers the Registry to go, or tells it of a user that is away.
func (u *user) vacateIfVacant(ctx actor.Context) {
	switch {
	case u.phase != vacant || len(u.next) > 0 || u.damping > 0:
	case len(u.pairs) > 0:
		u.away(ctx)
	case u.rest.forgotten():
		ctx.Send(u.registry, Vacate{Key: u.name, User: ctx.Self(), Heard: u.heard})
	}
}
