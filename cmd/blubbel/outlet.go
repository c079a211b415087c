package main

import (
	"io"
	"sync"
)

// outlet is a stream that can be led elsewhere: what is told while somebody types has to go through their terminal.
type outlet struct {
	mu     sync.Mutex
	writer io.Writer
}

func newOutlet(w io.Writer) *outlet { return &outlet{writer: w} }

// Write writes to where the stream leads now.
func (o *outlet) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writer.Write(b)
}

func (o *outlet) to() io.Writer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writer
}

// redirect leads it elsewhere, until the function it returns is called.
func (o *outlet) redirect(w io.Writer) (back func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.writer
	o.writer = w
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.writer = before
	}
}
