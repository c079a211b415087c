package model

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// world is a relay, and users who talk through it.
type world struct {
	script script
	bombs  *bombs
	relay  *supervisor.Relay
	dial   func() (net.Conn, error)
	users  []*user
	conns  sync.WaitGroup // their readers
	all    []*conn

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
	w.history = history{users: len(s.actions), exact: s.virtual, bombs: w.bombs}
	stop := w.start()
	for i := range s.actions {
		w.users = append(w.users, &user{world: w, index: i, key: keys[i]})
	}
	var acting sync.WaitGroup
	for i, u := range w.users {
		acting.Go(func() { u.acts(s.actions[i]) })
	}
	if !w.within(time.Hour, acting.Wait) {
		w.finds(leaked, "nothing moves any more")
		for _, u := range w.users {
			for _, r := range w.all {
				_ = r.net.Close()
			}
			_ = u
		}
		acting.Wait()
	}
	w.bombs.off.Store(true)
	w.calm()
	w.proves()
	w.calm()
	w.mark()
	stop()
	w.conns.Wait()
	return w.judge()
}

// start starts the relay. What it returns stops it.
func (w *world) start() (stop func()) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(w)
	config := supervisor.Config{Log: logrus.NewEntry(log), Props: w.bombs.props, Window: window}
	if w.script.tolerant {
		config.Crashes = 1 << 20
	}
	system := supervisor.NewSystem(config.Log)
	told := system.EventStream.Subscribe(func(event any) {
		if crashed, ok := event.(supervisor.Crashed); ok {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reports[crashed.Done]++
		}
	})
	w.relay = must(supervisor.New(config))
	must(w.relay.Spawn(system.Root, "relay"))
	ctx, cancel := context.WithCancel(context.Background())
	ln := w.listen()
	served := make(chan struct{})
	go func() { defer close(served); _ = w.relay.Serve(ctx, ln) }() // ends with the context
	return func() {
		defer cancel()
		began, limit := time.Now(), 20*time.Second
		within, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := w.relay.Stop(within); err != nil || time.Since(began) > limit/2 {
			w.finds(leaked, "the relay took %v to stop (%v): %v", time.Since(began), err, w.relay.Account())
		}
		<-served
		system.EventStream.Unsubscribe(told)
		if w.script.virtual { // Proto.Actor counts dead letters until a second after the last
			<-time.After(3 * time.Second)
		}
	}
}

// window is what a connection may hold: as little as is allowed.
const window = 2 * (frames.HeaderSize + frames.MaxPayload)

func (w *world) listen() net.Listener {
	if w.script.virtual {
		p := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
		w.dial = p.dial
		return trapped{p, w.bombs}
	}
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	w.dial = func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
	return ln
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// pipes listens for connections within the process. What is written to one waits for its reader, so that what was written is known.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) dial() (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case p.accepted <- theirs:
		return mine, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// Levels implements logrus.Hook.
func (*world) Levels() []logrus.Level { return []logrus.Level{logrus.ErrorLevel} }

// Fire implements logrus.Hook: it listens for mistakes that the relay notices itself.
func (w *world) Fire(line *logrus.Entry) error {
	if strings.Contains(line.Message, "this is a bug") {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.bugs = append(w.bugs, fmt.Sprint(line.Message, " ", line.Data["why"], line.Data["stack"]))
	}
	return nil
}

// within waits until something is done; false if it is not within a time, of which there is less if the world is not virtual.
func (w *world) within(limit time.Duration, wait func()) bool {
	if !w.script.virtual {
		limit = long
	}
	done := make(chan struct{})
	go func() { defer close(done); wait() }()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
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

// pause lets time pass; in a world that is not virtual only a moment.
func (w *world) pause(d time.Duration) {
	if !w.script.virtual {
		d = min(d, soon)
	}
	<-time.After(d)
}

// calm waits until everything is settled, and everything written was heard.
func (w *world) calm() {
	deadline := time.After(long)
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

// proves has each user talk to the next, and each message arrive: more than a window of them, on every connection.
func (w *world) proves() {
	for i, u := range w.users {
		peer := w.users[(i+1)%len(w.users)]
		if !u.online() || !peer.online() || !u.meetsAgain(peer) {
			w.finds(leaked, "when all was quiet again, %s could not meet %s", name(i), name(peer.index))
			last := len(w.found) - 1
			for _, r := range w.history.conns {
				if r.user == i || r.user == peer.index {
					w.found[last].conns = append(w.found[last].conns, r)
				}
			}
			continue
		}
		const size = 16 << 10
		var list []said
		for range 2*window/size + 2 {
			list = append(list, said{typ: frames.TypeMessage, to: peer.index, id: ids.Add(1), size: size, must: true})
		}
		u.conn.say(0, list...)
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
	w.found = append(w.found, w.books(account)...)
	w.found = append(w.found, check(&w.history, w.deaf, w.script.crashes > 0)...)
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
	delivered := account.Delivered.Frames
	if heard > delivered || w.script.virtual && heard != delivered || account.Taken.Frames > said {
		found = append(found, violation{what: wrong, text: fmt.Sprintf("said %d, heard %d, but: %v", said, heard, account)})
	}
	return found
}

// ids numbers what is said.
var ids atomic.Uint64
