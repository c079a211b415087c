package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// What a ConnectionActor does when another connection wants its key.

// oust has another connection be who this one was. Until this one has nothing more to say, that one waits: so frames are not waited
// for, but for one that is begun, and that only a moment.
func (c *ConnectionActor) oust(ctx actor.Context) {
	c.ousted = true
	c.ends(EndingReplaced, frames.Replaced)
	c.reader.stop()
	c.out.finish(lastWord(frames.Replaced))
	c.out.refuseUnbegun()
	c.lateIn(ctx, oustTime)
}

func (c *ConnectionActor) lateIn(ctx actor.Context, d time.Duration) {
	shared, self := c.shared, ctx.Self()
	time.AfterFunc(d, func() { shared.send(self, late{}) })
}

// late waits no longer for a frame that is begun.
func (c *ConnectionActor) late(ctx actor.Context) {
	switch {
	case c.out.silent():
	case c.out.breakOff():
		c.lateIn(ctx, oustTime)
	default:
		c.leave(ctx)
	}
}

// oustTime is how long a frame that is begun may take to be written to a connection whose login was taken over, before the stream is broken
// off, and then, before the connection is closed.
const oustTime = 40 * time.Millisecond

// probe finds out whether the client is still there. Strangers may have it asked often, so it is once in a while.
func (c *ConnectionActor) probe() {
	if now := time.Now(); now.Sub(c.probed) >= probeTime {
		c.probed = now
		c.tell(frames.Ping{})
		c.reader.probe()
	}
}
