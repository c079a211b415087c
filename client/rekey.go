package client

import (
	"fmt"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
)

// The initiator renews the keys after so many records of either direction, or after so long.
const (
	rekeyAfterRecords = 1 << 20
	rekeyAfter        = 24 * time.Hour
)

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
