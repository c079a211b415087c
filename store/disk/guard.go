package disk

import (
	"sync"
	"time"
)

// guard says whether there is enough room on the disk. It looks at most once a second.
type guard struct {
	free  func() (uint64, error) // in bytes
	least uint64

	mu     sync.Mutex
	looked time.Time
	full   bool
}

const lookAgain = time.Second

func (g *guard) enough() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := time.Now(); g.looked.IsZero() || now.Sub(g.looked) >= lookAgain {
		g.looked = now
		free, err := g.free()
		g.full = err == nil && free < g.least
	}
	return !g.full
}
