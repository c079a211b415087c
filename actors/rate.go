package actors

import (
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often something may happen: Limit times a second in the long run, and Burst times at once. The zero value is no limit.
type Rate struct {
	Limit rate.Limit
	Burst int
}

// limiter returns what counts; nil where there is no limit.
func (r Rate) limiter() *rate.Limiter {
	if r.Burst == 0 {
		return nil
	}
	return rate.NewLimiter(r.Limit, r.Burst)
}

// allow counts one event, if a limiter allows it now.
func allow(l *rate.Limiter, now time.Time) bool { return l == nil || l.AllowN(now, 1) }

// isUsed reports whether a limiter has counted something that is to be remembered.
func isUsed(l *rate.Limiter, now time.Time) bool {
	return l != nil && l.TokensAt(now) < float64(l.Burst())
}

// pace is how fast a connection is read. Who sends faster is read later: nothing is refused for it.
type pace struct{ frames, bytes *rate.Limiter }

// charge counts frames that were taken, and returns how long to wait before the next.
func (p pace) charge(count, size int) (wait time.Duration) {
	if p.frames == nil && p.bytes == nil {
		return 0
	}
	now := time.Now()
	if p.frames != nil {
		wait = p.frames.ReserveN(now, count).DelayFrom(now)
	}
	if p.bytes != nil {
		wait = max(wait, p.bytes.ReserveN(now, size).DelayFrom(now))
	}
	return wait
}
