package listener

import (
	"net"
	"os"
	"sync"
	"time"
)

// inflow is what has come and was not read yet, at most one piece: who brings the next waits until it was read. Its read deadline
// takes nothing away, and reading goes on when it is moved: unlike those of the library, which ends the connection with it.
type inflow struct {
	mu       sync.Mutex
	changed  sync.Cond // with mu, when any of what follows has changed
	piece    []byte    // not ours: it goes back when all of it was read
	over     error     // why nothing comes behind it
	closed   bool
	deadline time.Time
	alarm    *time.Timer // rings at the deadline; nil before the first
}

// bring brings a piece, and waits until it was read; false if it never will be.
func (f *inflow) bring(piece []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.piece = piece
	f.changed.Broadcast()
	for len(f.piece) > 0 && !f.closed {
		f.changed.Wait()
	}
	f.piece = nil
	return !f.closed
}

// end says that nothing more comes.
func (f *inflow) end(why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = why
	f.changed.Broadcast()
}

// close ends all waiting, and reading.
func (f *inflow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.alarm != nil {
		f.alarm.Stop()
	}
	f.changed.Broadcast()
}

// read waits for something to read.
func (f *inflow) read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.await(); err != nil {
		return 0, err
	}
	n := copy(b, f.piece)
	if f.piece = f.piece[n:]; len(f.piece) == 0 {
		f.changed.Broadcast()
	}
	return n, nil
}

// await waits until there is something to read, or why not. With mu.
func (f *inflow) await() error {
	for {
		switch {
		case f.closed:
			return net.ErrClosed
		case f.late():
			return os.ErrDeadlineExceeded
		case len(f.piece) > 0:
			return nil
		case f.over != nil:
			return f.over
		}
		f.changed.Wait()
	}
}

func (f *inflow) late() bool { return !f.deadline.IsZero() && !time.Now().Before(f.deadline) }

// setDeadline moves the deadline.
func (f *inflow) setDeadline(t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadline = t
	switch left := time.Until(t); {
	case f.closed || t.IsZero() || left <= 0:
		if f.alarm != nil {
			f.alarm.Stop()
		}
	case f.alarm == nil:
		f.alarm = time.AfterFunc(left, f.ring)
	default:
		f.alarm.Reset(left)
	}
	f.changed.Broadcast()
}

// ring wakes those who wait, if it is not too early: the deadline may have been moved meanwhile, or the clock been set.
func (f *inflow) ring() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.late() && !f.deadline.IsZero() && !f.closed {
		f.alarm.Reset(time.Until(f.deadline))
	}
	f.changed.Broadcast()
}
