package actors

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// Chunk is what one read brought: whole frames, in order. It goes back to its reader when the last of them is settled, and is
// used again: nobody may look at it after letting go of it.
type Chunk struct {
	shared *Shared
	login  *Login // nil before login
	read   time.Time
	window *window
	buffer *[]byte      // nil before login; owned
	weight int          // what settling gives back to the window
	bytes  []byte       // the frames
	at     int          // where the walk goes on: the frame at this offset is next. The mark a retry goes on behind
	number uint64       // request number of the frame at this offset
	open   atomic.Int32 // runs not settled yet, and one for whoever walks the chunk
	worker *worker      // that sends it; see ride
}

var chunks = sync.Pool{New: func() any { return new(Chunk) }}

// frame returns the frame at the mark, header included, and its type; nil at the end.
func (c *Chunk) frame() (t frames.Type, whole []byte) {
	if c.at == len(c.bytes) {
		return 0, nil
	}
	n := frameLen(c.bytes[c.at:])
	return frames.Type(c.bytes[c.at]), c.bytes[c.at : c.at+n]
}

// pass moves the mark behind the frame at it, of n bytes.
func (c *Chunk) pass(n int) {
	c.at += n
	c.number++
}

// refuseRest settles what was not walked, and lets go of the chunk. For a chunk whose login is over.
func (c *Chunk) refuseRest() {
	for t, whole := c.frame(); whole != nil; t, whole = c.frame() {
		c.pass(len(whole))
		if t.Carries() {
			c.shared.Ledger.settle(1, len(whole), frames.Offline, c.read)
		}
	}
	c.release()
}

// release gives the chunk back when everybody let go of it.
func (c *Chunk) release() {
	switch n := c.open.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic(bug("a chunk was settled twice"))
	}
	window, weight, buffer := c.window, c.weight, c.buffer
	c.shared, c.login, c.window, c.buffer, c.bytes = nil, nil, nil, nil, nil
	if buffer != nil {
		putBuffer(buffer)
		chunks.Put(c)
	}
	window.give(weight)
}

// frameLen returns the length of the frame at the start of b, which is known to be whole.
func frameLen(b []byte) int { return frames.HeaderSize + int(binary.BigEndian.Uint32(b[1:])) }
