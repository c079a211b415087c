package client

import (
	"cmp"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
)

// end says our last.
func (c *conversation) end(reason string) {
	c.ending = true
	c.how = cmp.Or(c.how, &Ended{Reason: reason})
	c.out.say(e2e.End, []byte(reason))
}

// allTaken reports whether the peer has taken everything we said. If it has said its last as well, it need not take ours.
func (c *conversation) allTaken() bool {
	return len(c.out.messages) == 0 || c.ended != nil && c.out.texts() == 0
}

// takeEnd says that the application has come to the peer's last. That must not get lost: the peer waits for it.
func (c *conversation) takeEnd() {
	c.in.take()
	c.endTaken, c.asks = true, true
}

// parted reports whether both have said and taken everything, and the peer knows that we have.
func (c *conversation) parted() bool {
	return c.ending && c.endTaken && c.out.texts() == 0 && !c.asks && c.out.waiting() == nil && !c.out.asking()
}

// abort gives the session up: the peer is told why.
func (c *conversation) abort(err error) {
	c.farewell = &aborted{err: err, taken: c.in.taken, tries: 3}
}

// silent reports whether there will never be anything to say again.
func (c *conversation) silent(now time.Time) bool {
	return c.mute && (c.farewell == nil || c.farewell.said && now.Sub(c.farewell.at) >= longestPause)
}

// done reports whether it has ended well, and the peer was told everything.
func (c *conversation) done() bool { return c.over && !c.mute && !c.owes }

// stop ends the conversation. If it has not ended well, there is nothing to say any more but why.
func (c *conversation) stop(well bool) { c.over, c.mute = true, c.mute || !well }
