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
	entry      *Admission // nil if nobody counts it
	socket     socket
	window     window
	connection *actor.PID
	login      atomic.Pointer[Login] // set by the ConnectionActor before it settles the Login
	quit       atomic.Bool           // set by the ConnectionActor: stop at the next frame border
	quits      chan struct{}         // closed then
	probes     atomic.Uint64         // counted by the ConnectionActor: find out soon whether the client is there
	loginBy    time.Time             // the client must have logged in; zero for never

	// Owned by run.
	worker worker
	buffer *[]byte
	have   []byte // what was read and is not handed over: the start of buffer
	number uint64 // request number of the frame that have begins with
	works  bool   // it runs actors
	burst  int    // bytes read since the socket was last found empty
	usual  int    // what burst was then
	pace   pace
	clock  clock
	moved  bool      // something came since the socket was last found empty
	noted  uint64    // so many probes
	shaken bool      // hands
	armed  time.Time // the read deadline of conn; it may be earlier than need be
}

func newReader(shared *Shared, conn net.Conn, socket socket, connection *actor.PID) *reader {
	limits, clock := &shared.Limits, newClock(&shared.Limits)
	return &reader{
		shared: shared, conn: conn, socket: socket, window: window{size: int64(limits.Window)}, connection: connection, number: 1,
		quits: make(chan struct{}), pace: pace{limits.Frames.limiter(), limits.Bytes.limiter()}, clock: clock, loginBy: clock.login,
	}
}

// stop makes the reader end at the next frame border; with everything read before it settled, unless the window is closed, too.
func (r *reader) stop() {
	if !r.quit.Swap(true) {
		close(r.quits)
	}
	_ = r.conn.SetReadDeadline(past) // wakes it up; a closed socket needs no waking
}

// probe makes the reader give the client up if it says nothing in the next seconds.
func (r *reader) probe() {
	r.probes.Add(1)
	_ = r.conn.SetReadDeadline(past)
}

var past = time.Unix(1, 0)

// run reads until the stream ends. Its end is a message, too, sent when everything before it is settled.
func (r *reader) run() {
	end, returned := ended{reader: r}, false
	defer func() {
		switch p := recover(); {
		case p != nil || !returned && !r.works:
			end = ended{reader: r, crash: NewCrash(p)}
		case !returned: // an actor that it ran has called runtime.Goexit
			r.works = false
			r.worker.exits()
			go r.run() // instead
			return
		}
		defer r.shared.running.Done()
		r.drop()
		r.window.quiet()
		r.shared.send(r.connection, end)
	}()
	refusal, err := r.shakeHands()
	for refusal == nil && err == nil && !r.quit.Load() {
		if refusal = r.handOver(); refusal == nil {
			refusal, err = r.read()
		}
	}
	if refusal != nil {
		end = r.ends(refusal)
	}
	returned = true
}

// ends says why the client is not read any more: for its own fault. The frame that has begun is named.
func (r *reader) ends(refusal *frames.Refusal) ended {
	e := ended{reader: r, refusal: refusal}
	if len(r.have) > 0 {
		e.request, e.number = frames.Type(r.have[0]), r.number
	}
	return e
}

// read reads what there is, once there is something. The refusal is for a client that is waited for no longer.
func (r *reader) read() (late *frames.Refusal, err error) {
	r.room()
	n, err := r.socket.read(r)
	if r.buffer != nil {
		r.burst += n
		if r.have = (*r.buffer)[:len(r.have)+n]; len(r.have) < len(*r.buffer) {
			r.usual, r.burst = r.burst, 0
		}
	}
	switch {
	case n > 0: // an error comes again
		r.moved = true
		return nil, nil
	case r.rings(err):
		r.arm(time.Time{})
		return r.late(), nil
	}
	return nil, err
}

// room waits until the window is not used up.
func (r *reader) room() {
	if r.window.free() {
		return
	}
	began := time.Now()
	r.window.room()
	r.clock.paused(time.Since(began))
}

// space implements room.
func (r *reader) space() []byte {
	r.hold(r.enough())
	return (*r.buffer)[len(r.have):]
}

// enough is how large a buffer should be: what came at once the last time fits in, and more. Where the buffer has to wait for
// what comes, it is a small one.
func (r *reader) enough() int {
	expected := r.burst
	if r.socket.direct() {
		expected = max(expected, r.usual)
	}
	return min(max(expected, len(r.have))+1, largeBuffer)
}

// idle implements room: while nothing comes no buffer is held, and the clock runs.
func (r *reader) idle() {
	if len(r.have) == 0 {
		r.drop()
	}
	next := r.waits(time.Now(), r.socket.written())
	if next.IsZero() || !r.armed.IsZero() && !next.Before(r.armed) {
		return // a deadline that comes too early does no harm: one looks at the clock, and reads on
	}
	r.arm(next)
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
		limit := r.shared.Limits.LoginPayload
		if login != nil {
			limit = r.shared.Limits.Payload
		}
		n, count, err := r.whole(limit, login != nil)
		switch {
		case n > 0 && login == nil && r.clock.tooLate(time.Now()): // what is left of a buffer, and whose answers are read slowly
			return errTooLate
		case n > 0 && login == nil:
			r.ask(n)
		case n > 0:
			r.take(n, count, login)
			r.room()
		}
		if n > 0 {
			r.clock.begun = time.Time{}
			r.slowDown(count, n)
		}
		if err != nil {
			return refusalOf(err)
		}
	}
	return nil
}

func refusalOf(err error) *frames.Refusal {
	if errors.Is(err, frames.ErrShort) {
		return nil
	}
	var refusal *frames.Refusal
	errors.As(err, &refusal)
	return refusal
}

const (
	// ChunkFrames is how many frames a chunk has at most. The books kept for a frame are longer than the shortest frames, so
	// without this a flood of those would take much more memory than the window allows at once. A full buffer of messages has less.
	ChunkFrames = 512
	// ChunkBytes is how many bytes it has at most.
	ChunkBytes = largeBuffer
	// books is how many bytes the books of a frame take at most, about: a run of its own.
	books = 160
)

// whole returns how many bytes of have, and how many frames, are whole frames: at most one before login. The error says
// why there is not one more; there is none when no more were wanted.
func (r *reader) whole(limit int, loggedIn bool) (n, count int, err error) {
	most, taken, takenBytes := ChunkFrames, 0, 0
	if !loggedIn {
		most = 1
	}
	rest := r.have
	for ; count < most && err == nil; count++ {
		var f frames.Raw
		f, rest, err = frames.Cut(rest, limit)
		if err != nil {
			break
		}
		if f.Type.Carries() {
			taken++
			takenBytes += frames.HeaderSize + len(f.Payload)
		}
	}
	if loggedIn && taken > 0 {
		r.shared.Ledger.taken.add(taken, takenBytes)
	}
	return len(r.have) - len(rest), count, err
}

// ask hands the first frame, of n bytes, to the ConnectionActor, and waits until it is answered.
func (r *reader) ask(n int) {
	c := &Chunk{shared: r.shared, window: &r.window, bytes: r.have[:n], number: r.number, weight: 1}
	c.open.Store(1)
	r.window.take(1)
	r.shared.Root.Send(r.connection, received{chunk: c})
	r.window.until(int64(len(*r.buffer)))
	if c.open.Load() > 0 { // the ConnectionActor stopped; somebody may still read the chunk
		r.buffer, r.have = nil, nil
		return
	}
	r.have = (*r.buffer)[:copy(*r.buffer, r.have[n:])]
	r.number++
}

// take hands the first n bytes to the UserActor, buffer and all, and keeps the rest in a new one. What actors do with it,
// they do on this goroutine, if they are idle.
func (r *reader) take(n, count int, login *Login) {
	c := chunks.Get().(*Chunk)
	c.shared, c.login, c.window = r.shared, login, &r.window
	c.buffer, c.bytes, c.at, c.number = r.buffer, r.have[:n], 0, r.number
	c.weight = len(*r.buffer) + count*books
	c.worker = &r.worker
	c.open.Store(1)
	r.window.take(count * books)
	rest := r.have[n:]
	r.buffer, r.have = nil, nil
	if len(rest) > 0 {
		r.buffer = getBuffer(max(len(rest), r.enough()))
		r.window.take(len(*r.buffer))
		r.have = (*r.buffer)[:copy(*r.buffer, rest)]
	}
	r.number += uint64(count) //nolint:gosec // at most ChunkFrames
	r.shared.Root.Send(login.User, Take{Chunk: c})
	r.works = true
	r.worker.work()
	r.works = false
}
