package client

import (
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
)

// parting is how long to stay for a peer that has said its last, until both know what has arrived.
const parting = 5 * time.Second

// end says our last.
func (c *conversation) end(reason string) {
	c.ending, c.reason = true, reason
	c.out.say(e2e.End, []byte(reason))
}

// allTaken reports whether the peer has taken everything we said. If it has said its last as well, it need not take ours.
func (c *conversation) allTaken() bool {
	return len(c.out.messages) == 0 || c.ended != nil && c.out.texts() == 0
}

// part does what there is to do when the application has come to the peer's last message. It is taken only when the peer has
// taken all texts of ours, for then the peer leaves; and we leave when the peer knows it. done reports whether we may.
func (c *conversation) part(now time.Time) (done bool) {
	late := !now.Before(c.partingAt.Add(parting))
	if !c.endTaken && (late || c.out.texts() == 0) {
		c.in.take()
		c.endTaken, c.asks = true, true
		return late
	}
	return late || c.endTaken && !c.asks && !c.out.asking()
}

// last is why nothing more can be said: nil, or that one of the two has said its last.
func (c *conversation) last() error {
	switch {
	case c.ended != nil:
		return c.ended
	case c.ending:
		return &Ended{Reason: c.reason}
	}
	return nil
}

// abort gives the session up: the peer is told why.
func (c *conversation) abort(err error) { c.farewell = &aborted{err: err, tries: 3} }

// silent reports whether there will never be anything to say again.
func (c *conversation) silent(now time.Time) bool {
	return c.mute && (c.farewell == nil || c.farewell.said && now.Sub(c.farewell.at) > longestPause)
}

// stop ends the conversation. If it has not ended well, there is nothing to say any more but why.
func (c *conversation) stop(well bool) { c.over, c.mute = true, c.mute || !well }
