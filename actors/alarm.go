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
	next = r.clock.waits(now, len(r.have) > 0, r.moved, r.login.Load() != nil, gone)
	r.moved = false
	return next
}

// late returns why the client is not waited for any longer, if that is so. It takes note first of what came: a socket that fills faster than
// it is read is never found empty.
func (r *reader) late() *frames.Refusal {
	now, gone := time.Now(), r.socket.written()
	r.waits(now, gone)
	return r.clock.late(now, gone)
}

// arm has the next read end at that time; with the zero time it does not.
func (r *reader) arm(t time.Time) {
	r.armed = t
	_ = r.conn.SetReadDeadline(t)
	if r.quit.Load() { // the deadline that is to wake us may have been set just before
		_ = r.conn.SetReadDeadline(past)
	}
}

// rings reports whether an error is the deadline that we have set ourselves.
func (r *reader) rings(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && !r.quit.Load() && !r.armed.IsZero() && !time.Now().Before(r.armed)
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
