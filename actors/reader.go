package actors

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// reader turns the bytes of a socket into messages: before login a frame at a time to the ConnectionActor, then chunks to
// the UserActor. It is the one goroutine of a connection that lasts. It ends when the stream does, or when the ConnectionActor stops.
type reader struct {
	shared     *Shared
	conn       net.Conn
	window     *window
	connection *actor.PID
	login      atomic.Pointer[Login] // set by the ConnectionActor before it settles the Login
	quit       atomic.Bool           // set by the ConnectionActor: stop at the next frame border

	// Owned by run.
	buffer *[]byte
	have   []byte // what was read and is not handed over: the start of buffer
	number uint64 // request number of the frame that have begins with
	eager  bool   // the last read would have filled a small buffer: there is more to come
}

func newReader(shared *Shared, conn net.Conn, connection *actor.PID) *reader {
	return &reader{
		shared: shared, conn: conn, window: newWindow(shared.Limits.Window), connection: connection, number: 1,
	}
}

// stop makes the reader end at the next frame border; with everything read before it settled, unless the window is closed, too.
func (r *reader) stop() {
	r.quit.Store(true)
	_ = r.conn.SetReadDeadline(time.Unix(1, 0)) // wakes it up; a closed socket needs no waking
}

// run reads until the stream ends. Its end is a message, too, sent when everything before it is settled.
func (r *reader) run() {
	defer r.shared.Running.Done()
	end := ended{}
	defer func() {
		if p := recover(); p != nil {
			end = ended{crash: NewCrash(p)}
		}
		r.drop()
		r.window.quiet()
		r.shared.Root.Send(r.connection, end)
	}()
	for !r.quit.Load() {
		if err := r.read(); err != nil {
			return
		}
		if refusal := r.handOver(); refusal != nil {
			f, _, _ := frames.Cut(r.have, 0)
			end = ended{refusal: refusal, request: f.Type, number: r.number}
			return
		}
	}
}

// read reads what there is, into a buffer that fits.
func (r *reader) read() error {
	r.window.room()
	size := smallBuffer
	if r.eager || len(r.have) == smallBuffer {
		size = largeBuffer
	}
	r.hold(size)
	free := (*r.buffer)[len(r.have):]
	n, err := r.conn.Read(free)
	r.have = (*r.buffer)[:len(r.have)+n]
	r.eager = n >= min(len(free), smallBuffer)
	if n > 0 {
		return nil // an error comes again
	}
	return err
}

// hold makes the buffer have at least this size, keeping what was read.
func (r *reader) hold(size int) {
	old := r.buffer
	if old != nil && len(*old) >= size {
		return
	}
	r.buffer = getBuffer(size)
	r.window.take(len(*r.buffer))
	r.have = (*r.buffer)[:copy(*r.buffer, r.have)]
	if old != nil {
		r.giveBack(old)
	}
}

func (r *reader) giveBack(b *[]byte) {
	r.window.give(len(*b))
	putBuffer(b)
}

// drop lets go of what was read and is no whole frame.
func (r *reader) drop() {
	if r.buffer != nil {
		r.giveBack(r.buffer)
	}
	r.buffer, r.have = nil, nil
}

// handOver hands over the whole frames in have. It returns why the next frame cannot be read, if that is so.
func (r *reader) handOver() *frames.Refusal {
	for !r.quit.Load() {
		login := r.login.Load()
		limit := frames.MaxLoginPayload
		if login != nil {
			limit = frames.MaxPayload
		}
		n, count, err := r.whole(limit, login != nil)
		switch {
		case n > 0 && login == nil:
			r.ask(n)
		case n > 0:
			r.take(n, count, login)
			r.window.room()
		}
		if err != nil {
			return refusalOf(err)
		}
	}
	return nil
}

func refusalOf(err error) *frames.Refusal {
	var refusal *frames.Refusal
	errors.As(err, &refusal)
	return refusal
}

// mostFrames is how many frames a chunk has at most. The books kept for a frame are longer than the shortest frames, so without this a
// flood of those would take much more memory than the window shows. A full buffer of messages has less.
const mostFrames = 256

// whole returns how many bytes of have, and how many frames, are whole frames: at most one before login. The error says
// why there is not one more; there is none when no more were wanted.
func (r *reader) whole(limit int, loggedIn bool) (n int, count uint64, err error) {
	rest, most := r.have, uint64(mostFrames)
	if !loggedIn {
		most = 1
	}
	for count < most {
		f, left, err := frames.Cut(rest, limit)
		if err != nil {
			return n, count, err
		}
		if f.Type.Carries() && loggedIn {
			r.shared.Ledger.taken.Add(1)
		}
		rest = left
		n = len(r.have) - len(rest)
		count++
	}
	return n, count, nil
}

// ask hands the first frame, of n bytes, to the ConnectionActor, and waits until it is answered.
func (r *reader) ask(n int) {
	c := r.chunk(n, nil)
	r.shared.Root.Send(r.connection, received{chunk: c})
	r.window.until(int64(len(*r.buffer)))
	if c.open.Load() > 0 { // the ConnectionActor stopped; somebody may still read the chunk
		r.buffer, r.have = nil, nil
		return
	}
	r.have = (*r.buffer)[:copy(*r.buffer, r.have[n:])]
	r.number++
}

// take hands the first n bytes to the UserActor, buffer and all, and keeps the rest in a new one.
func (r *reader) take(n int, count uint64, login *Login) {
	c := r.chunk(n, login)
	c.buffer, c.weight = r.buffer, len(*r.buffer)
	rest := r.have[n:]
	r.buffer, r.have = nil, nil
	if len(rest) > 0 {
		r.buffer = getBuffer(len(rest))
		r.window.take(len(*r.buffer))
		r.have = (*r.buffer)[:copy(*r.buffer, rest)]
	}
	r.number += count
	r.shared.Root.Send(login.User, Take{Chunk: c})
}

// chunk makes a chunk of the first n bytes. It weighs one byte, until it owns its buffer: somebody holds it.
func (r *reader) chunk(n int, login *Login) *Chunk {
	c := &Chunk{
		shared: r.shared, login: login, window: r.window, bytes: r.have[:n], number: r.number,
	}
	c.open.Store(1)
	if login == nil {
		c.weight = 1
		r.window.take(1)
	}
	return c
}
