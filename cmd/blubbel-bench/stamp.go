package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"

	"github.com/mdeiml/blubbel-server/frames"
)

// A body is, with numbers in big-endian:
//
//	check (8) | stream (4) | size (4) | sequence number (8) | time (8) | filler | check (8)
//
// The check is mixed from the four numbers. The filler is a piece of one random text, and where the piece begins depends
// on the check. So every byte of a body can be told from the 24 bytes of its numbers, and is.
const (
	frontSize = 32
	checkSize = 8
	leastBody = frontSize + checkSize
	begins    = 1 << 12 // pieces of the filler begin in so many places
)

// filler is what bodies are filled with. It is the same in every run: it need not be secret, only hard to come about by
// mistake.
var filler = func() []byte {
	text := make([]byte, frames.MaxPayload+begins)
	_, _ = rand.NewChaCha8([32]byte([]byte("a text that bodies are filled up"))).Read(text)
	return text
}()

// stamp is what a body says about itself.
type stamp struct {
	stream uint32 // which of the load's streams
	size   uint32 // of the whole body
	seq    uint64 // its place in the stream, from 1
	at     int64  // when it was to be sent, in ns since the load began
}

// What can be wrong with a body.
var (
	errForeign = errors.New("the body is too short to be one of ours")
	errSize    = errors.New("the body has another size than it was sent with")
	errChanged = errors.New("the body was changed on the way")
)

func (s stamp) check() uint64 {
	const odd1, odd2, odd3 = 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9
	x := s.seq*odd1 ^ (uint64(s.stream)<<32|uint64(s.size))*odd2 ^ uint64(s.at)*odd3 //nolint:gosec // only the bits matter
	x = (x ^ x>>29) * odd1
	return x ^ x>>32
}

// appendTo appends the whole body.
func (s stamp) appendTo(b []byte) []byte {
	check := s.check()
	b = binary.BigEndian.AppendUint64(b, check)
	b = binary.BigEndian.AppendUint32(b, s.stream)
	b = binary.BigEndian.AppendUint32(b, s.size)
	b = binary.BigEndian.AppendUint64(b, s.seq)
	b = binary.BigEndian.AppendUint64(b, uint64(s.at)) //nolint:gosec // readStamp turns it back
	b = append(b, s.filler(check)...)
	return binary.BigEndian.AppendUint64(b, check)
}

func (s stamp) filler(check uint64) []byte {
	from := check % begins
	return filler[from : from+uint64(s.size)-leastBody]
}

// readStamp reads a body's stamp, and compares every other byte of the body with what the stamp says it must be.
func readStamp(body []byte) (stamp, error) {
	if len(body) < leastBody || len(body) > frames.MaxPayload {
		return stamp{}, errForeign
	}
	s := stamp{
		stream: binary.BigEndian.Uint32(body[8:]),
		size:   binary.BigEndian.Uint32(body[12:]),
		seq:    binary.BigEndian.Uint64(body[16:]),
		at:     int64(binary.BigEndian.Uint64(body[24:])), //nolint:gosec // appendTo turned it
	}
	check, tail := s.check(), body[len(body)-checkSize:]
	switch {
	case binary.BigEndian.Uint64(body) != check:
		return stamp{}, errChanged
	case int64(s.size) != int64(len(body)):
		return stamp{}, errSize
	case binary.BigEndian.Uint64(tail) != check, !bytes.Equal(body[frontSize:len(body)-checkSize], s.filler(check)):
		return stamp{}, errChanged
	}
	return s, nil
}
