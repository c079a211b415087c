package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// thrift gives memory back to the operating system after a flood. Go would do so, too, but only after its next collections, and
// where hardly anything is allocated, as here, these come every two minutes.
type thrift struct {
	needed    uint64 // bytes held from the operating system after the last time
	allocated uint64 // bytes allocated when we last looked
}

const (
	thriftEvery = 5 * time.Second
	quietBytes  = 4 << 20  // allocated in that time at most: nobody is flooding now
	spareBytes  = 16 << 20 // that may be held beyond half as much again as is needed
)

// giveBack looks now and then until the context ends.
func giveBack(ctx context.Context) {
	var t thrift
	tick := time.NewTicker(thriftEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !t.wasteful(memory()) {
			continue
		}
		runtime.GC() // empties pools by half; what follows collects once more
		debug.FreeOSMemory()
		t.needed, _ = memory()
	}
}

// wasteful reports whether much more is held than was needed the last time, and it is quiet.
func (t *thrift) wasteful(held, allocated uint64) bool {
	quiet := allocated-t.allocated <= quietBytes
	t.allocated = allocated
	return quiet && held > t.needed+t.needed/2+spareBytes
}

// memory returns how many bytes are held from the operating system, and how many were allocated, ever.
func memory() (held, allocated uint64) {
	read := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(read)
	return read[0].Value.Uint64() - read[1].Value.Uint64(), read[2].Value.Uint64()
}
