package e2e

import (
	"encoding/binary"
	"fmt"
)

// Kind says what a record is for.
type Kind byte

// The kinds. Those that are numbered are messages: they are taken in the order of their numbers, and each once. Kinds that
// an implementation does not know are taken and ignored.
const (
	Confirm Kind = 0 // says only how far the sender has heard
	Probe   Kind = 1 // asks for a Confirm
	Text    Kind = 2 // numbered: for the application
	End     Kind = 3 // numbered: the sender says no more; the body is a reason, as UTF-8
	Rekey   Kind = 4 // numbered: the initiator offers new keys; the body is that of a Start
	Rekeyed Kind = 5 // numbered: the responder takes them; the body is that of an Accept
	Abort   Kind = 6 // gives the session up at once; the body is a code that says what the sender noticed
	Resume  Kind = 7 // after a connection broke: says, and asks, exactly what has come; the body is a Resumption
)

// numbered reports whether records of this kind are messages, if it is one that we know.
func (k Kind) numbered() (numbered, known bool) {
	switch k {
	case Confirm, Probe, Abort, Resume:
		return false, true
	case Text, End, Rekey, Rekeyed:
		return true, true
	}
	return false, false
}

// size returns how long the body is, if all of this kind are equally long.
func (k Kind) size() (n int, fixed bool) {
	switch k {
	case Confirm, Probe:
		return 0, true
	case Resume:
		return resumptionSize, true
	case Text, End, Rekey, Rekeyed, Abort:
		return 0, false
	}
	return 0, false
}

// Content is the plaintext of a record:
//
//	kind (1) | next (8) | received (8) | taken (8) | number (8) | length (2) | body (length) | zeros
//
// with as many zeros as make the body and them as long as the least of the [Buckets] that holds the body.
type Content struct {
	Kind     Kind
	Next     uint64 // the counter that this side expects: one above the highest it received, or 0
	Received uint64 // how many records it received
	Taken    uint64 // how many of the other side's messages its application has taken
	Number   uint64 // the message's number, from 1; 0 for kinds that are not numbered
	Body     []byte // at most MaxBody bytes
}

const (
	contentHeader = 1 + 4*8 + 2
	// MaxBody is the longest body, in bytes.
	MaxBody = 16 << 10
)

// Buckets are the lengths that bodies are padded to, in bytes.
var Buckets = [...]int{256, 1 << 10, 4 << 10, MaxBody}

func bucket(n int) int {
	for _, b := range Buckets {
		if n <= b {
			return b
		}
	}
	panic("e2e: a body over MaxBody")
}

// Append appends the content, padded.
func (c Content) Append(b []byte) []byte {
	b = append(b, byte(c.Kind))
	for _, n := range []uint64{c.Next, c.Received, c.Taken, c.Number} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.Body))) //nolint:gosec // at most MaxBody
	b = append(b, c.Body...)
	return append(b, make([]byte, bucket(len(c.Body))-len(c.Body))...)
}

// ParseContent reads the plaintext of a record; the body shares its memory. The error is ErrMalformed.
func ParseContent(b []byte) (Content, error) {
	if len(b) < contentHeader {
		return Content{}, fmt.Errorf("%w: it has %d bytes", ErrMalformed, len(b))
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }
	c := Content{Kind: Kind(b[0]), Next: number(0), Received: number(1), Taken: number(2), Number: number(3)}
	n, rest := int(binary.BigEndian.Uint16(b[contentHeader-2:])), b[contentHeader:]
	if n > MaxBody || len(rest) != bucket(n) {
		return Content{}, fmt.Errorf("%w: a body of %d bytes in %d", ErrMalformed, n, len(rest))
	}
	for _, zero := range rest[n:] {
		if zero != 0 {
			return Content{}, fmt.Errorf("%w: padding that is not zero", ErrMalformed)
		}
	}
	if numbered, known := c.Kind.numbered(); known && numbered != (c.Number > 0) {
		return Content{}, fmt.Errorf("%w: kind %d with the number %d", ErrMalformed, c.Kind, c.Number)
	}
	if size, fixed := c.Kind.size(); fixed && n != size {
		return Content{}, fmt.Errorf("%w: kind %d with a body of %d bytes", ErrMalformed, c.Kind, n)
	}
	c.Body = rest[:n:n]
	return c, nil
}
