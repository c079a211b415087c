package supervisor

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/listener"
)

// Relay is one relay: a tree of actors in an actor system of its host's. It installs no signal handlers, never exits the
// process, and listens only where it is told to. Several can live in one system.
type Relay struct {
	config  atomic.Pointer[Config] // in effect; only its limits change
	crashes map[Kind]*atomic.Uint64
	recent  recent

	mu         sync.Mutex
	transports map[string]*atomic.Uint64 // connections that were accepted, by transport. With mu

	// Set by Spawn.
	shared   *actors.Shared
	instance string // a name that no other relay has, in the names of the actors below the top: its own may be taken again
	id       string // of the top actor's PID
	top      *actor.PID
	mail     *actors.Mailbox // the top actor's: whoever is sent something by name may be somebody else by then
	letters  *eventstream.Subscription

	restarting atomic.Bool // by a strategy of the host's: everybody below the top actor is being stopped

	stop     sync.Once
	stopping chan struct{} // closed when the relay begins to stop
	done     chan struct{} // closed when no actor and no goroutine of the relay is left
}

// New returns a relay that does nothing yet. It fails if the configuration is not valid.
func New(config Config) (*Relay, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	r := &Relay{stopping: make(chan struct{}), done: make(chan struct{}), crashes: map[Kind]*atomic.Uint64{}, transports: map[string]*atomic.Uint64{}}
	for _, kind := range kinds {
		r.crashes[kind] = new(atomic.Uint64)
	}
	r.config.Store(&config)
	return r, nil
}

// Config returns the configuration as it is in effect, defaults filled in.
func (r *Relay) Config() Config { return *r.config.Load() }

// SetLimits changes the limits to those of a Config, whose other fields do not matter, while the relay runs; with an [InvalidError] it changes none. What comes
// from then on keeps to them. A connection keeps to the sizes, times and rates of when it began; users and addresses, to the rates of when they were first counted.
func (r *Relay) SetLimits(of Config) error {
	next := r.Config().withLimits(of)
	if err := next.validate(); err != nil {
		return err
	}
	r.config.Store(&next)
	if r.shared != nil {
		r.shared.SetLimits(next.limits())
		r.shared.Door.SetLimits(next.door())
	}
	return nil
}

// Spawn starts the relay's actors below parent: the root context of an actor system, or the context of an actor of the host's. The name
// must be unique below parent. A relay is spawned once.
//
// When the host stops the returned actor, the relay stops at once, as after Stop with no time left; when a strategy of the host's
// restarts it, all connections are closed, and it serves on.
func (r *Relay) Spawn(parent actor.SpawnerContext, name string) (*actor.PID, error) {
	if r.top != nil {
		return nil, errors.New("supervisor: this relay was spawned already")
	}
	system := parent.ActorSystem()
	c := r.Config()
	r.shared = actors.NewShared(system.Root, c.limits(), c.door(), c.trust(), c.Log)
	r.shared.Crashed = func(who *actor.PID, crash *actors.Crash, done string) {
		r.crashed(system, who, crash, done)
	}
	r.shared.Publish = func(event any) { r.publish(system, event) }
	r.instance = system.ProcessRegistry.NextId()
	r.mail = actors.NewMailbox(r.shared, func(_ actor.Context, message any) { actors.Abandon(message) })
	top, err := parent.SpawnNamed(topProps(r), name)
	if err != nil {
		return nil, err
	}
	r.top = top
	return top, nil
}

// Serve accepts connections from ln until the context ends or the relay stops, and returns nil then. It closes ln. There may be
// as many listeners as the host likes, each with a Serve of its own. Any other error is the listener's.
func (r *Relay) Serve(ctx context.Context, ln net.Listener) error {
	if r.top == nil {
		return errors.New("supervisor: Serve before Spawn")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan struct{})
	defer close(served)
	go func() { // ends with Serve
		select {
		case <-r.stopping:
			cancel()
		case <-served:
		}
	}()
	transport := listener.Transport(ln)
	accepted := r.accepted(transport)
	var turnedAway sync.WaitGroup
	defer turnedAway.Wait()
	return listener.Serve(ctx, ln, func() listener.TCP { return r.config.Load().tcp() }, r.log(), func(conn net.Conn) {
		accepted.Add(1)
		entry, why := r.shared.Door.Admit(conn)
		if entry == nil {
			r.shared.Door.TurnAway(conn, why, &turnedAway)
			return
		}
		r.mail.PostUserMessage(actors.Welcome{Conn: conn, Entry: entry, Transport: transport})
	})
}

// Stop ends the relay: it accepts nobody and reads nothing any more, settles what is under way, tells every client
// SHUTTING_DOWN, and closes. What waits for clients that do not read when four fifths of the context's time are over is refused, and they
// are closed, lest they keep the others from being told. When the context ends, connections are closed, after half a second at most for a
// last word where no frame was begun, and the context's error is returned. Either way no actor and no goroutine of the relay is left; the host's actor system goes
// on. Stop may be called more than once.
func (r *Relay) Stop(ctx context.Context) error {
	if r.top == nil {
		return nil
	}
	r.stop.Do(func() {
		close(r.stopping)
		r.mail.PostUserMessage(actors.Drain{})
	})
	begun, hurries := time.Now(), 0
	for {
		select {
		case <-r.done:
			return nil
		case <-untilHurry(ctx, begun, hurries):
			hurries++
			r.mail.PostUserMessage(actors.Hurry{})
		case <-ctx.Done():
			if r.gone() {
				return nil
			}
			r.mail.PostSystemMessage(&actor.Stop{})
			<-r.done
			return ctx.Err()
		}
	}
}

// untilHurry fires when eight tenths of the time are over, and then when nine are: one client that does not read must not keep
// the others from being told.
func untilHurry(ctx context.Context, begun time.Time, before int) <-chan time.Time {
	deadline, ok := ctx.Deadline()
	if !ok || before == 2 {
		return nil
	}
	return time.After(time.Until(begun.Add(deadline.Sub(begun) / 10 * time.Duration(8+before))))
}

func (r *Relay) log() *logrus.Entry { return r.config.Load().Log }

func (r *Relay) gone() bool { return isClosed(r.done) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Recheck asks Config.Allow anew about everybody who is connected or keeps sessions, now that it may answer otherwise. Who may not
// be here any more is told NOT_ALLOWED, and closed.
func (r *Relay) Recheck() {
	if r.mail != nil {
		r.mail.PostUserMessage(actors.Recheck{})
	}
}

// Stopping reports whether the relay has begun to stop, or has stopped.
func (r *Relay) Stopping() bool { return isClosed(r.stopping) }

// Done is closed when the relay has stopped and nothing of it is left.
func (r *Relay) Done() <-chan struct{} { return r.done }

// Account returns what became of the frames the relay has taken so far.
func (r *Relay) Account() actors.Account {
	if r.shared == nil {
		return actors.Account{}
	}
	return r.shared.Ledger.Read()
}

// Connections returns how many connections there are on which somebody is logged in, or about to be, and how many others.
func (r *Relay) Connections() (online, anonymous int) {
	if r.shared == nil {
		return 0, 0
	}
	return r.shared.Door.Connections()
}

// deadLetter settles a frame that was sent to an actor of this relay that is gone.
func (r *Relay) deadLetter(event any) {
	letter, ok := event.(*actor.DeadLetterEvent)
	if !ok || letter.PID == nil || !r.ours(letter.PID.Id) {
		return
	}
	expected := r.Stopping() || r.restarting.Load() // to be asked first: it may be over soon
	if actors.Abandon(letter.Message) && !expected {
		r.shared.Ledger.Mislaid()
		r.log().WithField("actor", letter.PID.Id).Error("a frame was sent to an actor that is gone; this is a bug")
	}
}

// What the names of the two below the top actor begin with.
const (
	registryPrefix    = "registry"
	connectionsPrefix = "connections"
)

func (r *Relay) ours(id string) bool {
	return strings.HasPrefix(id, r.id+"/"+registryPrefix+r.instance+"$") || strings.HasPrefix(id, r.id+"/"+connectionsPrefix+r.instance+"$")
}

// ended is called when the tree is gone. Goroutines and mailboxes follow: the sockets are closed.
func (r *Relay) ended(system *actor.ActorSystem) {
	go func() { // ends when those have
		r.shared.Wait()
		system.EventStream.Unsubscribe(r.letters)
		close(r.done)
	}()
}

// top is the actor at the top of the tree. It must not crash: what happens then is up to the host's strategy.
type top struct {
	relay       *Relay
	registry    *actor.PID
	connections *actor.PID
}

func topProps(r *Relay) *actor.Props {
	return actor.PropsFromProducer(
		func() actor.Actor { return &top{relay: r} },
		actor.WithSupervisor(&resume{r}),
		r.mail.Props(),
		actor.WithOnInit(func(ctx actor.Context) { // here its name is known, whatever the host's context makes of it
			r.id = ctx.Self().Id
			r.letters = ctx.ActorSystem().EventStream.Subscribe(r.deadLetter)
		}),
	)
}

// Receive implements actor.Actor.
func (t *top) Receive(ctx actor.Context) {
	defer func() {
		if p := recover(); p != nil {
			t.relay.crashed(ctx.ActorSystem(), ctx.Self(), actors.NewCrash(p), "recovered")
		}
	}()
	switch ctx.Message().(type) {
	case *actor.Started:
		t.start(ctx)
	case *actor.Restarting:
		t.relay.restarting.Store(true)
	case *actor.Stopping:
		t.relay.stop.Do(func() { close(t.relay.stopping) })
	case *actor.Stopped:
		t.relay.ended(ctx.ActorSystem())
	case actors.Welcome, actors.Drain, actors.Hurry:
		if t.connections == nil {
			actors.Abandon(ctx.Message())
			if t.relay.Stopping() {
				ctx.Stop(ctx.Self())
			}
			return
		}
		ctx.Send(t.connections, ctx.Message())
	case actors.Recheck:
		if t.registry != nil {
			ctx.Send(t.registry, ctx.Message())
		}
	case emptied:
		ctx.Stop(ctx.Self())
	}
}

func (t *top) start(ctx actor.Context) {
	if t.relay.Stopping() { // a host restarted us on the way
		ctx.Stop(ctx.Self())
		return
	}
	t.relay.restarting.Store(false)
	c, props := &t.relay.config, t.relay.Config().Props
	t.registry = ctx.SpawnPrefix(props(KindRegistry, registryProps(c, t.relay.shared)), registryPrefix+t.relay.instance)
	t.connections = ctx.SpawnPrefix(props(KindConnections, connectionsProps(c, t.relay.shared, t.registry)), connectionsPrefix+t.relay.instance)
}
