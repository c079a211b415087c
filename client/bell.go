package client

import (
	"context"
	"sync"
)

// bell wakes those who wait for a change of what a lock guards. It is guarded by that lock itself.
type bell struct{ rung chan struct{} }

func newBell() bell { return bell{rung: make(chan struct{})} }

// ring wakes everybody who waits now.
func (b *bell) ring() {
	close(b.rung)
	b.rung = make(chan struct{})
}

// wait gives the lock up until the bell rings, and has it again when it returns. The error is that of ctx.
func (b *bell) wait(ctx context.Context, lock *sync.Mutex) error {
	rung := b.rung
	lock.Unlock()
	defer lock.Lock()
	select {
	case <-rung:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
