package model

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// world is a relay, and users who talk through it.
type world struct {
	script script
	bombs  *bombs
	pins   *pins
	relay  *supervisor.Relay
	system *actor.ActorSystem
	top    *actor.PID // the relay's host
	dial   func() (net.Conn, error)
	users  []*user
	conns  sync.WaitGroup // their readers

	mu      sync.Mutex // guards the rest
	history history
	deaf    map[int]bool
	reports map[string]int // crashes that the relay told of, by what was done
	bugs    []string       // that it said it has
	found   []violation
}

// outcome is what became of a world.
type outcome struct {
	history *history
	account actors.Account
	bombs   *bombs
	reports map[string]int
	found   []violation
}

// run lets a world live, and die. In a virtual one it is to be called in a bubble of testing/synctest.
func run(s script) outcome {
	w := &world{script: s, bombs: newBombs(s.seed+s.chance<<32, s.crashes), deaf: map[int]bool{}, reports: map[string]int{}}
	w.pins = newPins(w.bombs, s)
	w.history = history{exact: s.virtual, bombs: w.bombs}
	w.start()
	for i := range s.actions {
		w.users = append(w.users, &user{world: w, index: i, key: keys[i], manner: s.who[i].manner})
	}
	var acting sync.WaitGroup
	for i, u := range w.users {
		acting.Go(func() { u.acts(s.actions[i]) })
	}
	if s.stop > 0 {
		w.pause(time.Duration(s.stop) * time.Millisecond)
		w.waits("the relay does not stop", w.stop)
	}
	w.waits("nothing moves any more", acting.Wait)
	w.bombs.off.Store(true)
	if len(s.restarts) > 0 { // all of them must be over, and they take a moment
		<-time.After(500 * time.Millisecond)
	}
	if s.stop == 0 {
		w.waits("nobody gets through any more", w.ends)
		w.waits("the relay does not stop", w.stop)
	}
	w.waits("connections do not end", w.conns.Wait)
	if w.script.virtual { // Proto.Actor counts dead letters until a second after the last
		<-time.After(3 * time.Second)
	}
	return w.judge()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// waits waits until something is done. If that takes too long, it will never be.
func (w *world) waits(failing string, wait func()) {
	done := make(chan struct{})
	go func() { defer close(done); wait() }()
	limit := time.Hour
	if !w.script.virtual {
		limit = 6 * w.long()
	}
	select {
	case <-done:
	case <-time.After(limit):
		w.finds(leaked, "%s: %v", failing, w.relay.Account())
		hopeless(w.judge())
	}
}

// long is so long that something hangs.
func (w *world) long() time.Duration {
	if w.script.virtual {
		return 30 * time.Second
	}
	return 10 * time.Second
}

func (w *world) finds(what verdict, format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, violation{what: what, text: fmt.Sprintf(format, a...)})
}

func (w *world) newRecord(user int) *record {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &record{id: len(w.history.conns) + 1, user: user, opened: now()}
	w.history.conns = append(w.history.conns, r)
	return r
}

// pause lets time pass.
func (w *world) pause(d time.Duration) { <-time.After(w.limited(d)) }

// limited is the time itself; in a world that is not virtual, only a moment.
func (w *world) limited(d time.Duration) time.Duration {
	if w.script.virtual {
		return d
	}
	return min(d, soon)
}

// calm waits until everybody hears again, everything is settled, and everything written was heard.
func (w *world) calm() {
	for _, u := range w.users {
		if u.conn != nil {
			u.conn.listens()
		}
	}
	deadline := time.After(w.long())
	for w.relay.Account().InFlight.Frames != 0 {
		select {
		case <-deadline:
			w.finds(lost, "frames are under way for ever: %v", w.relay.Account())
			return
		case <-time.After(time.Millisecond):
		}
	}
	for _, u := range w.users {
		if c := u.conn; c != nil && c.isOn() {
			c.refusedOnce()
		}
	}
}

// mark takes note of who is there to the end: what happens to them from now on is not looked at.
func (w *world) mark() {
	for _, u := range w.users {
		if u.conn == nil {
			continue
		}
		u.conn.mu.Lock()
		u.conn.over = true
		u.conn.mu.Unlock()
	}
}

// judge judges the whole.
func (w *world) judge() outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	if online, anonymous := w.relay.Connections(); online != 0 || anonymous != 0 {
		text := fmt.Sprintf("connections are counted that are gone: %d logged in, %d not", online, anonymous)
		w.found = append(w.found, violation{what: leaked, text: text})
	}
	account := w.relay.Account()
	if account.InFlight.Frames != 0 || account.InFlight.Bytes != 0 {
		w.found = append(w.found, violation{what: lost, text: "the books do not add up: " + account.String()})
	}
	if account.DeadLetters != 0 {
		w.found = append(w.found, violation{what: wrong, text: "frames were mislaid: " + account.String()})
	}
	for _, bug := range w.bugs {
		w.found = append(w.found, violation{what: wrong, text: bug})
	}
	w.found = append(append(check(w), w.found...), w.books(account)...)
	return outcome{&w.history, account, w.bombs, w.reports, w.found}
}

// books: what the relay says it delivered was heard, and each crash was told of once.
func (w *world) books(account actors.Account) (found []violation) {
	var heard, said uint64
	for _, c := range w.history.conns {
		for _, m := range c.heard {
			if m.typ.Carries() {
				heard++
			}
		}
		for _, s := range c.said {
			if s.typ.Carries() {
				said++
			}
		}
	}
	if caused, told := total(w.bombs.caused), total(w.reports); caused != told {
		found = append(found, violation{what: wrong, text: fmt.Sprintf("of %d crashes %d were told of", caused, told)})
	}
	tells := func(what verdict) {
		found = append(found, violation{what: what, text: fmt.Sprintf("said %d, heard %d, but: %v", said, heard, account)})
	}
	switch delivered := account.Delivered.Frames; {
	case account.Taken.Frames > said:
		tells(wrong)
	case heard > delivered:
		tells(repeated)
	case heard < delivered && w.script.virtual: // over pipes what is written is heard
		tells(lost)
	}
	return found
}

// ids numbers what is said.
var ids atomic.Uint64
