package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// What is published of users and their sessions. A key prints as its length only.
type (
	// UserOnline says that a user has logged in.
	UserOnline struct {
		Key        frames.Key
		Kind       LoginKind
		Connection *actor.PID
	}
	// UserGone says that its connection has ended, or another has taken its login over; UserOnline comes for that one.
	UserGone struct{ Key frames.Key }
	// SessionOpened says that two users have a session now, once for both.
	SessionOpened struct{ One, Other frames.Key }
	// SessionEnded says that they have none any more.
	SessionEnded struct{ One, Other frames.Key }
)

// publish tells of a session that opens or ends. Both users' actors find that it does; the one with the lesser key tells.
func (u *user) publish(p *pair, before, now Pair) {
	if u.name > p.peer || (before^now)&Open == 0 {
		return
	}
	one, other := frames.Key(u.name), frames.Key(p.peer)
	if now&Open == 0 {
		u.shared.Publish(SessionEnded{one, other})
		return
	}
	u.shared.counts.sessions.Add(1)
	u.shared.Publish(SessionOpened{one, other})
}
