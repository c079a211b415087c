package actors

import (
	"net"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
)

// ConnectionActor speaks frames with one client.
//
//	anonymous ──Login──► joining ──Joined──► online
//	    ▲                   │
//	    └─────Rejected──────┘
//
// In every state the stream may end, and the relay may drain or close the connection. It never restarts: a stream out of
// step cannot be repaired, so a crash closes the socket.
type ConnectionActor struct {
	shared   *Shared
	conn     net.Conn
	registry *actor.PID
	mail     *Mailbox
	state    actor.ReceiveFunc
	reader   *reader
	out      output
	login    *Login // the one that is on, or under way
	asking   *Run   // the Login that is under way
	draining bool
	over     bool // the reader has ended
}

// ConnectionProps makes a ConnectionActor that owns conn.
func ConnectionProps(shared *Shared, conn net.Conn, registry *actor.PID) *actor.Props {
	c := &ConnectionActor{shared: shared, conn: conn, registry: registry}
	c.mail = NewMailbox(shared, c.quarantine)
	return actor.PropsFromProducer(func() actor.Actor { return c }, c.mail.Props())
}

// Receive implements actor.Actor.
func (c *ConnectionActor) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		c.start(ctx)
	case *actor.Stopping:
		c.shared.contain(func() { c.stop(ctx) })
	case *actor.Stopped, *actor.Restarting:
	default:
		if !c.mail.Marked() { // else its effect was had before a crash
			c.state(ctx)
		}
		if err := c.out.settled(); err != nil {
			ctx.Stop(ctx.Self())
		}
	}
}

func (c *ConnectionActor) start(ctx actor.Context) {
	c.state = c.anonymous
	socket := newSocket(c.conn)
	c.out = output{shared: c.shared, conn: c.conn, socket: socket, connection: ctx.Self(), mail: c.mail}
	c.reader = newReader(c.shared, c.conn, socket, ctx.Self())
	if c.shared.debugs() {
		c.log(ctx).WithField("remote", c.conn.RemoteAddr().String()).Debug("connection opened")
	}
	c.shared.running.Add(1)
	go c.reader.run() // ends with the stream, at the latest when stop closes the socket
}

func (c *ConnectionActor) log(ctx actor.Context) *logrus.Entry {
	return c.shared.Log.WithField("connection", ctx.Self().Id)
}

// stop lets go of everything, whatever led here.
func (c *ConnectionActor) stop(ctx actor.Context) {
	c.close()
	if c.login != nil {
		c.login.over.Store(true)
		ctx.Send(c.registry, Leave{Login: c.login})
	}
	if c.reader == nil { // it crashed before it began
		return
	}
	c.shared.contain(c.reader.stop)
	c.reader.window.close()
	c.out.stop()
	if c.asking != nil {
		c.asking.settleAll(0)
		c.asking = nil
	}
	if c.shared.debugs() {
		c.log(ctx).Debug("connection closed")
	}
}

// quarantine settles a message on which the actor crashed twice.
func (c *ConnectionActor) quarantine(ctx actor.Context, message any) {
	if _, ok := message.(*actor.Stopping); ok {
		c.stop(ctx)
		return
	}
	Abandon(message)
}

// close closes the socket, which may be one of the host's that panics.
func (c *ConnectionActor) close() {
	defer func() { _ = recover() }()
	_ = c.conn.Close()
}

// anonymous: nobody is logged in, and frames come one by one.
func (c *ConnectionActor) anonymous(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case received:
		c.judge(ctx, m.chunk)
	default:
		c.always(ctx)
	}
}

// joining: the Registry was asked to make our login the one of its key.
func (c *ConnectionActor) joining(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case Joined:
		if m.Login == c.login {
			c.joined()
		}
	case Rejected:
		if m.Login == c.login {
			c.refuseLogin(m.Code, "")
		}
	default:
		c.always(ctx)
	}
}

// online: the reader sends to the UserActor, and what the UserActor sends is for the client.
func (c *ConnectionActor) online(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case Deliver:
		c.mail.Mark()
		c.out.push(m.Run)
	case Refuse:
		c.mail.Mark()
		c.out.push(m.Run)
	case Orphaned:
		ctx.Stop(ctx.Self())
	default:
		c.always(ctx)
	}
}

// always is understood in every state.
func (c *ConnectionActor) always(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case ended:
		if m.crash != nil {
			m.crash.raise()
		}
		c.ended(ctx, m)
	case flush:
		c.out.soon, c.out.now = false, true
	case ready:
		if m.crash != nil {
			m.crash.raise()
		}
		c.mail.Mark() // what it says is taken note of once, whatever happens
		if err := c.out.goOn(m); err != nil {
			ctx.Stop(ctx.Self())
		}
	case tick:
		if !c.out.slow.tick() {
			c.log(ctx).Debug("closing a connection that takes nothing")
			ctx.Stop(ctx.Self())
		}
	case parted:
		ctx.Stop(ctx.Self())
	case Drain:
		c.draining = true
		c.reader.stop()
		if c.over {
			ctx.Send(ctx.Parent(), Drained{Connection: ctx.Self()})
		}
	case Close:
		c.reader.stop()
		c.out.finish(frames.Error{Code: m.Code, Text: m.Code.Text()}.Append(nil))
	default:
		Abandon(m)
	}
}

// judge answers a frame before login.
func (c *ConnectionActor) judge(ctx actor.Context, chunk *Chunk) {
	t, whole := chunk.frame()
	c.mail.Mark()
	run := chunk.run(0)
	chunk.release() // the run holds it now
	switch {
	case t == frames.TypeLogin:
		c.join(ctx, run, frames.Key(whole[frames.HeaderSize:]))
	case t.Carries():
		c.answer(run, frames.NotLoggedIn, "")
	default:
		c.answer(run, frames.Unsupported, "")
	}
}

// answer tells the client that what it sent was refused.
func (c *ConnectionActor) answer(run *Run, code frames.Code, text string) {
	run.code, run.text = code, text
	c.out.push(run)
}

func (c *ConnectionActor) join(ctx actor.Context, run *Run, key frames.Key) {
	c.asking = run
	if err := c.shared.Keys.Check(key); err != nil {
		c.refuseLogin(frames.BadKey, refusalOf(err).Text)
		return
	}
	c.login = NewLogin(c.shared, key, ctx.Self())
	c.state = c.joining
	c.login.Ride(c.mail)
	ctx.Send(c.registry, Join{Login: c.login})
}

func (c *ConnectionActor) joined() {
	run := c.asking
	c.asking = nil
	c.state = c.online
	c.reader.login.Store(c.login)
	c.out.push(run)
}

func (c *ConnectionActor) refuseLogin(code frames.Code, text string) {
	run := c.asking
	c.asking, c.login = nil, nil
	c.state = c.anonymous
	c.answer(run, code, text)
}

// ended: the reader is through. Everything it took is settled.
func (c *ConnectionActor) ended(ctx actor.Context, m ended) {
	c.over = true
	switch {
	case m.refusal != nil:
		c.out.finish(frames.Error{Code: m.refusal.Code, Request: m.request, Number: m.number, Text: m.refusal.Text}.Append(nil))
	case c.draining:
		ctx.Send(ctx.Parent(), Drained{Connection: ctx.Self()})
	case !c.out.closing:
		ctx.Stop(ctx.Self())
	}
}
