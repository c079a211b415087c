package model

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mdeiml/blubbel-server/supervisor"
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
	who      []holder

	failing   float64       // how likely the store of the pins fails
	full      bool          // it never has room
	takeovers int           // from how many within a minute on they are damped
	usersAway int           // how many may be; 0 is many
	awayTime  time.Duration // and for how long; 0 is long
	pings     time.Duration // the interval; 0 is long
}

// holder is how a user logs in.
type holder struct {
	manner   manner
	presence bool // it wants to know who of its peers is there, if it says Hello
}

// manner is how somebody logs in.
type manner string

const (
	plain  manner = "plain"  // as the seed does
	greets manner = "greets" // says Hello, and shows no proof
	proves manner = "proves"
	forges manner = "forges" // shows a proof that is none. Only as another connection
)

// action is one thing that a user does.
type action struct {
	kind  kind
	peer  int
	count int // frames
	size  int // bytes of each body
	cuts  int // in so many more writes
	blind bool
	pause int // ms
	way   manner
}

type kind string

const (
	talk   kind = "talk"   // Messages to the peer; asks before, unless blind
	ask    kind = "ask"    // StartSession
	accept kind = "accept" // AcceptSession, whether there was a request or not
	junk   kind = "junk"   // one frame of each kind that the relay refuses
	deaf   kind = "deaf"   // reads nothing for a while
	wait   kind = "wait"
	end    kind = "end" // EndSession
	ping   kind = "ping"
	twice  kind = "twice"  // logs in a second time, on another connection, and leaves that
	again  kind = "again"  // proves, on up to three other connections at once, and goes on there
	away   kind = "away"   // closes, and comes back later
	leave  kind = "leave"  // closes in good order
	vanish kind = "vanish" // closes at once
	broken kind = "broken" // closes in the middle of a frame
	absurd kind = "absurd" // claims a frame of 4 GiB
)

// choices is how often each kind of action is drawn.
var choices = map[kind]int{talk: 60, ask: 5, accept: 5, end: 5, ping: 3, junk: 5, deaf: 6, wait: 6, twice: 4, again: 6, away: 4, leave: 4, vanish: 3, broken: 2, absurd: 1}

var deck = func() (d []kind) {
	for _, k := range []kind{talk, ask, accept, end, ping, junk, deaf, wait, twice, again, away, leave, vanish, broken, absurd} {
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
	s.drawTrust(r)
	users := 2 + r.IntN(4)
	s.actions = make([][]action, users)
	for u := range s.actions {
		s.who = append(s.who, holder{[]manner{plain, greets, proves, proves, proves}[r.IntN(5)], r.IntN(3) > 0})
		for range 6 + r.IntN(10) {
			s.actions[u] = append(s.actions[u], drawAction(r, u, users))
		}
	}
	return s
}

// drawTrust draws what concerns those who prove.
func (s *script) drawTrust(r *rand.Rand) {
	s.takeovers = supervisor.Off
	if r.IntN(4) == 0 {
		s.failing, s.full = 0.1, r.IntN(2) == 0
	}
	if !s.virtual {
		return // what follows takes time
	}
	if r.IntN(4) == 0 {
		s.takeovers = 2 + r.IntN(4)
	}
	if r.IntN(6) == 0 {
		s.usersAway = 1
	}
	if r.IntN(6) == 0 {
		s.awayTime = time.Second
	}
	if r.IntN(4) == 0 {
		s.pings = time.Second
	}
}

// forgets reports whether users may be away for too long.
func (s script) forgets() bool { return s.usersAway > 0 || s.awayTime > 0 }

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
	a.way = []manner{plain, greets, greets, forges}[r.IntN(4)]
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
	fmt.Fprintf(&b, "  failing %v, full %v, takeovers %d, users away %d for %v, pings %v\n", s.failing, s.full, s.takeovers, s.usersAway, s.awayTime, s.pings)
	for u, list := range s.actions {
		fmt.Fprintf(&b, "  %s (%v):", name(u), s.who[u])
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
	case ask, accept, end:
		return fmt.Sprintf("%s(%s)", a.kind, name(a.peer))
	case deaf, wait, away:
		return fmt.Sprintf("%s(%d ms)", a.kind, a.pause)
	case twice:
		return fmt.Sprintf("%s(%s)", a.kind, a.way)
	case again:
		return fmt.Sprintf("%s(%d)", a.kind, 1+a.count%3)
	case ping, junk, leave, vanish, broken, absurd:
	}
	return string(a.kind)
}

// name is what a user is called.
func name(u int) string {
	return []string{"Alice", "Bob", "Carol", "Dave", "Eve", "Frank", "Grace", "Heidi"}[u]
}
