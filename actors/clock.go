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
}

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
func (c *clock) waits(now time.Time, inFrame, moved, loggedIn bool, gone int64) (next time.Time) {
	if moved {
		c.heard, c.looked, c.gone = now, now, gone
	}
	switch {
	case !inFrame:
		c.begun = time.Time{}
	case c.begun.IsZero():
		c.begun = now
	}
	if loggedIn {
		c.login = time.Time{}
	}
	next = c.login
	if !c.begun.IsZero() {
		next = earlier(next, c.begun, c.limits.Frame)
	}
	return earlier(earlier(next, c.looked, c.limits.Silence/looks), c.heard, c.limits.Silence)
}

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
	if !c.begun.IsZero() {
		c.begun = c.begun.Add(d)
	}
}

// tooLate reports whether it is too late for a login.
func (c *clock) tooLate(now time.Time) bool { return !c.login.IsZero() && !now.Before(c.login) }

var errTooLate = &frames.Refusal{Code: frames.Timeout, Text: "you did not log in in time"}

// late returns why the client is not waited for any longer, if that is so.
func (c *clock) late(now time.Time, gone int64) *frames.Refusal {
	over := func(since time.Time, limit time.Duration) bool { return limit > 0 && now.Sub(since) >= limit }
	text := ""
	switch {
	case c.tooLate(now):
		return errTooLate
	case !c.begun.IsZero() && over(c.begun, c.limits.Frame):
		text = "the frame was not completed in time"
	case over(c.looked, c.limits.Silence/looks) || over(c.heard, c.limits.Silence):
		if gone != c.gone {
			c.gone, c.heard = gone, now
		}
		c.looked = now
		if !over(c.heard, c.limits.Silence) {
			return nil
		}
		text = "nothing was heard of you for too long"
	default:
		return nil
	}
	return &frames.Refusal{Code: frames.Timeout, Text: text}
}
