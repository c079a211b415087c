package specs_test

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// What is put into a relay from outside, through Config.Props: between the mailbox of an actor and the actor. The top actor is
// not asked for there, and so never crashes here: it recovers inside its own Receive, and there is little it could crash on.

// spot is an actor and a message. Of what is put there, a number that is not set is any.
type spot struct {
	kind    supervisor.Kind
	message string // its type's name
	number  int32  // of the actor: the first that was spawned of its kind is 1
}

func (s spot) holds(at spot) bool {
	return s.kind == at.kind && s.message == at.message && (s.number == 0 || s.number == at.number)
}

// charge is what a message meets on its way to its actor. Next is the rest of that way.
type charge interface {
	meets(at spot, ctx actor.ReceiverContext, next func())
}

// armed is a charge that is set off for so many messages.
type armed interface {
	charge
	arm(times int32)
}

// bomb makes actors panic at its spot, before they handle the message or after. It is set off by arm.
type bomb struct {
	spot
	after bool
	value any                         // of the panic; canary if there is none
	first func(actor.ReceiverContext) // happens just before
	with  []charge                    // what else is in the relay
	heard func(event any)             // what else listens to the event stream
	spare atomic.Int32                // so many messages are let by first
	left  atomic.Int32
	told  *told // about this relay; set by startRelayWith
}

// arm makes the next so many messages crash their actor.
func (b *bomb) arm(times int32) { b.left.Store(times) }

func (b *bomb) meets(at spot, ctx actor.ReceiverContext, next func()) {
	hit := b.holds(at) && b.left.Load() > 0 && b.spare.Add(-1) < 0 && b.left.Add(-1) >= 0
	if hit && !b.after {
		b.explode(at, ctx)
	}
	next()
	if hit && b.after {
		b.explode(at, ctx)
	}
}

func (b *bomb) explode(at spot, ctx actor.ReceiverContext) {
	b.told.causes(at)
	if b.first != nil {
		b.first(ctx)
	}
	if b.value != nil {
		panic(b.value)
	}
	panic(canary)
}

// canary is what must not show up in a log.
const canary = "canary-7c1f09"

// terminated is told to the actor as if somebody had ended that it watches: a message that goes before all others.
func terminated(ctx actor.ReceiverContext) {
	self, _ := ctx.ActorSystem().ProcessRegistry.Get(ctx.Self())
	self.SendSystemMessage(ctx.Self(), &actor.Terminated{Who: ctx.Parent()})
}

// outOfRange is a mistake as the relay itself could make it.
func outOfRange(actor.ReceiverContext) { _ = nothing[len(canary)] }

var nothing []int

// barrier holds up what comes to its spot while it is shut, and whoever runs the actor with it.
type barrier struct {
	spot
	shut    atomic.Bool
	once    sync.Once
	reached chan struct{} // closed when something is held up
	opened  chan struct{}
}

func newBarrier(at spot) *barrier {
	return &barrier{spot: at, reached: make(chan struct{}), opened: make(chan struct{})}
}

func (b *barrier) meets(at spot, _ actor.ReceiverContext, next func()) {
	if b.shut.Load() && b.holds(at) {
		b.once.Do(func() { close(b.reached) })
		<-b.opened
	}
	next()
}

// open lets everything pass, for good.
func (b *barrier) open() {
	if !isClosed(b.opened) {
		close(b.opened)
	}
}

// stopper has the host stop actors with a message at its spot.
type stopper struct {
	spot
	left atomic.Int32
}

func (s *stopper) arm(times int32) { s.left.Store(times) }

func (s *stopper) meets(at spot, ctx actor.ReceiverContext, next func()) {
	if s.holds(at) && s.left.Add(-1) >= 0 {
		ctx.ActorSystem().Root.Stop(ctx.Self())
	}
	next()
}

// startRelayWith starts a relay with a bomb in it. At the spec's end the relay has to have told of every crash that was caused,
// and of no other.
func startRelayWith(b *bomb, change ...func(*supervisor.Config)) *relay {
	GinkgoHelper()
	needsInside("crashes are caused from inside")
	t := &told{saw: map[spot]int{}, at: map[spot]int{}}
	charges := append(slices.Clone(b.with), b)
	for _, c := range charges {
		if b, ok := c.(*bomb); ok {
			b.told = t
		}
	}
	DeferCleanup(t.isComplete) // after the relay has stopped
	r := spawnRelay(func(inside *supervisor.Relay, log *logrus.Entry) {
		system := supervisor.NewSystem(log)
		system.EventStream.Subscribe(t.hear)
		if b.heard != nil {
			system.EventStream.Subscribe(b.heard)
		}
		_, err := inside.Spawn(system.Root, "relay")
		Expect(err).NotTo(HaveOccurred())
	}, append(change, func(c *supervisor.Config) {
		c.Props = mined(t, charges)
		c.Log.Logger.SetOutput(io.MultiWriter(logged.log(), &t.log))
		c.Log.Logger.AddHook(t)
	})...)
	for _, c := range charges {
		if b, ok := c.(*barrier); ok {
			DeferCleanup(b.open) // before the relay stops, should the spec have failed
		}
	}
	r.serve()
	return r
}

// mined puts charges in front of every actor; the last is next to it.
func mined(t *told, charges []charge) func(supervisor.Kind, *actor.Props) *actor.Props {
	var mu sync.Mutex
	count := map[supervisor.Kind]int32{}
	return func(kind supervisor.Kind, props *actor.Props) *actor.Props {
		mu.Lock()
		defer mu.Unlock()
		count[kind]++
		number := count[kind]
		return props.Clone(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
			return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
				name := fmt.Sprintf("%T", envelope.Message)
				at := spot{kind, name[strings.LastIndex(name, ".")+1:], number}
				t.sees(at)
				way := func() { next(ctx, envelope) }
				for i := range charges {
					c, rest := charges[len(charges)-1-i], way
					way = func() { c.meets(at, ctx, rest) }
				}
				way()
			}
		}))
	}
}

// trap makes sockets panic.
type trap struct {
	told             *told
	reading, writing atomic.Int32 // which of those from now on; 0 is none
	closing          atomic.Bool  // which is no crash of anybody: what is to be done then is to go on
}

type trapConn struct {
	net.Conn
	*trap
}

// listens puts the trap around every connection of a listener.
func (t *trap) listens(ln net.Listener) net.Listener {
	return wrapped{ln, func(conn net.Conn) net.Conn { return trapConn{conn, t} }}
}

func (c trapConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.reading.Add(-1) == 0 {
		c.told.causes(spot{message: "Read"})
		panic(canary)
	}
	return n, err
}

func (c trapConn) Write(b []byte) (int, error) {
	if c.writing.Add(-1) == 0 {
		c.told.causes(spot{message: "Write"})
		panic(canary)
	}
	return c.Conn.Write(b)
}

func (c trapConn) Close() error {
	err := c.Conn.Close()
	if c.closing.Load() {
		panic(canary)
	}
	return err
}
