package model

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// live runs a world, in a bubble if it is virtual.
func live(t *testing.T, s script) (o outcome) {
	t.Helper()
	if !s.virtual {
		return run(s)
	}
	synctest.Test(t, func(*testing.T) { o = run(s) })
	return o
}

// hopeless ends the process with what is known: something is stuck, and would keep a bubble from ending.
func hopeless(o outcome) {
	fmt.Println(o)
	chaos.add(o)
	os.Exit(chaos.report())
}

// tell fails the test with the shortest history that it finds within a time.
func tell(t *testing.T, s script, o outcome, limit time.Duration) {
	t.Helper()
	s, o = shrink(t, s, o, time.Now().Add(limit))
	t.Errorf("\n%s\n%s", s, o)
}

// String tells the first thing that is wrong, and the history of those it is about.
func (o outcome) String() string {
	v := o.found[0]
	conns := v.conns
	if conns == nil {
		conns = o.history.conns
	}
	return string(v.what) + ": " + v.text + "\n" + o.history.tell(conns...)
}

// shrink looks for a shorter script with which the same goes wrong: without a user, without half of what a user does, or less.
func shrink(t *testing.T, s script, o outcome, end time.Time) (script, outcome) {
	t.Helper()
	for again := true; again; {
		again = false
		for _, shorter := range s.shorter() {
			for shorter.chance = s.chance; shorter.chance < s.chance+4; shorter.chance++ {
				if time.Now().After(end) {
					return s, o
				}
				if other := live(t, shorter); len(other.found) > 0 && other.found[0].what == o.found[0].what {
					s, o, again = shorter, other, true
					break
				}
			}
			if again {
				break
			}
		}
	}
	return s, o
}

// shorter returns scripts that are shorter, those first from which more is missing.
func (s script) shorter() (list []script) {
	for part := 1; part <= 16; part *= 2 {
		for u, actions := range s.actions {
			if part > len(actions) {
				continue
			}
			size := len(actions) / part
			for from := 0; from < len(actions); from += size {
				shorter := s
				shorter.actions = slices.Clone(s.actions)
				shorter.actions[u] = slices.Delete(slices.Clone(actions), from, min(from+size, len(actions)))
				list = append(list, shorter)
			}
		}
	}
	return list
}

func TestSeeds(t *testing.T) {
	const seeds = 80
	worlds := newWorlds(t, func(s script, o outcome, _ time.Time) {
		if len(o.found) > 0 {
			tell(t, s, o, 20*time.Second)
		}
	})
	for seed := range uint64(seeds) {
		worlds.run(draw(seed))
	}
	worlds.wait()
}
