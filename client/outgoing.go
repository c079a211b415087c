package client

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
)

const (
	// window is how many messages may be under way that the peer's application has not taken.
	window = 32
	// A message that was refused is sent again after a pause, which doubles from the first to the longest.
	firstPause, longestPause = 100 * time.Millisecond, 5 * time.Second
	// awayPause is the longest while the relay says that the peer is gone. It will say when the peer is back.
	awayPause = 5 * time.Minute
	// grace is how long the relay's Error for a record may take once the peer says that it is missing.
	grace = 2 * time.Second
	// silence is how long a record may go without any word of it.
	silence = 30 * time.Second
)

// outgoing is what one side has to say: messages, which are numbered and sent until the peer has them, in records, which
// are sent once.
type outgoing struct {
	messages []*message // not taken by the peer's application yet, in order
	last     uint64     // number of the newest message
	records  []sentRecord
	refused  uint64 // records that were refused, or lost with a connection, and that no longer stand in records
	next     uint64 // the peer's report: the counter that it expects,
	received uint64 // how many records it has,
	taken    uint64 // and how many messages its application has taken

	missing      uint64    // records that the peer says are missing, and the relay has not refused
	missingSince time.Time // since when there are any; zero if there are none
	pausedUntil  time.Time
	pause        time.Duration
	gone         bool // the relay says that the peer is not connected
	careful      bool // after a refusal: one record at a time, until one has arrived

	// see resume.go

	unsure       bool     // what is missing may be lost with a connection
	late         []uint64 // frames of records that were lost, which the relay may yet say to have refused,
	lateRefusals uint64   // so many of them
}

type message struct {
	number uint64
	kind   e2e.Kind
	body   []byte
	sent   bool // in a record that was not refused
}

// sentRecord is a record without an outcome that we can be sure of.
type sentRecord struct {
	counter, frame uint64 // frame is the request number by which the relay would refuse it
	at             time.Time
	message        *message // nil for what is not numbered
	asks           bool     // for a confirmation
	resume         e2e.Step // of a Resume; else 0
	refused        bool
}

// say adds a message.
func (o *outgoing) say(kind e2e.Kind, body []byte) {
	o.last++
	o.messages = append(o.messages, &message{number: o.last, kind: kind, body: body})
}

// full reports whether as many messages are under way as may be.
func (o *outgoing) full() bool { return len(o.messages) >= window }

// waiting is the message to send next, nil if there is none. Those that were refused come first, for their numbers do.
func (o *outgoing) waiting() *message {
	for _, m := range o.messages {
		if !m.sent {
			return m
		}
	}
	return nil
}

// paused reports whether nothing may be sent for now, because something was refused.
func (o *outgoing) paused(now time.Time) bool { return now.Before(o.pausedUntil) }

// held reports whether nothing that asks may be sent before another arrives.
func (o *outgoing) held() bool { return o.careful && o.asking() }

// asking reports whether a record that asks for a report is on its way, and the report is not here.
func (o *outgoing) asking() bool {
	return slices.ContainsFunc(o.records, func(r sentRecord) bool { return r.asks && !r.refused })
}

// texts is how many texts the peer's application has not taken, as far as is known.
func (o *outgoing) texts() (n int) {
	for _, m := range o.messages {
		if m.kind == e2e.Text {
			n++
		}
	}
	return n
}

// sent notes a record that is on its way.
func (o *outgoing) sent(r sentRecord) {
	if r.message != nil {
		r.message.sent = true
	}
	o.records = append(o.records, r)
}

// refuse notes that the relay refused the record in this frame. It will be made afresh, for a counter is used once.
func (o *outgoing) refuse(now time.Time, frame uint64) (sentRecord, error) {
	if o.wasLate(frame) {
		return sentRecord{}, nil
	}
	i := slices.IndexFunc(o.records, func(r sentRecord) bool { return r.frame == frame })
	if i < 0 || o.records[i].refused {
		return sentRecord{}, ErrContradiction
	}
	r := &o.records[i]
	r.refused = true
	if r.message != nil {
		r.message.sent = false
	}
	if !now.Before(o.pausedUntil) { // else it was sent before the pause began
		most := longestPause
		if o.gone {
			most = awayPause
		}
		o.pause = min(max(2*o.pause, firstPause), most)
		o.pausedUntil = now.Add(o.pause/2 + rand.N(o.pause)) //nolint:gosec // so that senders do not come in step
	}
	o.careful = true
	is := *r
	o.missingSince = time.Time{} // it may be what explains the first that is missing
	return is, o.settle(now)
}

// heard takes the peer's report.
func (o *outgoing) heard(now time.Time, c e2e.Content, counter uint64) error {
	switch {
	case c.Next > counter || c.Received > c.Next || c.Taken > o.last,
		c.Next < o.next || c.Received < o.received || c.Taken < o.taken:
		return fmt.Errorf("%w: a report that cannot be", e2e.ErrMalformed)
	}
	o.next, o.received, o.taken = c.Next, c.Received, c.Taken
	for len(o.messages) > 0 && o.messages[0].number <= o.taken {
		o.messages = o.messages[1:]
	}
	return o.settle(now)
}

// settle compares the peer's report with what the relay said, and drops the records that both agree about.
func (o *outgoing) settle(now time.Time) error {
	n, refused := 0, o.refused
	for ; n < len(o.records) && o.records[n].counter < o.next; n++ {
		if o.records[n].refused {
			refused++
		}
	}
	if o.next < o.received+refused {
		return ErrContradiction
	}
	if o.missing = o.next - o.received - refused; o.missing > 0 {
		if o.missingSince.IsZero() && !o.unsure {
			o.missingSince = now
		}
		return nil
	}
	o.missingSince = time.Time{}
	if n > 0 && !o.records[n-1].refused {
		o.careful, o.pause = false, 0
	}
	o.refused, o.records = refused, o.records[n:]
	return nil
}

// overdue returns what to make of a relay or a peer from which nothing comes.
func (o *outgoing) overdue(now time.Time) error {
	if at := o.missingAt(); !at.IsZero() && !now.Before(at) {
		return fmt.Errorf("%w: the relay kept %d of our messages back", e2e.ErrWithheld, o.missing)
	}
	if at := o.silentAt(); !at.IsZero() && !now.Before(at) {
		return ErrSilent
	}
	return nil
}

func (o *outgoing) missingAt() time.Time {
	if o.missingSince.IsZero() {
		return time.Time{}
	}
	return o.missingSince.Add(grace)
}

func (o *outgoing) silentAt() time.Time {
	for _, r := range o.records {
		if r.asks && !r.refused && r.counter >= o.next {
			return r.at.Add(silence)
		}
	}
	return time.Time{}
}

// sentIn reports whether a record went out in this frame and has no outcome yet.
func (o *outgoing) sentIn(frame uint64) bool {
	return slices.Contains(o.late, frame) || slices.ContainsFunc(o.records, func(r sentRecord) bool { return r.frame == frame })
}
