package supervisor

import (
	"slices"
	"sync"
	"time"
)

// Recent is an event that is remembered for a while: a [ConnectionClosed] or a [Crashed].
type Recent[T any] struct {
	At    time.Time
	Event T
}

// recentMost is how many of each are remembered.
const recentMost = 100

// recent are the last closes and crashes.
type recent struct {
	mu      sync.Mutex
	closes  []Recent[ConnectionClosed]
	crashes []Recent[Crashed]
}

func (r *recent) add(event any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := event.(type) {
	case ConnectionClosed:
		r.closes = remember(r.closes, e)
	case Crashed:
		r.crashes = remember(r.crashes, e)
	}
}

func remember[T any](list []Recent[T], event T) []Recent[T] {
	if len(list) == recentMost {
		list = append(list[:0], list[1:]...)
	}
	return append(list, Recent[T]{time.Now(), event})
}

// RecentCloses returns the last 100 connections that have ended, the last one first.
func (r *Relay) RecentCloses() []Recent[ConnectionClosed] {
	r.recent.mu.Lock()
	defer r.recent.mu.Unlock()
	return backwards(r.recent.closes)
}

// RecentCrashes returns the last 100 crashes, the last one first.
func (r *Relay) RecentCrashes() []Recent[Crashed] {
	r.recent.mu.Lock()
	defer r.recent.mu.Unlock()
	return backwards(r.recent.crashes)
}

func backwards[T any](list []T) []T {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}
