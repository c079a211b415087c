package supervisor

import (
	"slices"
	"testing"

	"github.com/mdeiml/blubbel-server/actors"
)

func TestWhoIsShownFirst(t *testing.T) {
	order := []actors.Vitals{
		{Actor: "stuck, and crashed", Stuck: true, Crashes: 1},
		{Actor: "stuck", Stuck: true},
		{Actor: "two messages", Queue: 2},
		{Actor: "a message, and memory", Queue: 1, Window: 1},
		{Actor: "a message", Queue: 1, Crashes: 9},
		{Actor: "memory", Window: 1},
		{Actor: "crashed", Crashes: 1},
		{Actor: "sessions", Sessions: 1},
		{Actor: "idle"},
	}
	list := slices.Clone(order)
	slices.Reverse(list)
	slices.SortStableFunc(list, busiest)
	for i, v := range list {
		if v.Actor != order[i].Actor {
			t.Errorf("%d: %q, want %q", i, v.Actor, order[i].Actor)
		}
	}
}
