package client

import (
	"fmt"
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
)

// resumption is what a conversation does about what was lost with a connection, its own or the peer's (docs/session.md,
// Resuming).
type resumption struct {
	unsure  bool      // what we have sent may be lost, and the peer has not said what it has; until then nothing else is said
	says    e2e.Step  // next; 0 for nothing
	asked   e2e.Step  // our question, which is on its way; 0 for none
	counter uint64    // the record it is in,
	at      time.Time // and since when
}

// resume goes on after our connection broke: clocks that stood still go on, and what has no outcome may be lost.
func (c *conversation) resume(now time.Time) {
	c.heardAt, c.askedAt = now, now
	c.doubt(e2e.Interrupted)
}

// doubt makes us unsure of what the peer has, until it has answered what is said next.
func (c *conversation) doubt(says e2e.Step) {
	c.unsure, c.says, c.asked = true, says, 0
	c.out.unsure, c.out.missingSince = true, time.Time{}
	c.out.gone, c.out.pausedUntil, c.out.pause = false, time.Time{}, 0 // the peer is there, or that will be told
	c.excuse(c.sealer.Counter())
}

// excuse makes what was sent before a counter and has no outcome no sign of silence, for it may be lost. What it asked is
// asked again.
func (c *conversation) excuse(before uint64) {
	for i := range c.out.records {
		if r := &c.out.records[i]; r.counter < before && !r.refused && r.asks {
			r.asks, c.asks = false, true
		}
	}
	if c.asked != 0 && c.counter < before {
		c.says, c.asked = c.asked, 0
	}
}

// present takes the relay's word that the peer is connected or not. If it is again, what waits need not wait longer.
func (c *conversation) present(online bool) {
	c.out.gone = !online
	if online {
		c.out.pausedUntil, c.out.pause = time.Time{}, 0
		return
	}
	c.excuse(c.sealer.Counter())
}

// resuming returns what there is to say about what was lost. While hold is true nothing else may be said.
func (c *conversation) resuming() (content e2e.Content, ok, hold bool) {
	if c.says == 0 {
		return content, false, c.unsure
	}
	body := e2e.Resumption{Step: c.says}
	body.Complete, body.Ahead = c.in.has()
	return e2e.Content{Kind: e2e.Resume, Body: body.Append(nil)}, true, true
}

// saidResume notes that it goes out in this record.
func (c *conversation) saidResume(now time.Time, counter uint64) (step e2e.Step) {
	step, c.says = c.says, 0
	if step != e2e.Telling {
		c.asked, c.counter, c.at = step, counter, now
	}
	return step
}

// unsaidResume has it said again, because the relay refused it, unless something else is to be said since.
func (c *conversation) unsaidResume(r sentRecord) {
	switch {
	case r.resume == 0 || c.says != 0:
	case r.resume == e2e.Telling:
		c.says = r.resume
	case c.asked != 0 && r.counter == c.counter:
		c.says, c.asked = c.asked, 0
	}
}

// hearResume takes the peer's.
func (c *conversation) hearResume(now time.Time, content e2e.Content) error {
	r, err := e2e.ParseResumption(content.Body)
	if err != nil {
		return err
	}
	switch {
	case r.Step == e2e.Interrupted: // whatever we asked may have been lost, too
		c.doubt(e2e.Asking)
		return nil
	case c.asked != 0 && content.Next > c.counter:
		if err := c.out.resume(now, c.counter, r); err != nil {
			return err
		}
		c.unsure, c.asked = false, 0
	}
	if r.Step == e2e.Asking && c.says == 0 { // else what is asked next tells as much
		c.says = e2e.Telling
	}
	return nil
}

// resumeAt is when a question that was not answered counts as silence; zero if there is none.
func (c *conversation) resumeAt() time.Time {
	if c.asked == 0 {
		return time.Time{}
	}
	return c.at.Add(silence)
}

// forgetFrames makes sure that no refusal on another connection is taken for one of what was said on this.
func (o *outgoing) forgetFrames() {
	for i := range o.records {
		o.records[i].frame = 0
	}
	o.late, o.lateRefusals = nil, 0
}

// resume takes the peer's word of what it has of all that was sent before our question, which was in the record asked. The
// rest is lost, and made afresh.
func (o *outgoing) resume(now time.Time, asked uint64, has e2e.Resumption) error {
	if has.Complete > o.last {
		return fmt.Errorf("%w: it has a message that was not said", e2e.ErrMalformed)
	}
	refused, lost, may := o.refused, uint64(0), uint64(0)
	n := 0
	o.late = nil
	for ; n < len(o.records) && o.records[n].counter < o.next; n++ {
		switch r := o.records[n]; {
		case r.refused:
			refused++
		case r.message == nil && r.counter != asked:
			may++
			o.late = append(o.late, r.frame)
		case r.message != nil && !has.Has(r.message.number):
			lost++
			r.message.sent = false
			o.late = append(o.late, r.frame)
		}
	}
	missing := o.next - o.received - refused
	switch {
	case o.next < o.received+refused:
		return ErrContradiction
	case missing > lost+may:
		return fmt.Errorf("%w: the relay kept %d of our messages back", e2e.ErrWithheld, missing-lost-may)
	case missing < lost:
		return fmt.Errorf("%w: it has fewer messages than records", e2e.ErrMalformed)
	}
	o.refused, o.lateRefusals, o.records = refused+missing, missing, o.records[n:]
	o.unsure, o.careful, o.pause = false, false, 0
	return o.settle(now)
}

// wasLate reports whether this is the refusal of a record that the peer's word has settled already: it was lost, and now it is
// known why.
func (o *outgoing) wasLate(frame uint64) bool {
	i := slices.Index(o.late, frame)
	if i < 0 || o.lateRefusals == 0 {
		return false
	}
	o.late = slices.Delete(o.late, i, i+1)
	o.lateRefusals--
	return true
}

// counterOf returns the counter of the record in this frame, 0 if it has an outcome already.
func (o *outgoing) counterOf(frame uint64) uint64 {
	for _, r := range o.records {
		if r.frame == frame && !r.refused {
			return r.counter
		}
	}
	return 0
}
