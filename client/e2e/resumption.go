package e2e

import (
	"encoding/binary"
	"fmt"
)

// Step says how far two sides are in finding out what was lost with a connection. Each is answered with the next, and the
// last with nothing.
type Step byte

// The steps.
const (
	Interrupted Step = 1 // the sender's connection broke, so that anything may be lost, in both directions
	Asking      Step = 2 // what the sender has said may be lost, too
	Telling     Step = 3
)

// Resumption is the body of a Resume: step (1) | complete (8) | ahead (8).
type Resumption struct {
	Step     Step
	Complete uint64 // up to this number every message is here,
	Ahead    uint64 // and of those behind it, complete + 1 + i if bit i is set
}

const resumptionSize = 1 + 2*8

// Has reports whether the message of this number is here.
func (r Resumption) Has(number uint64) bool {
	if number <= r.Complete {
		return true
	}
	i := number - r.Complete - 1
	return i < 64 && r.Ahead>>i&1 == 1
}

// Append appends the body.
func (r Resumption) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(append(b, byte(r.Step)), r.Complete)
	return binary.BigEndian.AppendUint64(b, r.Ahead)
}

// ParseResumption reads the body of a Resume, whose length was checked with its content. The error is ErrMalformed.
func ParseResumption(b []byte) (Resumption, error) {
	r := Resumption{Step: Step(b[0]), Complete: binary.BigEndian.Uint64(b[1:]), Ahead: binary.BigEndian.Uint64(b[9:])}
	if r.Step < Interrupted || r.Step > Telling {
		return r, fmt.Errorf("%w: step %d of a Resume", ErrMalformed, r.Step)
	}
	return r, nil
}
