package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// delayed are StartSessions that are to be answered with UNAVAILABLE, always as late, so that the time does not tell who is
// unknown, who is away, and who has no room (docs/protocol.md, UNAVAILABLE). The walk goes on meanwhile. They survive crashes.
type delayed struct {
	runs  []delayedRun // in the order in which they are due
	timer *time.Timer
}

type delayedRun struct {
	*Run
	due time.Time
}

// unavailableAfter is the time from a StartSession to UNAVAILABLE.
const unavailableAfter = 20 * time.Millisecond

// delay keeps a StartSession that came at a time until it is due. What waits must not keep a large buffer.
func (u *user) delay(ctx actor.Context, run *Run, came time.Time) {
	d := &u.delayed
	run.detachIfSmall()
	d.runs = append(d.runs, delayedRun{run, came.Add(unavailableAfter)})
	if d.timer == nil {
		shared, self := u.shared, ctx.Self()
		d.timer = time.AfterFunc(time.Until(d.runs[0].due), func() { shared.send(self, unavailable{}) })
	} else if len(d.runs) == 1 {
		d.timer.Reset(time.Until(d.runs[0].due))
	}
}

// due refuses those for which the time has come.
func (d *delayed) due() {
	for now := time.Now(); len(d.runs) > 0; {
		if left := d.runs[0].due.Sub(now); left > 0 {
			d.timer.Reset(left)
			return
		}
		d.refuse()
	}
	d.runs = nil // and the memory of many
}

// refuse refuses the first.
func (d *delayed) refuse() {
	run := d.runs[0].Run
	d.runs = d.runs[1:]
	run.refuse(frames.Unavailable, "")
}

// stop refuses all of them: there is nobody who would learn from it.
func (d *delayed) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
	for len(d.runs) > 0 {
		d.refuse()
	}
}
