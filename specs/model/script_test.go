package model

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// script is a world before it runs: everything that is decided by its seed alone.
type script struct {
	seed     uint64
	chance   uint64     // of the crashes: who crashes when is not decided by the seed alone
	virtual  bool       // over pipes, in virtual time; else over TCP
	crashes  float64    // how likely a message crashes its actor
	tolerant bool       // crashing actors always restart; else they are given up as by default
	restarts []int      // of the whole relay, by a host of its: after so many ms each
	stop     int        // the relay is stopped after so many ms, whatever is going on; 0 is when everything is calm
	actions  [][]action // by user
}

// action is one thing that a user does.
type action struct {
	kind  kind
	peer  int
	count int // frames
	size  int // bytes of each body
	cuts  int // in so many more writes
	blind bool
	pause int // ms
}

type kind string

const (
	talk   kind = "talk"   // Messages to the peer; asks before, unless blind
	ask    kind = "ask"    // StartSession
	accept kind = "accept" // AcceptSession, whether there was a request or not
	junk   kind = "junk"   // one frame of each kind that the relay refuses
	deaf   kind = "deaf"   // reads nothing for a while
	wait   kind = "wait"
	twice  kind = "twice"  // logs in a second time, on another connection
	leave  kind = "leave"  // closes in good order
	vanish kind = "vanish" // closes at once
	broken kind = "broken" // closes in the middle of a frame
	absurd kind = "absurd" // claims a frame of 4 GiB
)

// choices is how often each kind of action is drawn.
var choices = map[kind]int{talk: 60, ask: 5, accept: 5, junk: 5, deaf: 6, wait: 6, twice: 3, leave: 4, vanish: 3, broken: 2, absurd: 1}

var deck = func() (d []kind) {
	for _, k := range []kind{talk, ask, accept, junk, deaf, wait, twice, leave, vanish, broken, absurd} {
		for range choices[k] {
			d = append(d, k)
		}
	}
	return d
}()

// draw draws the script of a seed.
func draw(seed uint64) script {
	r := rand.New(rand.NewPCG(seed, 1))
	s := script{seed: seed, virtual: r.IntN(4) > 0, crashes: 0.01, tolerant: r.IntN(4) > 0}
	if r.IntN(10) == 0 {
		s.crashes = 0
	}
	switch r.IntN(8) {
	case 0:
		s.stop = 1 + r.IntN(200)
	case 1:
		for range 1 + r.IntN(2) {
			s.restarts = append(s.restarts, r.IntN(100))
		}
	}
	users := 2 + r.IntN(4)
	s.actions = make([][]action, users)
	for u := range s.actions {
		for range 6 + r.IntN(10) {
			s.actions[u] = append(s.actions[u], drawAction(r, u, users))
		}
	}
	return s
}

func drawAction(r *rand.Rand, u, users int) action {
	a := action{kind: deck[r.IntN(len(deck))], peer: (u + 1 + r.IntN(users-1)) % users, count: 1, blind: r.IntN(8) == 0}
	switch r.IntN(4) {
	case 0:
		a.count, a.size = 1+r.IntN(4), r.IntN(100)
	case 1:
		a.count, a.size = 1+r.IntN(300), r.IntN(30)
	case 2:
		a.count, a.size = 1+r.IntN(40), r.IntN(3000)
	case 3:
		a.count, a.size = 1+r.IntN(8), r.IntN(64000)
	}
	if r.IntN(3) == 0 {
		a.cuts = r.IntN(6)
	}
	a.pause = 1 << r.IntN(8)
	if r.IntN(8) == 0 {
		a.pause *= 100 // so long that a stall or a write deadline is over; in virtual time only
	}
	return a
}

// String shows the script on some lines.
func (s script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, virtual %v, crashes %v, tolerant %v, restarts %v, stop %d\n", s.seed, s.virtual, s.crashes, s.tolerant, s.restarts, s.stop)
	for u, list := range s.actions {
		fmt.Fprintf(&b, "  %s:", name(u))
		for _, a := range list {
			fmt.Fprintf(&b, " %s", a)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (a action) String() string {
	switch a.kind {
	case talk:
		return fmt.Sprintf("talk(%s, %d x %d B)", name(a.peer), a.count, a.size)
	case ask, accept:
		return fmt.Sprintf("%s(%s)", a.kind, name(a.peer))
	case deaf, wait:
		return fmt.Sprintf("%s(%d ms)", a.kind, a.pause)
	case junk, twice, leave, vanish, broken, absurd:
	}
	return string(a.kind)
}

// name is what a user is called.
func name(u int) string {
	return []string{"Alice", "Bob", "Carol", "Dave", "Eve", "Frank", "Grace", "Heidi"}[u]
}
