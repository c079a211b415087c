package actors

import (
	"io"
	"net"
	"runtime"
	"time"
)

// What an output has others do: goroutines of the pool, each of which ends with a message to the ConnectionActor.

// Understood by the ConnectionActor, from its output.
type (
	flush struct{ *output } // the time to write what came together has come
	ready struct {          // the socket has taken n bytes more, or would take some, or never will
		quiet
		output *output
		n      int
		err    error
		crash  *Crash
	}
	parted struct{ quiet } // the last word is said
)

// IgnoreDeadLetterLogging implements actor.IgnoreDeadLetterLogging.
func (flush) IgnoreDeadLetterLogging() {}

// abandon implements abandoner.
func (m ready) abandon() bool {
	m.output.shared.tell(m.output.connection, m.crash)
	if !m.output.socket.direct() {
		m.output.settle(m.n)
	}
	return false
}

// later is the job to send flush once others had their turn.
type later struct{ *output }

func (l later) run(w *worker) {
	runtime.Gosched()
	l.worker = w
	l.shared.send(l.connection, flush(l))
}

// waiter is the job to wait for a socket.
type waiter struct {
	output *output // only what never changes
	pieces [][]byte
}

func (w *waiter) run(*worker) {
	o := w.output
	defer o.shared.running.Done()
	m, before := ready{output: o}, int64(0)
	if !o.socket.direct() {
		before = o.socket.sent()
	}
	returned := false
	defer func() {
		if p := recover(); p != nil || !returned { // of a connection of the host's
			m.crash = NewCrash(p)
			if !o.socket.direct() { // the slices before the one it crashed on are written
				m.n = int(o.socket.sent() - before)
			}
		}
		o.shared.send(o.connection, m)
	}()
	m.n, m.err = o.socket.wait(w.pieces)
	returned = true
}

// farewell is the job to close in good order after the last word, which may be still to say.
type farewell struct {
	*output        // only what never changes
	word    []byte // if it was not written
}

// lingering is how long the client may take to read the last word, and go on sending after it, lest a reset takes it away
// (docs/protocol.md, "Closing").
const lingering = 500 * time.Millisecond

func (f farewell) run(*worker) { // ends within that time, or when the ConnectionActor closes the socket
	defer f.shared.running.Done()
	returned := false
	defer func() {
		if p := recover(); p != nil || !returned { // in a connection of the host's; it is closed next
			f.shared.tell(f.connection, NewCrash(p))
		}
		closeAnyway(f.conn)
		f.shared.send(f.connection, parted{})
	}()
	takeLeave(f.conn, f.word)
	returned = true
}

// takeLeave says the last word, if there is one, and waits until the client closes, or time is up. The caller closes.
func takeLeave(conn net.Conn, word []byte) {
	enough := time.AfterFunc(lingering, func() { closeAnyway(conn) }) // whatever the connection makes of deadlines
	defer enough.Stop()
	if len(word) > 0 {
		if _, err := conn.Write(word); err != nil {
			return
		}
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	if conn.SetReadDeadline(time.Time{}) == nil { // the reader was stopped by one
		_, _ = io.Copy(io.Discard, conn)
	}
}

// closeAnyway closes a connection, which may be one of the host's that panics.
func closeAnyway(conn net.Conn) {
	defer func() { _ = recover() }()
	_ = conn.Close()
}
