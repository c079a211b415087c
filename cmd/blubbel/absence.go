package main

import (
	"sync"
	"time"
)

// absence ends a pipe when the friend is away for too long: nobody may be there to interrupt it.
type absence struct {
	mu    sync.Mutex
	away  bool
	over  func() // nil before it begins
	timer *time.Timer
}

// begin has over called when the friend was away for piping.
func (a *absence) begin(over func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = over
	a.look()
}

// present takes the relay's word.
func (a *absence) present(online bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = !online
	a.look()
}

// look sets the timer, or stops it. The lock is held.
func (a *absence) look() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	if a.away && a.over != nil {
		a.timer = time.AfterFunc(piping, a.over)
	}
}
