package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// presence is what we know of whether a peer is connected, and what our client was told of it (docs/protocol.md, Presence).
type presence struct {
	wanted bool      // the peer's client asked for Presence, or did when it was last connected
	online bool      // the peer is
	since  time.Time // from when on
	told   bool      // our client was told something in this login,
	toldOf bool      // whether the peer is online,
	toldAt time.Time // then
}

// Present says whether a user is connected, to the peers of its sessions that outlive connections. From one UserActor to another.
type Present struct {
	quiet
	Peer   string // the Name of whose presence it is
	Online bool
	Wanted bool // its client asked for Presence
	Answer bool // the same is to be said in turn
}

// news is a UserActor's message to itself that some of its client's peers have come or gone a moment ago.
type news struct{ quiet }

// merging is how long a change may last that nobody is told of, and how long there is between two changes.
const merging = time.Second

// present tells the peers of the sessions that were kept that our client is here, and asks who of them is.
func (u *user) present(ctx actor.Context) {
	for _, p := range u.pairs {
		p.told = false
		ctx.Send(p.user, u.here(true))
	}
}

func (u *user) here(answer bool) Present {
	online := u.phase == online
	return Present{Peer: u.name, Online: online, Wanted: online && u.login.presence, Answer: answer}
}

// hearPresent takes note of a peer that has come back, or was asked.
func (u *user) hearPresent(ctx actor.Context, m Present) {
	p, ok := u.pairs[m.Peer]
	if !ok || !p.keeps {
		return
	}
	if m.Answer {
		ctx.Send(p.user, u.here(false))
	}
	if m.Online {
		p.wanted = m.Wanted
	}
	u.is(ctx, p, m.Online)
}

// is takes note of whether a peer is online.
func (u *user) is(ctx actor.Context, p *pair, online bool) {
	if p.online != online {
		p.online, p.since = online, time.Now()
	}
	u.tell(ctx, p)
}

// tell tells our client of a peer that has come or gone: never the same twice, and not of what passes within a moment.
func (u *user) tell(ctx actor.Context, p *pair) {
	is := p.online && p.wanted // who does not want to be seen any more, when coming back, has gone
	if u.phase != online || !u.login.presence || !p.keeps || !p.wanted && !p.told || p.told && p.toldOf == is {
		return
	}
	now, due := time.Now(), time.Time{}
	if p.told {
		due = p.toldAt.Add(merging)
	}
	if gone := p.since.Add(merging); p.told && !is && gone.After(due) {
		due = gone
	}
	if now.Before(due) || !u.login.window.free() {
		u.newsIn(ctx, max(due.Sub(now), merging/10))
		return
	}
	p.told, p.toldOf, p.toldAt = true, is, now
	f := frames.Presence{Online: is, Peer: frames.Key(p.peer)}
	ctx.Send(u.login.Connection, Deliver{Run: notice(u.shared, u.login.window, f)})
}

// newsIn has our client's peers looked at again in that time.
func (u *user) newsIn(ctx actor.Context, d time.Duration) {
	if u.newsDue {
		return
	}
	u.newsDue = true
	shared, self := u.shared, ctx.Self()
	time.AfterFunc(d, func() { shared.send(self, news{}) })
}

// news tells our client what is due of all its peers.
func (u *user) news(ctx actor.Context) {
	u.newsDue = false
	for _, p := range u.pairs {
		u.tell(ctx, p)
	}
}
