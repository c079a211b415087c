package actors

import (
	"errors"
	"os"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// How a reader keeps to its clock, for which the read deadline of its connection is the alarm, and to its rates.

// waits has the clock take note of what came and went, and returns when to look at it.
func (r *reader) waits(now time.Time, gone int64) (next time.Time) {
	login, probes := r.login.Load(), r.probes.Load()
	next = r.clock.waits(now, seen{
		inFrame: len(r.have) > 0, moved: r.moved, loggedIn: login != nil, extended: login != nil && login.extended,
		probed: probes != r.noted, gone: gone,
	})
	r.moved, r.noted = false, probes
	return next
}

// late returns why the client is not waited for any longer, if that is so. It takes note first of what came: a socket that fills faster than
// it is read is never found empty.
func (r *reader) late() *frames.Refusal {
	now, gone := time.Now(), r.socket.written()
	r.waits(now, gone)
	refusal, asks := r.clock.late(now, gone)
	if asks {
		r.shared.send(r.connection, ping{})
	}
	return refusal
}

// arm has the next read end at that time; with the zero time it does not.
func (r *reader) arm(t time.Time) {
	r.armed = t
	_ = r.conn.SetReadDeadline(t)
	if r.quit.Load() || r.probes.Load() != r.noted { // the deadline that is to wake us may have been set just before
		_ = r.conn.SetReadDeadline(past)
	}
}

// rings reports whether an error is a deadline that was set to have us look at the clock. That of a probe may come after it was noted.
func (r *reader) rings(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) || r.quit.Load() {
		return false
	}
	return r.probes.Load() > 0 || !r.armed.IsZero() && !time.Now().Before(r.armed)
}

// slowDown waits as long as it takes until what was handed over is within the rates.
func (r *reader) slowDown(count, size int) {
	wait := r.pace.charge(count, size)
	if wait == 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.quits:
	}
}
