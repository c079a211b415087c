package model

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// bombs makes actors panic, now and then, on any message of the relay's, before they handle it or after, and some of them
// several times in a row; and the goroutines that read and write, if it is put around their sockets.
type bombs struct {
	likely float64
	off    atomic.Bool

	mu     sync.Mutex // guards the rest
	random *rand.Rand
	caused map[string]int  // crashes, by who
	kinds  map[string]bool // and by message and moment
	log    []crash
}

// crash is one that was caused.
type crash struct {
	at   uint64
	text string
}

func newBombs(seed uint64, likely float64) *bombs {
	return &bombs{likely: likely, random: rand.New(rand.NewPCG(seed, 2)), caused: map[string]int{}, kinds: map[string]bool{}}
}

// rare are messages that come so seldom that they crash more often.
var rare = map[string]bool{
	"actors.Oust": true, "actors.late": true, "actors.Probe": true, "actors.damped": true, "actors.Present": true, "actors.news": true,
	"actors.Away": true, "actors.Forget": true, "actors.awayFor": true, "actors.proved": true,
}

// goesOff decides whether something is to crash now, and how often in a row, at most so many times.
func (b *bombs) goesOff(message string, most int) int {
	likely := b.likely
	if rare[message] {
		likely *= 10
	}
	if !b.happens(likely) {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.random.IntN(4) > 0:
		return 1
	}
	return 1 + b.random.IntN(most)
}

// heads decides by a coin.
func (b *bombs) heads() bool { return b.draws(2) == 0 }

// draws draws a number below n.
func (b *bombs) draws(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.random.IntN(n)
}

// happens decides whether something that is as likely goes wrong.
func (b *bombs) happens(likely float64) bool {
	if likely == 0 || b.off.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.random.Float64() < likely
}

// explodes panics, or ends the goroutine, which is as bad.
func (b *bombs) explodes(who, where, message, when string) {
	b.mu.Lock()
	b.caused[who]++
	b.kinds[who+" "+message+" "+when] = true
	b.log = append(b.log, crash{now(), fmt.Sprintf("%s crashes %s %s", where, when, message)})
	exits := b.random.IntN(8) == 0
	b.mu.Unlock()
	if exits {
		runtime.Goexit() // as a test's FailNow does
	}
	panic("of the model")
}

// props is for supervisor.Config.
func (b *bombs) props(kind supervisor.Kind, props *actor.Props) *actor.Props {
	left := 0 // crashes to come, of this actor
	return props.Clone(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			message := fmt.Sprintf("%T", envelope.Message)
			if left == 0 {
				left = b.goesOff(message, 4)
			}
			if left == 0 {
				next(ctx, envelope)
				return
			}
			left--
			when := "before"
			if b.heads() {
				when = "after"
				next(ctx, envelope)
			}
			b.explodes(string(kind), ctx.Self().Id, message, when)
		}
	}))
}

func tally[K ~string, N int | uint64](counts map[K]N) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s %d", k, counts[k]))
	}
	return strings.Join(list, ", ")
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// trapped is a listener whose connections panic now and then.
type trapped struct {
	net.Listener
	*bombs
}

// Accept implements net.Listener.
func (t trapped) Accept() (net.Conn, error) {
	conn, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return trap{conn, t.bombs}, nil
}

type trap struct {
	net.Conn
	*bombs
}

// Read implements net.Conn.
func (t trap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if t.heads() && t.goesOff("", 1) > 0 {
		t.explodes("reader", "a reader", "", "after")
	}
	return n, err
}

// Write implements net.Conn. It does not panic when it has written: nobody could know what became of those bytes.
func (t trap) Write(p []byte) (int, error) {
	if t.heads() && t.goesOff("", 1) > 0 {
		t.explodes("writer", "a writer", "", "before")
	}
	return t.Conn.Write(p)
}
