package actors

import (
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// clock is for how long a reader waits for its client: until it has logged in, until a frame that has begun is whole, and
// when nothing comes or goes at all. While the relay itself does not read, the last two stand still. A clock belongs to its reader.
type clock struct {
	limits *Limits
	login  time.Time // until when the client must have logged in; zero once it has, or if there is no limit
	begun  time.Time // when the frame began that is not whole; zero between two
	heard  time.Time // when something last came, or was found to have gone
	looked time.Time // when we last looked whether something has gone
	gone   int64     // how many bytes had
	pings  int       // that were asked for since then; of a client that said Hello
	pinged bool      // such a one is logged in: it is asked whether it is there, and silence does not count
	probed time.Time // when it was to be found out whether the client is there; zero if that is known
}

// seen is what a reader sees when it begins to wait.
type seen struct {
	inFrame  bool  // a frame has begun
	moved    bool  // something came since the last time
	loggedIn bool  // somebody is
	extended bool  // and said Hello before
	probed   bool  // it is to be found out whether the client is there
	gone     int64 // how many bytes the operating system has taken
}

const (
	// pingsMissed is how many pings in a row may go unanswered.
	pingsMissed = 2
	// probeTime is how long a client may say nothing that was probed.
	probeTime = 5 * time.Second
)

// looks is how often one looks within the time of silence whether something has gone to the client: what is written is not timed.
const looks = 8

func newClock(limits *Limits) clock {
	now := time.Now()
	c := clock{limits: limits, heard: now, looked: now}
	if limits.Login > 0 {
		c.login = now.Add(limits.Login)
	}
	return c
}

// waits takes note of what the reader begins to wait for, and returns when to look at the clock; zero for never.
func (c *clock) waits(now time.Time, s seen) (next time.Time) {
	if s.moved {
		c.heard, c.looked, c.gone, c.pings, c.probed = now, now, s.gone, 0, time.Time{}
	}
	if s.probed && c.probed.IsZero() { // or one who tries again and again would put it off
		c.probed = now
	}
	switch {
	case !s.inFrame:
		c.begun = time.Time{}
	case c.begun.IsZero():
		c.begun = now
	}
	if s.loggedIn {
		c.login = time.Time{}
	}
	if s.extended && !c.pinged {
		c.pinged, c.heard = true, now
	}
	next = c.login
	if !c.probed.IsZero() {
		next = earlier(next, c.probed, probeTime)
	}
	if !c.begun.IsZero() {
		next = earlier(next, c.begun, c.limits.Frame)
	}
	if c.pinged {
		return earlier(next, c.heard, c.pingAfter())
	}
	return earlier(earlier(next, c.looked, c.limits.Silence/looks), c.heard, c.limits.Silence)
}

// pingAfter is for how long nothing may have come until there is something to do.
func (c *clock) pingAfter() time.Duration { return time.Duration(c.pings+1) * c.limits.PingInterval }

// earlier returns the earlier of a time, if there is one, and a time with a limit added, if there is one.
func earlier(t, since time.Time, limit time.Duration) time.Time {
	if end := since.Add(limit); limit > 0 && (t.IsZero() || end.Before(t)) {
		return end
	}
	return t
}

// paused takes note of a time in which the relay did not read.
func (c *clock) paused(d time.Duration) {
	c.heard, c.looked = c.heard.Add(d), c.looked.Add(d)
	for _, t := range []*time.Time{&c.begun, &c.probed} {
		if !t.IsZero() {
			*t = t.Add(d)
		}
	}
}

// tooLate reports whether it is too late for a login.
func (c *clock) tooLate(now time.Time) bool { return !c.login.IsZero() && !now.Before(c.login) }

var errTooLate = &frames.Refusal{Code: frames.Timeout, Text: "you did not log in in time"}

// late returns why the client is not waited for any longer, if that is so, and whether it should be pinged.
func (c *clock) late(now time.Time, gone int64) (refusal *frames.Refusal, ping bool) {
	over := func(since time.Time, limit time.Duration) bool { return limit > 0 && now.Sub(since) >= limit }
	text := ""
	switch {
	case c.tooLate(now):
		return errTooLate, false
	case !c.begun.IsZero() && over(c.begun, c.limits.Frame):
		text = "the frame was not completed in time"
	case !c.probed.IsZero() && over(c.probed, probeTime):
		text = "you did not answer, and another wants to log in with your key"
	case c.pinged && over(c.heard, c.pingAfter()):
		if c.pings < pingsMissed {
			c.pings++
			return nil, true
		}
		text = "nothing was heard of you, not even a Pong"
	case !c.pinged && c.silent(over, now, gone):
		text = "nothing was heard of you for too long"
	default:
		return nil, false
	}
	return &frames.Refusal{Code: frames.Timeout, Text: text}, false
}

// silent looks, if it is time to, whether something has gone to the client, and reports whether not a byte has moved for too long.
func (c *clock) silent(over func(since time.Time, limit time.Duration) bool, now time.Time, gone int64) bool {
	if !over(c.looked, c.limits.Silence/looks) && !over(c.heard, c.limits.Silence) {
		return false
	}
	if gone != c.gone {
		c.gone, c.heard = gone, now
	}
	c.looked = now
	return over(c.heard, c.limits.Silence)
}
