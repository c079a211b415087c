package model

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// start starts the relay.
func (w *world) start() {
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.AddHook(w)
	config := w.config()
	config.Log = logrus.NewEntry(log)
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

// config is that of a relay without limits by rate, but for takeovers.
func (w *world) config() supervisor.Config {
	off := supervisor.Rate{Events: supervisor.Off}
	s := w.script
	return supervisor.Config{
		Props: w.bombs.props, Store: w.pins, Window: window, UsersAway: s.usersAway, AwayTime: s.awayTime, PingInterval: s.pings,
		Takeovers: s.takeovers, OnlinePerAddress: supervisor.Off, AnonymousPerAddress: supervisor.Off, AskedOfPerAddress: supervisor.Off,
		EarlyRefusal: supervisor.EarlyRefusal{From: supervisor.Off}, FrameRate: off, ByteRate: off,
		StartRate: off, StartRatePerAddress: off, StartRateTo: off, ProofRate: off, PenaltyFrom: supervisor.Off,
	}
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
