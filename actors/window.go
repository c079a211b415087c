package actors

import (
	"sync"
	"sync/atomic"

	"github.com/mdeiml/blubbel-server/frames"
)

// window is the memory of the relay that one connection may hold. Its reader takes, and who copies something out of a chunk;
// whoever settles the last frame of it gives back. A reader whose window is used up does not read, so TCP slows its client
// down. What it reads while the window is not used up may be too much: a buffer for it, and one for what is left of it, and the books.
type window struct {
	size    int64
	used    atomic.Int64
	closed  atomic.Bool
	waiting atomic.Bool // the reader is, or is about to
	mu      sync.Mutex
	freed   sync.Cond // with mu
}

// take takes n bytes without waiting.
func (w *window) take(n int) { w.used.Add(int64(n)) }

func (w *window) give(n int) {
	w.used.Add(-int64(n))
	w.signal()
}

// close ends all waiting.
func (w *window) close() {
	w.closed.Store(true)
	w.signal()
}

func (w *window) signal() {
	if w.waiting.Load() {
		w.mu.Lock()
		w.freed.Broadcast()
		w.mu.Unlock()
	}
}

// free reports whether the window is not used up.
func (w *window) free() bool { return w.used.Load() <= w.size }

// room waits until it is not. Owned by the reader.
func (w *window) room() { w.until(w.size) }

// quiet waits until everything was given back. Owned by the reader.
func (w *window) quiet() { w.until(0) }

func (w *window) until(used int64) {
	if w.used.Load() <= used {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.freed.L = &w.mu
	w.waiting.Store(true) // before the second look: who gives after that look sees it
	for w.used.Load() > used && !w.closed.Load() {
		w.freed.Wait()
	}
	w.waiting.Store(false)
}

// The sizes of buffers. A largest frame fits in a large one.
const (
	smallBuffer  = 4 << 10
	mediumBuffer = 16 << 10
	largeBuffer  = 128 << 10
)

var (
	smallBuffers, mediumBuffers, largeBuffers = buffers(smallBuffer), buffers(mediumBuffer), buffers(largeBuffer)

	_ [largeBuffer - frames.HeaderSize - frames.MaxPayload]struct{} // does not compile if it does not fit
)

func buffers(size int) *sync.Pool {
	return &sync.Pool{New: func() any {
		b := make([]byte, size)
		return &b
	}}
}

// bufferPool returns where buffers come from that hold so many bytes.
func bufferPool(size int) *sync.Pool {
	switch {
	case size <= smallBuffer:
		return smallBuffers
	case size <= mediumBuffer:
		return mediumBuffers
	}
	return largeBuffers
}

// getBuffer returns a buffer of at least this size.
func getBuffer(size int) *[]byte { return bufferPool(size).Get().(*[]byte) }

func putBuffer(b *[]byte) { bufferPool(len(*b)).Put(b) }
