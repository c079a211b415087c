package actors

import (
	"net"
	"strconv"
	"strings"

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
	entry    *Admission
	registry *actor.PID
	mail     *Mailbox
	state    actor.ReceiveFunc
	reader   *reader
	out      output
	login    *Login // the one that is on, or under way
	asking   *Run   // the Login that is under way
	draining bool
	over     bool // the reader has ended
	leaving  bool // it stops of itself, with everything said
	stopped  bool // it has let go of what is written
}

// ConnectionProps makes a ConnectionActor that owns conn, and what conn counts for at the door; nil if it does not.
func ConnectionProps(shared *Shared, conn net.Conn, entry *Admission, registry *actor.PID) *actor.Props {
	c := &ConnectionActor{shared: shared, conn: conn, entry: entry, registry: registry}
	c.mail = NewMailbox(shared, c.quarantine)
	c.out = output{shared: shared, conn: conn, mail: c.mail}
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
			c.leave(ctx)
		}
	}
}

func (c *ConnectionActor) start(ctx actor.Context) {
	c.state = c.anonymous
	socket := newSocket(c.conn)
	c.out.socket, c.out.connection = socket, ctx.Self()
	c.reader = newReader(c.shared, c.conn, socket, ctx.Self())
	if c.shared.debugs() {
		c.log(ctx).WithField("remote", printable(c.conn.RemoteAddr().String())).Debug("connection opened")
	}
	c.shared.running.Add(1)
	go c.reader.run() // ends with the stream, at the latest when stop closes the socket
}

// printable is a text of the host's or of a client's as it may stand in a log of any format: JSON lets some control characters through.
func printable(s string) string { return strings.Trim(strconv.QuoteToASCII(s), `"`) }

func (c *ConnectionActor) log(ctx actor.Context) *logrus.Entry {
	return c.shared.Log.WithField("connection", ctx.Self().Id)
}

// leave stops the actor: there is nobody to talk to any more, or nothing to say.
func (c *ConnectionActor) leave(ctx actor.Context) {
	c.leaving = true
	ctx.Stop(ctx.Self())
}

// stop lets go of everything, whatever led here. Who is stopped by a crash, or from above, says so to the client where that
// does not take long.
func (c *ConnectionActor) stop(ctx actor.Context) {
	defer c.entry.Close()
	code := frames.ShuttingDown
	if c.mail.crashed {
		code = frames.Internal
	}
	parts := !c.leaving && c.reader != nil && c.out.between()
	if !parts {
		closeAnyway(c.conn)
	}
	if c.login != nil {
		c.login.over.Store(true)
		ctx.Send(c.registry, Leave{Login: c.login})
	}
	if c.reader == nil { // it crashed before it began
		return
	}
	if c.asking != nil {
		c.asking.settleAll(0)
		c.asking = nil
	}
	c.stopped = true // from here on a goroutine that comes back from a write finds nobody, and settles what it wrote itself
	c.shared.contain(c.reader.stop)
	c.reader.window.close()
	c.out.stop()
	if parts {
		c.out.part(lastWord(code), !c.mail.crashed) // there is no time left
	}
	if c.shared.debugs() {
		c.log(ctx).Debug("connection closed")
	}
}

// quarantine settles a message on which the actor crashed twice.
func (c *ConnectionActor) quarantine(ctx actor.Context, message any) {
	if _, ok := message.(*actor.Stopping); ok && !c.stopped {
		c.stop(ctx)
		return
	}
	Abandon(message)
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
		c.ended(ctx, m)
	case flush:
		c.out.soon, c.out.now = false, true
	case ready:
		if m.crash != nil {
			m.crash.raise()
		}
		c.mail.Mark() // what it says is taken note of once, whatever happens
		if err := c.out.goOn(m); err != nil {
			c.leave(ctx)
		}
	case tick:
		if !c.out.slow.tick() {
			c.log(ctx).Debug("closing a connection that takes nothing")
			c.leave(ctx)
		}
	case parted:
		c.leave(ctx)
	case Drain:
		c.draining = true
		c.reader.stop()
		if c.over {
			ctx.Send(ctx.Parent(), Drained{Connection: ctx.Self()})
		}
	case Hasten:
		c.hasten(ctx)
	case Close:
		c.reader.stop()
		c.out.finish(lastWord(m.Code))
	default:
		Abandon(m)
	}
}

// hasten leaves a client that does not keep up.
func (c *ConnectionActor) hasten(ctx actor.Context) {
	if c.out.busy() && !c.out.parting {
		c.leave(ctx)
	}
}

// lastWord is the Error that answers no frame.
func lastWord(code frames.Code) []byte {
	text := code.Text()
	if code == frames.Internal {
		text = "the relay failed on this connection; connect again"
	}
	return frames.Error{Code: code, Text: text}.Append(nil)
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
		c.entry.punish(badLogin)
		c.refuseLogin(frames.BadKey, refusalOf(err).Text)
		return
	}
	if !c.entry.logIn() {
		c.turnAway()
		return
	}
	c.login = NewLogin(c.shared, key, ctx.Self())
	c.login.address = c.entry.from()
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

// turnAway closes the connection of a login for which its address has no place left.
func (c *ConnectionActor) turnAway() {
	run := c.asking
	c.asking = nil
	word := frames.Error{
		Code: frames.Limit, Request: run.Type, Number: run.spans[0].number, Text: "too many users are logged in from your address",
	}
	c.reader.stop()
	c.out.finish(word.Append(nil))
	run.settleAll(frames.Limit)
}

func (c *ConnectionActor) refuseLogin(code frames.Code, text string) {
	c.entry.logOut()
	run := c.asking
	c.asking, c.login = nil, nil
	c.state = c.anonymous
	c.answer(run, code, text)
}

// ended: the reader is through. Everything it took is settled.
func (c *ConnectionActor) ended(ctx actor.Context, m ended) {
	if m.crash != nil {
		m.crash.raise()
	}
	c.over = true
	switch {
	case m.refusal != nil:
		c.punish(m.refusal.Code)
		c.out.finish(frames.Error{Code: m.refusal.Code, Request: m.request, Number: m.number, Text: m.refusal.Text}.Append(nil))
	case c.draining:
		ctx.Send(ctx.Parent(), Drained{Connection: ctx.Self()})
	case !c.out.closing:
		c.leave(ctx)
	}
}

// punish has the address pay for a connection that ends by the client's own fault, if nobody has logged in on it.
func (c *ConnectionActor) punish(code frames.Code) {
	switch {
	case c.login != nil:
	case code == frames.Timeout:
		c.entry.punish(lateLogin)
	default:
		c.entry.punish(badLogin)
	}
}
