package main

import "testing"

func TestMemoryIsGivenBackWhenAFloodIsOver(t *testing.T) {
	var th thrift
	for i, c := range []struct {
		connections int
		over        bool
	}{
		{50, false},
		{0, false}, // not worth it
		{2050, false},
		{1500, false},
		{1025, true},
		{50, true},
		{60, false},
		{10_000, false},
		{5001, false},
		{5000, true},
		{4950, false},
	} {
		if got := th.over(c.connections); got != c.over {
			t.Errorf("look %d, %d connections: %v", i+1, c.connections, got)
		}
	}
}
