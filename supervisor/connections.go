package supervisor

import (
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
)

// Connections supervises the connections. When the relay stops it lets all of them settle what is under way before it
// closes the first, so that nothing is refused only because the other end was closed a moment earlier.
//
//	open ──Drain──► draining ──all Drained, or Hurry twice──► closing ──all gone──► (tells its parent)
type Connections struct {
	config   *atomic.Pointer[Config]
	shared   *actors.Shared
	mail     *actors.Mailbox
	registry *actor.PID
	phase    phase
	busy     map[string]struct{} // ids of connections that are still draining
	hurried  bool                // those whose clients do not read were closed
}

type phase uint8

const (
	open phase = iota
	draining
	closing
	stopping // not of itself: from above
)

// emptied tells the top actor that there is no connection any more, and will be none.
type emptied struct{}

func connectionsProps(c *atomic.Pointer[Config], shared *actors.Shared, registry *actor.PID) *actor.Props {
	connections := &Connections{config: c, shared: shared, registry: registry}
	connections.mail = actors.NewMailbox(shared, connections.quarantine)
	return actor.PropsFromProducer(
		func() actor.Actor { return connections },
		actor.WithSupervisor(&closeConnection{shared}),
		connections.mail.Props(),
	)
}

// Receive implements actor.Actor.
func (c *Connections) Receive(ctx actor.Context) {
	if c.mail.Marked() {
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Stopping:
		c.phase = stopping // messages still come while the children stop
	case actors.Welcome:
		c.welcome(ctx, m)
	case actors.Drain:
		c.drain(ctx)
	case actors.Hurry:
		c.hurry(ctx)
	case actors.Drained:
		c.drained(ctx, m.Connection)
	case *actor.Terminated:
		c.drained(ctx, m.Who)
	case *actor.Started, *actor.Restarting, *actor.Stopped:
	default:
		actors.Abandon(m)
	}
	c.mail.Mark()
}

// quarantine settles a message on which Connections crashed twice: what others wait for is done all the same.
func (c *Connections) quarantine(ctx actor.Context, message any) {
	if c.mail.Marked() {
		return
	}
	switch m := message.(type) {
	case *actor.Stopping:
		c.phase = stopping
	case *actor.Terminated:
		c.drained(ctx, m.Who)
	case actors.Drained:
		c.drained(ctx, m.Connection)
	case actors.Drain:
		c.drain(ctx)
	case actors.Hurry:
		c.hurry(ctx)
	default:
		actors.Abandon(m)
	}
}

func (c *Connections) welcome(ctx actor.Context, m actors.Welcome) {
	if c.phase != open {
		actors.Abandon(m)
		return
	}
	props := actors.ConnectionProps(c.shared, m, c.registry)
	ctx.Spawn(c.config.Load().Props(KindConnection, props))
}

func (c *Connections) drain(ctx actor.Context) {
	if c.phase != open {
		return
	}
	c.phase = draining
	c.busy = map[string]struct{}{}
	for _, connection := range ctx.Children() {
		c.busy[connection.Id] = struct{}{}
		ctx.Send(connection, actors.Drain{})
	}
	c.goOn(ctx)
}

func (c *Connections) hurry(ctx actor.Context) {
	if c.hurried || c.phase != draining {
		clear(c.busy)
		c.goOn(ctx)
		return
	}
	c.hurried = true
	for _, connection := range ctx.Children() {
		ctx.Send(connection, actors.Hasten{})
	}
}

func (c *Connections) drained(ctx actor.Context, connection *actor.PID) {
	delete(c.busy, connection.Id)
	c.goOn(ctx)
}

func (c *Connections) goOn(ctx actor.Context) {
	if c.phase == draining && len(c.busy) == 0 {
		c.phase = closing
		for _, connection := range ctx.Children() {
			ctx.Send(connection, actors.Close{Code: frames.ShuttingDown})
		}
	}
	if c.phase == closing && len(ctx.Children()) == 0 {
		ctx.Send(ctx.Parent(), emptied{})
	}
}
