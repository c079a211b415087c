package actors

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// Login is one login of a key on one connection. What comes from a login that is over is refused, and what was under way
// to one is never handed to the next.
type Login struct {
	Number     uint64     // never used again
	Key        frames.Key // owned by the Login
	Connection *actor.PID // writes what is for the client
	User       *actor.PID // set by the UserActor before it answers Joined
	shared     *Shared
	over       atomic.Bool
}

// NewLogin returns a login of a key on a connection, not joined yet. It keeps a copy of the key.
func NewLogin(shared *Shared, key frames.Key, connection *actor.PID) *Login {
	return &Login{
		Number: shared.logins.Add(1), Key: append(frames.Key(nil), key...), Connection: connection, shared: shared,
	}
}

// Chunk is what one read brought: whole frames, in order. It goes back to its reader when the last of them is settled.
type Chunk struct {
	shared *Shared
	login  *Login // nil before login
	window *window
	buffer *[]byte
	weight int          // what settling gives back to the window
	bytes  []byte       // the frames, in buffer
	at     int          // where the walk goes on: the frame at this offset is next. The mark a retry goes on behind
	number uint64       // request number of the frame at this offset
	taken  bool         // its UserActor has it: a mark, should that crash with the message in hand
	open   atomic.Int32 // runs not settled yet, and one for whoever walks the chunk
}

// frame returns the frame at the mark, header included, and its type; nil at the end.
func (c *Chunk) frame() (t frames.Type, whole []byte) {
	if c.at == len(c.bytes) {
		return 0, nil
	}
	n := frameLen(c.bytes[c.at:])
	return frames.Type(c.bytes[c.at]), c.bytes[c.at : c.at+n]
}

// pass moves the mark behind the frame at it.
func (c *Chunk) pass() {
	c.at += frameLen(c.bytes[c.at:])
	c.number++
}

// run takes the frame at the mark as a run of its own, and moves the mark behind it. keySize is how many bytes of its payload are the recipient's key.
func (c *Chunk) run(keySize int) *Run {
	t, _ := c.frame()
	r := &Run{chunk: c, Type: t, keySize: keySize}
	c.open.Add(1)
	r.add()
	return r
}

// refuseRest settles what was not walked, and lets go of the chunk. For a chunk whose login is over.
func (c *Chunk) refuseRest() {
	for t, whole := c.frame(); whole != nil; t, whole = c.frame() {
		c.pass()
		if t.Carries() {
			c.shared.Ledger.refused[frames.Offline].Add(1)
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
	if c.buffer != nil {
		putBuffer(c.buffer)
	}
	c.buffer, c.bytes = nil, nil
	c.window.give(c.weight)
}

// frameLen returns the length of the frame at the start of b, which is known to be whole.
func frameLen(b []byte) int { return frames.HeaderSize + int(binary.BigEndian.Uint32(b[1:])) }

// Run is frames of one type out of one chunk, that share their fate so far: on their way to one recipient, or back to their
// sender with one refusal. Whoever holds a run settles it or passes it on; it has one holder at a time.
type Run struct {
	Type    frames.Type
	chunk   *Chunk
	keySize int
	spans   []span

	// What was done with it: marks, each set once, should an actor crash with the message in hand that did it.
	introduced bool        // the Registry has passed it on
	heard      bool        // the recipient's UserActor has decided
	delivered  bool        // it was put into the recipient's output
	refused    atomic.Bool // it was sent back
	returned   bool        // it was put into the sender's output
}

// span is frames that follow each other in the chunk.
type span struct {
	from, to int
	number   uint64 // request number of the first
}

// add moves the frame at the chunk's mark into the run.
func (r *Run) add() {
	c := r.chunk
	at, number := c.at, c.number
	c.pass()
	if n := len(r.spans); n > 0 && r.spans[n-1].to == at {
		r.spans[n-1].to = c.at
		return
	}
	r.spans = append(r.spans, span{from: at, to: c.at, number: number})
}

// each calls f for every frame that is not settled, in order, until f says no.
func (r *Run) each(f func(whole []byte, number uint64) bool) {
	for _, s := range r.spans {
		for s.from < s.to {
			n := frameLen(r.chunk.bytes[s.from:])
			if !f(r.chunk.bytes[s.from:s.from+n], s.number) {
				return
			}
			s.from += n
			s.number++
		}
	}
}

// settle gives the first frame its outcome: delivered (code 0), or refused, its Error written or nobody there to read
// it. It reports whether it was the run's last; the run is gone then.
func (r *Run) settle(code frames.Code) (last bool) {
	s := &r.spans[0]
	s.from += frameLen(r.chunk.bytes[s.from:])
	s.number++
	if s.from == s.to {
		r.spans = r.spans[1:]
	}
	if l := &r.chunk.shared.Ledger; r.Type.Carries() && r.chunk.login != nil {
		if code == 0 {
			l.delivered.Add(1)
		} else {
			l.refused[code].Add(1)
		}
	}
	if len(r.spans) > 0 {
		return false
	}
	r.chunk.release()
	return true
}

// settleAll gives every frame the same outcome.
func (r *Run) settleAll(code frames.Code) {
	for !r.settle(code) {
	}
}

// refuse sends the run back to the connection it came from, which tells the client. Once is enough.
func (r *Run) refuse(code frames.Code, text string) {
	if !r.refused.CompareAndSwap(false, true) {
		return
	}
	if r.chunk.login.over.Load() {
		r.settleAll(code)
		return
	}
	r.chunk.shared.Root.Send(r.chunk.login.Connection, Refuse{Run: r, Code: code, Text: text})
}

// Introduce notes that the Registry passes the run on. It is false if it did so already.
func (r *Run) Introduce() bool {
	first := !r.introduced
	r.introduced = true
	return first
}

// From returns the key that the frames are from.
func (r *Run) From() frames.Key { return r.chunk.login.Key }

// Sender returns the UserActor that the frames are from.
func (r *Run) Sender() *actor.PID { return r.chunk.login.User }
