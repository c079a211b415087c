package e2e

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A record is epoch (4) | counter (8) | ciphertext and tag. The counter counts a direction's records from 0 through the
// whole session; the epoch is the counter of the first record under the keys in use, 0 until they are renewed.
const (
	recordHeader = 12
	tagSize      = 16

	// MaxGap is how many records may be missing before one that arrives. Their keys have to be derived before it can be
	// told whether it is authentic (some 30 ms for so many), and a relay must not make us derive for ever.
	MaxGap = 1 << 14
	// maxCounter keeps epochs in their four bytes.
	maxCounter = math.MaxUint32 - 1
)

// chain gives each record a key of its own, and forgets it: who learns what we hold now cannot read what was said before.
type chain struct {
	key   [32]byte
	iv    [12]byte
	epoch uint64
	next  uint64 // the counter whose key comes next
}

func newChain(d Direction, epoch uint64) *chain {
	return &chain{key: d.Chain, iv: d.IV, epoch: epoch, next: epoch}
}

// step returns the key of the next record.
func (c *chain) step() (key [32]byte) {
	expand(key[:], c.key[:], "message")
	expand(c.key[:], c.key[:], "chain")
	c.next++
	return key
}

// nonce is the IV with the counter combined into its last eight bytes (as in RFC 8446, 5.3).
func (c *chain) nonce(counter uint64) []byte {
	n := c.iv
	binary.BigEndian.PutUint64(n[4:], binary.BigEndian.Uint64(n[4:])^counter)
	return n[:]
}

// Sealer makes the records of one direction.
type Sealer struct {
	chain *chain
	users [64]byte // fingerprints of the sender and the recipient, authenticated with every record
}

// Opener reads the records of one direction, in order.
type Opener struct {
	chain  *chain
	users  [64]byte
	window window
	next   *Direction // of keys that the other side may change to
}

// Records returns the two directions of a session with these keys.
func (e *Ends) Records(k *Keys) (*Sealer, *Opener) {
	var out, in [64]byte
	copy(out[copy(out[:], e.selfID[:]):], e.peerID[:])
	copy(in[copy(in[:], e.peerID[:]):], e.selfID[:])
	return &Sealer{chain: newChain(k.Send, 0), users: out}, &Opener{chain: newChain(k.Receive, 0), users: in}
}

// Counter is that of the next record.
func (s *Sealer) Counter() uint64 { return s.chain.next }

// Seal appends the next record, with this plaintext in it, to b. The error is ErrExhausted.
func (s *Sealer) Seal(b, plaintext []byte) ([]byte, error) {
	counter := s.chain.next
	if counter > maxCounter {
		return b, ErrExhausted
	}
	header := binary.BigEndian.AppendUint32(nil, uint32(s.chain.epoch)) //nolint:gosec // at most maxCounter
	header = binary.BigEndian.AppendUint64(header, counter)
	key := s.chain.step()
	defer clear(key[:])
	b = append(b, header...)
	return gcm(key[:]).Seal(b, s.chain.nonce(counter), plaintext, append(header, s.users[:]...)), nil
}

// Renew changes to new keys with the next record. There must have been a record under the present ones, for an epoch is
// known by the counter of its first.
func (s *Sealer) Renew(d Direction) { *s.chain = *newChain(d, s.chain.next) }

// Expect allows the other side to change to these keys, with whichever record it likes, and to no others any more.
func (o *Opener) Expect(d Direction) { o.next = &d }

// Expected reports whether the other side may change its keys and has not yet.
func (o *Opener) Expected() bool { return o.next != nil }

// Next is the counter that should come next, one above the highest that came.
func (o *Opener) Next() uint64 { return o.window.next }

// Open opens a record. What it refuses leaves no trace. The errors are ErrForged, ErrReplayed, ErrReordered and ErrWithheld,
// the last three judged by the counter before anything is known to be authentic; each is a reason to end the session.
func (o *Opener) Open(record []byte) (plaintext []byte, err error) {
	if len(record) < recordHeader+tagSize {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrForged, len(record))
	}
	header, box := record[:recordHeader:recordHeader], record[recordHeader:]
	epoch, counter := uint64(binary.BigEndian.Uint32(header)), binary.BigEndian.Uint64(header[4:])
	if err := o.window.judge(counter); err != nil {
		return nil, fmt.Errorf("record %d: %w", counter, err)
	}
	c, renewed := *o.chain, false // a copy: a forged record must not move the chain on
	if epoch != c.epoch {
		if o.next == nil || epoch < o.window.next || counter < epoch {
			return nil, fmt.Errorf("record %d: %w", counter, ErrForged)
		}
		c, renewed = *newChain(*o.next, epoch), true
	}
	for c.next < counter {
		c.step()
	}
	key := c.step()
	defer clear(key[:])
	plaintext, err = gcm(key[:]).Open(nil, c.nonce(counter), box, append(header, o.users[:]...))
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", counter, ErrForged)
	}
	o.window.mark(counter)
	*o.chain = c
	if renewed {
		clear(o.next.Chain[:])
		o.next = nil
	}
	return plaintext, nil
}

// window knows which of the last 64 counters came, so as to tell what came twice from what came late.
type window struct {
	next uint64 // one above the highest that came
	came uint64 // bit i: next-1-i came
}

// judge refuses counters that cannot be. The relay keeps order, so whatever is not above all others is refused.
func (w *window) judge(counter uint64) error {
	switch {
	case counter > maxCounter:
		return ErrForged
	case counter >= w.next && counter-w.next > MaxGap:
		return ErrWithheld
	case counter >= w.next:
		return nil
	case w.next-1-counter < 64 && w.came>>(w.next-1-counter)&1 == 0:
		return ErrReordered
	}
	return ErrReplayed
}

func (w *window) mark(counter uint64) {
	w.came = w.came<<(counter+1-w.next) | 1 // a shift by 64 or more gives 0
	w.next = counter + 1
}
