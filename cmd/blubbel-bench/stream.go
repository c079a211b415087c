package main

import (
	"bytes"
	"errors"

	"github.com/mdeiml/blubbel-server/frames"
)

// stream is the Messages from one user to another, numbered from 1.
type stream struct {
	id       uint32
	size     uint32 // of each body
	from, to *user
	front    []byte // what is in front of each body: the frame's header, and the key of the recipient

	arrived   spans        // the recipient's reader's
	refused   spans        // the sender's reader's
	latencies []*latencies // take the time from when a Message was to be sent until it arrives
	reply     func(at int64)
	retry     func()
}

// newFront returns what is in front of each body to this user.
func newFront(to frames.Key, size uint32) []byte {
	front := frames.AppendHeader(nil, frames.TypeMessage, len(to)+int(size))
	return append(front, to...)
}

// appendTo appends the frame of the Message with this number.
func (st *stream) appendTo(b []byte, seq uint64, at int64) []byte {
	b = append(b, st.front...)
	return stamp{stream: st.id, size: st.size, seq: seq, at: at}.appendTo(b)
}

// What can be wrong with a Message besides its body.
var (
	errNoKey     = errors.New("a Message does not begin with a key")
	errRecipient = errors.New("a Message reached another user than the one it was for")
	errSender    = errors.New("a Message is not marked with the key of its sender")
	errDuplicate = errors.New("a Message came twice")
	errOrder     = errors.New("a Message came after a later one of the same sender")
)

// judge says of a Message that reached a user which one it is, or what is wrong with it. Order is not looked at.
func judge(to *user, streams []*stream, payload []byte) (*stream, stamp, error) {
	key, body, err := frames.DefaultKeys().Split(payload)
	if err != nil {
		return nil, stamp{}, errNoKey
	}
	s, err := readStamp(body)
	switch {
	case err != nil:
		return nil, s, err
	case int64(s.stream) >= int64(len(streams)):
		return nil, s, errForeign
	}
	st := streams[s.stream]
	switch {
	case st.to != to:
		return nil, s, errRecipient
	case !bytes.Equal(key, st.from.key):
		return nil, s, errSender
	case s.size != st.size:
		return nil, s, errSize
	}
	return st, s, nil
}

// arrive notes that a Message has arrived. A gap is no fault by itself: the Messages in it may have been refused.
func (st *stream) arrive(seq uint64) (fresh bool, err error) {
	late := seq < st.arrived.highest()
	switch fresh = st.arrived.add(seq); {
	case !fresh:
		return false, errDuplicate
	case late:
		return true, errOrder
	}
	return true, nil
}
