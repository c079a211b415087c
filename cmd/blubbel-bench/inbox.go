package main

import (
	"errors"
	"net"

	"github.com/mdeiml/blubbel-server/frames"
)

const (
	// bulkRead is how much is read at once where much arrives.
	bulkRead = 64 << 10
	// modestRead is enough for the answers while one logs in, and all that an idle connection has.
	modestRead = 1 << 10
	// longestPayload is the longest that a relay may forward.
	longestPayload = frames.MaxPayload + frames.MaxGrowth
)

// inbox reads frames of a connection into one buffer, and hands them out in place.
type inbox struct {
	conn net.Conn
	buf  []byte
	r, w int // what is in buf[r:w] was read, and is not handed out yet
}

// grow makes the buffer at least n bytes long.
func (in *inbox) grow(n int) {
	if len(in.buf) >= n {
		return
	}
	longer := make([]byte, n)
	in.w = copy(longer, in.buf[in.r:in.w])
	in.buf, in.r = longer, 0
}

// next hands out the next frame, which is good until fill; ok is false if it has not been read whole.
func (in *inbox) next() (f frames.Raw, ok bool, err error) {
	f, rest, err := frames.Cut(in.buf[in.r:in.w], longestPayload)
	if errors.Is(err, frames.ErrShort) {
		return f, false, nil
	}
	if err != nil {
		return f, false, errNoFrame
	}
	in.r = in.w - len(rest)
	return f, true, nil
}

// errNoFrame says that what arrives cannot be cut into frames: there is no way to find where the next begins.
var errNoFrame = errors.New("what arrived is no frame of the protocol")

// fill reads more.
func (in *inbox) fill() error {
	in.w, in.r = copy(in.buf, in.buf[in.r:in.w]), 0
	if in.w == len(in.buf) {
		in.grow(2*len(in.buf) + modestRead)
	}
	n, err := in.conn.Read(in.buf[in.w:])
	in.w += n
	if n > 0 {
		return nil // the error comes again
	}
	return err
}
