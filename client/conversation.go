package client

import (
	"cmp"
	"fmt"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

const (
	// quiet is how long nothing may come from the peer before it is asked whether it is there.
	quiet = 15 * time.Second
	// maxStrays is how many records of an older session may come before the first of this one.
	maxStrays = 8
)

// conversation is one side of a session: the rules of docs/session.md for what is said inside the encryption. It has
// neither a lock nor a clock nor a connection; it is told the time, and asked what to send.
type conversation struct {
	ends      *e2e.Ends
	sealer    *e2e.Sealer
	opener    *e2e.Opener
	initiator bool
	out       outgoing
	in        incoming

	owes      bool      // a report
	asks      bool      // for one, with whatever is sent next
	heardAt   time.Time // something of the peer's
	askedAt   time.Time // something was said that asks
	strays    int       // records that did not open
	suspended bool      // while the peer seems to have begun anew

	// the end, see ending.go

	ending   bool     // we have said our last
	ended    *Ended   // the peer has said its last,
	endTaken bool     // and the application has come to it
	how      *Ended   // what the first of the two said
	over     bool     // for the application; what is owed is still said,
	mute     bool     // unless it did not end well
	farewell *aborted // what to say then

	resumption // see resume.go

	// new keys, see rekey.go

	rekeying  *e2e.Start // the initiator's, unanswered
	renewed   *e2e.Keys  // the responder's, until the initiator uses them
	rekeyedAt time.Time
	rekeyedBy uint64 // the counter, ours or the peer's, from which on the keys should be renewed
}

func newConversation(now time.Time, ends *e2e.Ends, keys *e2e.Keys, initiator bool) *conversation {
	c := &conversation{ends: ends, initiator: initiator, heardAt: now, rekeyedAt: now, rekeyedBy: rekeyAfterRecords}
	c.sealer, c.opener = ends.Records(keys)
	*keys = e2e.Keys{} // the records' chains go on from there, and forget
	c.asks = initiator // its first record is what opens the session at the other side
	return c
}

// produce returns the next record to send, if there is one. Whoever sends it calls sent with its request number.
func (c *conversation) produce(now time.Time) (record []byte, r sentRecord, err error) {
	content, ok := c.next(now)
	if !ok {
		return nil, r, nil
	}
	content.Next, content.Received, content.Taken = c.opener.Next(), c.in.received, c.in.taken
	if c.farewell != nil {
		content.Taken = c.farewell.taken
	}
	r.counter, r.at, r.asks = c.sealer.Counter(), now, content.Kind != e2e.Confirm
	switch {
	case content.Number > 0:
		r.message = c.out.waiting()
	case content.Kind == e2e.Resume:
		r.resume = c.saidResume(now, r.counter)
	}
	if r.asks {
		c.askedAt = now
	}
	record, err = c.sealer.Seal(nil, content.Append(nil))
	c.owes = false
	if c.farewell != nil {
		c.farewell.said, c.farewell.at = true, now
	}
	return record, r, err
}

// next decides what to say now.
func (c *conversation) next(now time.Time) (content e2e.Content, ok bool) {
	switch {
	case c.out.paused(now):
		return content, false
	case c.farewell != nil:
		return c.farewell.content(), !c.farewell.said
	case c.mute || c.suspended:
		return content, false
	case c.over:
		return content, c.owes
	}
	if content, ok, hold := c.resuming(); ok || hold {
		return content, ok
	}
	if c.rekeyDue(now) {
		c.offerKeys(now)
	}
	m := c.out.waiting()
	switch {
	case c.probeDue(now):
		return e2e.Content{Kind: e2e.Probe}, true
	case c.out.held(): // but what is owed is sent: the other side may be held for want of it
	case m != nil:
		c.asks = false
		return e2e.Content{Kind: m.kind, Number: m.number, Body: m.body}, true
	case c.asks:
		c.asks = false
		return e2e.Content{Kind: e2e.Probe}, true
	}
	return e2e.Content{Kind: e2e.Confirm}, c.owes
}

// refused takes the relay's refusal of the record in this frame. Its report is owed again, and its question is asked again.
func (c *conversation) refused(now time.Time, frame uint64) error {
	r, err := c.out.refuse(now, frame)
	c.owes = true
	c.asks = c.asks || r.asks && r.message == nil && r.resume == 0
	c.unsaidResume(r)
	if c.farewell != nil {
		c.farewell.again()
	}
	return err
}

// overdue returns what to make of a relay or a peer from which nothing comes.
func (c *conversation) overdue(now time.Time) error {
	switch {
	case c.over || c.suspended:
		return nil
	case len(c.out.records) > e2e.MaxGap:
		return ErrSilent // it may say much, but not what it has received
	case c.asked != 0 && !now.Before(c.resumeAt()):
		return ErrSilent
	}
	return c.out.overdue(now)
}

// probeAt is when the peer was quiet for too long, and was not asked in that time either.
func (c *conversation) probeAt() time.Time {
	if c.askedAt.After(c.heardAt) {
		return c.askedAt.Add(quiet)
	}
	return c.heardAt.Add(quiet)
}

func (c *conversation) probeDue(now time.Time) bool { return !now.Before(c.probeAt()) }

// hear takes a record of the peer's. An error ends the session.
func (c *conversation) hear(now time.Time, record []byte) error {
	plaintext, err := c.opener.Open(record)
	if err != nil {
		return err
	}
	c.in.received++
	c.heardAt, c.suspended = now, false
	if c.renewed != nil && !c.opener.Expected() { // the initiator has begun to use the new keys
		c.sealer.Renew(c.renewed.Send)
		*c.renewed = e2e.Keys{}
		c.renewed = nil
	}
	content, err := e2e.ParseContent(plaintext)
	if err != nil {
		return err
	}
	if err := c.out.heard(now, content, c.sealer.Counter()); err != nil {
		return err
	}
	switch {
	case content.Kind == e2e.Abort:
		return parseAborted(content.Body)
	case content.Kind == e2e.Resume:
		c.owes = true
		return c.hearResume(now, content)
	case content.Kind != e2e.Confirm:
		c.owes = true
	}
	if content.Number == 0 {
		return nil
	}
	inOrder, err := c.in.hear(content)
	for _, m := range inOrder {
		if err == nil {
			err = c.understand(now, m)
		}
	}
	c.in.pass()
	return err
}

// stray reports whether a record that did not open may be one that the peer sent in an older session, before it knew that this
// one is open. There cannot be many.
func (c *conversation) stray() bool {
	c.strays++
	return c.initiator && c.in.received == 0 && c.strays <= maxStrays
}

// understand acts on a message that is not, or not only, for the application.
func (c *conversation) understand(now time.Time, m e2e.Content) error {
	if c.ended != nil {
		return fmt.Errorf("%w: a message behind the last", e2e.ErrMalformed)
	}
	switch m.Kind {
	case e2e.End:
		if len(m.Body) > frames.MaxReason {
			return fmt.Errorf("%w: a reason of %d bytes", e2e.ErrMalformed, len(m.Body))
		}
		c.ended = &Ended{ByPeer: true, Reason: string(m.Body)}
		c.how = cmp.Or(c.how, c.ended)
	case e2e.Rekey:
		return c.takeKeys(now, m.Body)
	case e2e.Rekeyed:
		return c.useKeys(now, m.Body)
	case e2e.Confirm, e2e.Probe, e2e.Text, e2e.Abort, e2e.Resume: // nothing to do, or not numbered
	}
	return nil
}

// first returns what the application should see next.
func (c *conversation) first() (e2e.Content, bool) { return c.in.first() }

// take says that the application has the first, a text. The peer is told when nothing more is there but its last, or a good
// part of its window is free again.
func (c *conversation) take() {
	c.in.take()
	c.in.pass()
	if next, more := c.in.first(); !more || next.Kind == e2e.End || c.in.taken%(window/4) == 0 {
		c.owes = true
	}
}

// deadline is when produce or overdue should be asked again at the latest, if nothing happens before.
func (c *conversation) deadline(now time.Time) time.Time {
	d := c.probeAt()
	switch {
	case c.farewell != nil && c.farewell.said:
		d = c.farewell.at.Add(longestPause)
	case c.over || c.suspended || c.unsure:
		d = now.Add(forever)
	}
	if now.Before(c.out.pausedUntil) {
		d = c.out.pausedUntil
	}
	if c.over || c.suspended {
		return d
	}
	for _, at := range []time.Time{c.out.silentAt(), c.out.missingAt(), c.resumeAt()} {
		if !at.IsZero() && (at.Before(d) || !now.Before(d)) {
			d = at
		}
	}
	return d
}
