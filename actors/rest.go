package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// rest keeps a user that crashes again and again from doing so all the time: when it is given up, its connection is closed, and the next
// login of its key has to wait, twice as long each time, until it was calm for a minute. It survives crashes, and the actor
// stays until it is forgotten. So it does when its user has left and would be allowed more by coming again.
type rest struct {
	times int       // it was given up
	until time.Time // no login before that
	over  time.Time // forgotten from then on
	timer *time.Timer
}

const (
	firstRest   = 100 * time.Millisecond
	longestRest = 5 * time.Second
	calmTime    = time.Minute
)

func (u *user) giveUp(ctx actor.Context) {
	r, now := &u.rest, time.Now()
	if r.forgotten() {
		r.times = 0
	}
	length := longestRest
	if shorter := firstRest << r.times; shorter < longestRest {
		length = shorter
		r.times++
	}
	r.until = now.Add(length)
	r.over = r.until.Add(calmTime)
	u.wakeAfter(ctx, length)
	for _, p := range u.pairs {
		p.keeps = p.keeps && u.phase == leaving // then the peers have been told
	}
	switch {
	case u.login != nil:
		ctx.Send(u.login.Connection, Close{Code: frames.Internal})
	case u.phase == vacant && len(u.pairs) > 0:
		u.endAll(ctx, disconnected)
	}
}

// stay lets the actor outlive the login until it may ask as often as anybody who comes for the first time.
func (u *user) stay(ctx actor.Context) {
	if u.starts == nil {
		return
	}
	missing := float64(u.starts.Burst()) - u.starts.Tokens()
	if missing <= 0 {
		return
	}
	r, length := &u.rest, time.Duration(missing/float64(u.starts.Limit())*float64(time.Second))
	if over := time.Now().Add(length); over.After(r.over) {
		r.over = over
	}
	if !r.on() {
		u.wakeAfter(ctx, time.Until(r.over))
	}
}

func (u *user) wakeAfter(ctx actor.Context, d time.Duration) {
	if timer := u.rest.timer; timer != nil {
		timer.Reset(d)
		return
	}
	shared, self := u.shared, ctx.Self()
	u.rest.timer = time.AfterFunc(d, func() { shared.send(self, rested{}) })
}

// rested lets come who waits, now that the rest is over; and later, now that it is forgotten, the actor may go.
func (u *user) rested(ctx actor.Context) {
	if u.rest.on() { // it was given up again meanwhile, and the timer is set for that
		return
	}
	if left := time.Until(u.rest.over); left > 0 {
		u.rest.timer.Reset(left)
	}
	if u.phase != leaving {
		u.welcome(ctx)
	}
}

func (r *rest) on() bool        { return time.Now().Before(r.until) }
func (r *rest) forgotten() bool { return !time.Now().Before(r.over) }

func (r *rest) stop() {
	if r.timer != nil {
		r.timer.Stop()
	}
}
