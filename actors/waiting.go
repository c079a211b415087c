package actors

import (
	"errors"
	"net"
	"os"
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
	brief   bool   // who still takes what was written before is not waited for
}

// lingering is how long the client may take to read the last word, and go on sending after it, lest a reset takes it away
// (docs/protocol.md, "Closing"). As long as it takes what the operating system still has for it, it gets more, up to longest.
const (
	lingering     = 500 * time.Millisecond
	longestLinger = 5 * time.Second
)

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
	sent := f.socket.sent
	if f.brief {
		sent = func() int64 { return 0 }
	}
	takeLeave(f.conn, f.word, sent)
	returned = true
}

// takeLeave says the last word, if there is one, and waits until the client closes, or time is up. Sent says how many bytes have
// got to the client. The caller closes.
func takeLeave(conn net.Conn, word []byte, sent func() int64) {
	defer closeLater(conn, sent)()
	if len(word) > 0 {
		if _, err := conn.Write(word); err != nil {
			return
		}
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	bin := make([]byte, 512) // there may be thousands of these
	for range 3 {            // times that the reader, which may just be stopping, sets the deadline that woke it
		err := conn.SetReadDeadline(time.Time{})
		for err == nil {
			_, err = conn.Read(bin)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// closeLater closes a connection when time is up, whatever it makes of deadlines, unless it is called off.
func closeLater(conn net.Conn, sent func() int64) (callOff func() bool) {
	before, left := sent(), longestLinger
	var enough *time.Timer
	ready := make(chan struct{})
	enough = time.AfterFunc(lingering, func() {
		<-ready
		now := sent()
		if left -= lingering; now == before || left <= 0 {
			closeAnyway(conn)
			return
		}
		before = now
		enough.Reset(lingering)
	})
	close(ready)
	return enough.Stop
}

// closeAnyway closes a connection, which may be one of the host's that panics. TLS and WebSocket say so to a client that still reads; of
// others they would wait for seconds that they do.
func closeAnyway(conn net.Conn) {
	defer func() { _ = recover() }()
	if all := layers(conn); len(all) > 1 {
		defer time.AfterFunc(lastAlert, func() { closeAnyway(all[len(all)-1]) }).Stop()
	}
	_ = conn.Close()
}

// lastAlert is how long it may take to say so.
const lastAlert = 100 * time.Millisecond
