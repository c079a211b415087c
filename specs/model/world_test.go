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

	"github.com/asynkron/protoactor-go/actor"
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
	w.history = history{users: len(s.actions), exact: s.virtual, bombs: w.bombs}
	w.start()
	for i := range s.actions {
		w.users = append(w.users, &user{world: w, index: i, key: keys[i]})
	}
	var acting sync.WaitGroup
	for i, u := range w.users {
		acting.Go(func() { u.acts(s.actions[i]) })
	}
	if s.stop > 0 {
		w.pause(time.Duration(s.stop) * time.Millisecond)
		w.must("the relay does not stop", w.stop)
	}
	w.must("nothing moves any more", acting.Wait)
	w.bombs.off.Store(true)
	if len(s.restarts) > 0 { // all of them must be over, and they take a moment
		<-time.After(500 * time.Millisecond)
	}
	if s.stop == 0 {
		w.calm()
		w.proves()
		w.calm()
		w.mark()
		w.must("the relay does not stop", w.stop)
	}
	w.must("connections do not end", w.conns.Wait)
	if w.script.virtual { // Proto.Actor counts dead letters until a second after the last
		<-time.After(3 * time.Second)
	}
	return w.judge()
}

// start starts the relay.
func (w *world) start() {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(w)
	config := supervisor.Config{Log: logrus.NewEntry(log), Props: w.bombs.props, Window: window}
	if w.script.tolerant {
		config.Crashes = 1 << 20
	}
	w.relay = must(supervisor.New(config))
	system := supervisor.NewSystem(config.Log)
	system.EventStream.Subscribe(w.report)
	w.host(system)
	ln := w.listen()
	go func() { _ = w.relay.Serve(context.Background(), ln) }() // ends when the relay stops
}

// report takes note of a crash that the relay tells of.
func (w *world) report(event any) {
	if crashed, ok := event.(supervisor.Crashed); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.reports[crashed.Done]++
	}
}

// host spawns the relay below an actor that restarts all its children when one of them fails, and lets one fail when it is time.
func (w *world) host(system *actor.ActorSystem) {
	all := actor.NewAllForOneStrategy(100, 0, func(any) actor.Directive { return actor.RestartDirective })
	spawned := make(chan *actor.PID)
	top := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			must(w.relay.Spawn(ctx, "relay"))
			spawned <- ctx.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(string); ok {
					panic("of the model")
				}
			}))
		}
	}, actor.WithSupervisor(all)))
	sibling := <-spawned
	w.system, w.top = system, top
	for _, after := range w.script.restarts {
		time.AfterFunc(time.Duration(after)*time.Millisecond, func() { system.Root.Send(sibling, "fail") })
	}
}

// stop stops the relay, and its host.
func (w *world) stop() {
	began, limit := time.Now(), 20*time.Second
	within, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := w.relay.Stop(within)
	if took := time.Since(began); w.script.stop == 0 && (err != nil || took > limit/2) {
		w.finds(leaked, "the relay took %v to stop (%v): %v", took, err, w.relay.Account())
	}
	_ = w.system.Root.StopFuture(w.top).Wait()
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

// must waits until something is done. If that takes too long, it will never be.
func (w *world) must(failing string, wait func()) {
	done := make(chan struct{})
	go func() { defer close(done); wait() }()
	limit := time.Hour
	if !w.script.virtual {
		limit = 2 * w.long()
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
	w.found = append(append(check(&w.history, w.deaf, w.script.crashes > 0), w.found...), w.books(account)...)
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
	delivered := account.Delivered.Frames
	if heard > delivered || w.script.virtual && heard != delivered || account.Taken.Frames > said {
		found = append(found, violation{what: wrong, text: fmt.Sprintf("said %d, heard %d, but: %v", said, heard, account)})
	}
	return found
}

// ids numbers what is said.
var ids atomic.Uint64
