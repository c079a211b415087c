package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// thrift gives memory back to the operating system when many connections have ended, as after a flood. Go would do so, too, but
// only after its next collections, and where hardly anything is allocated, as here, these come every two minutes.
type thrift struct{ most int } // connections there were since the last time

const (
	thriftEvery = 5 * time.Second
	fewer       = 100 // connections fewer than there were are worth it, if it is half of them
)

// giveBack looks now and then, until the context ends.
func giveBack(ctx context.Context, relay *supervisor.Relay) {
	var t thrift
	tick := time.NewTicker(thriftEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if online, anonymous := relay.Connections(); t.over(online + anonymous) {
			runtime.GC() // empties pools by half; what follows collects once more
			debug.FreeOSMemory()
		}
	}
}

// over reports whether so many connections are few, compared to what there were.
func (t *thrift) over(connections int) bool {
	t.most = max(t.most, connections)
	if gone := t.most - connections; gone < fewer || gone < t.most/2 {
		return false
	}
	t.most = connections
	return true
}
