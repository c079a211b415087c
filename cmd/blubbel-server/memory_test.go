package main

import (
	"runtime"
	"testing"
)

func TestMemoryIsGivenBackWhenAFloodIsOver(t *testing.T) {
	const mib = 1 << 20
	th := thrift{needed: 20 * mib, allocated: 100 * mib}
	for _, c := range []struct {
		held, allocated uint64
		wasteful        bool
	}{
		{30 * mib, 101 * mib, false},  // hardly more
		{100 * mib, 200 * mib, false}, // a flood
		{100 * mib, 300 * mib, false}, // goes on
		{100 * mib, 301 * mib, true},  // it is over
		{46 * mib, 301 * mib, false},
		{46*mib + 1, 301 * mib, true},
	} {
		if got := th.wasteful(c.held, c.allocated); got != c.wasteful {
			t.Errorf("%d MiB held, %d MiB allocated: %v", c.held/mib, c.allocated/mib, got)
		}
	}
}

func TestMemoryIsWhatGoSays(t *testing.T) {
	held, before := memory()
	b := make([]byte, 64<<20)
	for i := range b {
		b[i] = 1
	}
	more, after := memory()
	if more < held+32<<20 || after < before+64<<20 {
		t.Errorf("held %d and then %d, allocated %d and then %d", held, more, before, after)
	}
	runtime.KeepAlive(b)
}
