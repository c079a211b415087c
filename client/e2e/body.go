package e2e

import (
	"encoding/binary"
	"fmt"
	"time"
)

// version and suite begin the bodies of both halves.
const (
	version = 1
	suite   = 1 // ffdhe3072, RSA-PSS, RSA-OAEP, AES-256-GCM, all with SHA-256
)

// offer is the body of a Start without its signature:
//
//	version (1) | suite (1) | share (384) | nonce (32) | from (32) | to (32) | time (8, ms since 1970)
type offer struct {
	share    []byte
	nonce    [32]byte
	from, to [32]byte // fingerprints
	time     time.Time
}

// answer is the body of an Accept without its signature and confirmation:
//
//	version (1) | suite (1) | share (384) | nonce (32) | from (32) | to (32) | hash of the Start's body (32)
type answer struct {
	share    []byte
	nonce    [32]byte
	from, to [32]byte
	start    [32]byte
}

const (
	commonSize = 2 + shareSize + 3*32
	offerSize  = commonSize + 8
	answerSize = commonSize + 32
	macSize    = 32
)

func (o *offer) append(b []byte) []byte {
	b = appendCommon(b, o.share, o.nonce, o.from, o.to)
	return binary.BigEndian.AppendUint64(b, uint64(o.time.UnixMilli()))
}

func (a *answer) append(b []byte) []byte {
	return append(appendCommon(b, a.share, a.nonce, a.from, a.to), a.start[:]...)
}

func appendCommon(b, share []byte, parts ...[32]byte) []byte {
	b = append(append(b, version, suite), share...)
	for _, p := range parts {
		b = append(b, p[:]...)
	}
	return b
}

// parse reads the body of a Start and returns its signature.
func (o *offer) parse(body []byte) (signature []byte, err error) {
	rest, err := parseCommon(body, offerSize, &o.share, &o.nonce, &o.from, &o.to)
	if err != nil {
		return nil, err
	}
	o.time = time.UnixMilli(int64(binary.BigEndian.Uint64(rest))) //nolint:gosec // any time will do
	return rest[8:], nil
}

// parse reads the body of an Accept and returns its signature and its confirmation.
func (a *answer) parse(body []byte) (signature, mac []byte, err error) {
	rest, err := parseCommon(body, answerSize+macSize, &a.share, &a.nonce, &a.from, &a.to)
	if err != nil {
		return nil, nil, err
	}
	copy(a.start[:], rest)
	end := len(rest) - macSize
	return rest[32:end], rest[end:], nil
}

// parseCommon reads what both bodies begin with, and returns the rest of a body of at least size bytes.
func parseCommon(body []byte, size int, share *[]byte, parts ...*[32]byte) (rest []byte, err error) {
	if len(body) >= 2 && (body[0] != version || body[1] != suite) {
		return nil, fmt.Errorf("%w: version %d, suite %d", ErrVersion, body[0], body[1])
	}
	if len(body) < size {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrMalformed, len(body))
	}
	*share, rest = body[2:2+shareSize], body[2+shareSize:]
	for _, p := range parts {
		rest = rest[copy(p[:], rest):]
	}
	return rest, nil
}
