package client

import (
	"fmt"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

const (
	// quiet is how long nothing may come from the peer before it is asked whether it is there.
	quiet = 15 * time.Second
	// parting is how long to stay for a peer that has said its last, until both know what has arrived.
	parting = 5 * time.Second
	// maxStrays is how many records of an older session may come before the first of this one.
	maxStrays = 8
	// The initiator renews the keys after so many records of either direction, or after so long.
	rekeyAfterRecords = 1 << 20
	rekeyAfter        = 24 * time.Hour
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

	owes      bool       // a confirmation
	asks      bool       // for one, with whatever is sent next
	farewell  *aborted   // what to say last; nothing else is said then
	ending    bool       // we have said our last,
	reason    string     // because of this
	ended     *Ended     // the peer has said its last,
	partingAt time.Time  // which the application has come to,
	endTaken  bool       // and which is taken, for the peer has all of ours
	over      bool       // for the application; what is owed is still said,
	mute      bool       // unless it did not end well
	suspended bool       // while the peer seems to have begun anew
	heardAt   time.Time  // something of the peer's
	strays    int        // records that did not open
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
	r.counter, r.at, r.asks = c.sealer.Counter(), now, content.Kind != e2e.Confirm
	if content.Number > 0 {
		r.message = c.out.waiting()
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
	if c.rekeyDue(now) {
		c.offerKeys(now)
	}
	m := c.out.waiting()
	switch {
	case c.out.held(): // but what is owed is sent: the other side may be held for want of it
	case m != nil:
		c.asks = false
		return e2e.Content{Kind: m.kind, Number: m.number, Body: m.body}, true
	case c.asks || c.probeDue(now):
		c.asks = false
		return e2e.Content{Kind: e2e.Probe}, true
	}
	return e2e.Content{Kind: e2e.Confirm}, c.owes
}

// refused takes the relay's refusal of the record in this frame. Its report is owed again, and its question is asked again.
func (c *conversation) refused(now time.Time, frame uint64) error {
	r, err := c.out.refuse(now, frame)
	c.owes = true
	c.asks = c.asks || r.asks && r.message == nil
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
	}
	return c.out.overdue(now)
}

// probeDue reports whether the peer was quiet for too long, and has not been asked yet.
func (c *conversation) probeDue(now time.Time) bool {
	return c.out.silentAt().IsZero() && !now.Before(c.heardAt.Add(quiet))
}

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
	case e2e.Rekey:
		return c.takeKeys(now, m.Body)
	case e2e.Rekeyed:
		return c.useKeys(now, m.Body)
	case e2e.Confirm, e2e.Probe, e2e.Text, e2e.Abort: // nothing to do, or not numbered
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

// deadline is when produce or overdue should be asked again at the latest, if nothing happens before.
func (c *conversation) deadline(now time.Time) time.Time {
	d := c.heardAt.Add(quiet)
	if c.over || c.suspended {
		d = now.Add(forever)
	}
	if now.Before(c.out.pausedUntil) {
		d = c.out.pausedUntil
	}
	if c.over || c.suspended {
		return d
	}
	if at := c.partingAt.Add(parting); !c.partingAt.IsZero() && at.Before(d) {
		d = at
	}
	for _, at := range []time.Time{c.out.silentAt(), c.out.missingAt()} {
		if !at.IsZero() && (at.Before(d) || !now.Before(d)) {
			d = at
		}
	}
	return d
}

// rekeyDue reports whether it is time for new keys, and ours to ask for them.
func (c *conversation) rekeyDue(now time.Time) bool {
	return c.initiator && c.rekeying == nil && !c.ending && c.ended == nil &&
		(now.Sub(c.rekeyedAt) >= rekeyAfter || max(c.sealer.Counter(), c.opener.Next()) >= c.rekeyedBy)
}

// offerKeys is the initiator's half: it asks for new keys.
func (c *conversation) offerKeys(now time.Time) {
	start, err := c.ends.Start(now)
	if err != nil {
		return // the old keys will do until the next time
	}
	c.rekeying = start
	c.out.say(e2e.Rekey, start.Body)
}

// takeKeys is the responder's half: it makes them, and uses them once the initiator does.
func (c *conversation) takeKeys(now time.Time, body []byte) error {
	if c.ending && !c.initiator {
		return nil // not worth it any more
	}
	if c.initiator || c.renewed != nil {
		return fmt.Errorf("%w: new keys that nobody may ask for", e2e.ErrMalformed)
	}
	request, err := c.ends.Open(body)
	if err != nil {
		return badKeys(err)
	}
	answer, keys, err := request.Accept()
	if err != nil {
		return badKeys(err)
	}
	c.out.say(e2e.Rekeyed, answer)
	c.opener.Expect(keys.Receive)
	c.renewed, c.rekeyedAt = keys, now
	return nil
}

// useKeys is the initiator's again: it uses them from now on.
func (c *conversation) useKeys(now time.Time, body []byte) error {
	if c.rekeying == nil {
		return fmt.Errorf("%w: new keys that nobody asked for", e2e.ErrMalformed)
	}
	keys, err := c.rekeying.Finish(body)
	if err != nil {
		return badKeys(err)
	}
	c.opener.Expect(keys.Receive)
	c.sealer.Renew(keys.Send)
	*keys = e2e.Keys{}
	c.rekeying, c.rekeyedAt = nil, now
	c.rekeyedBy = max(c.sealer.Counter(), c.opener.Next()) + rekeyAfterRecords
	return nil
}

// badKeys is what is wrong with new keys: it came inside the encryption, so it is the peer's doing and nobody else's.
func badKeys(err error) error { return fmt.Errorf("%w: new keys: %s", e2e.ErrMalformed, err) } //nolint:errorlint // on purpose
