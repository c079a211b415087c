package actors

import (
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
)

// ConnectionActor speaks frames with one client.
//
//	anonymous ──Login──► joining ──Joined──► online
//	   │  ▲                 │ ▲
//	   │  └─────Rejected────┘ │
//	   └──Prove──► proving ───┘
//
// What it does before it is online stands in anonymous.go.
//
// In every state the stream may end, and the relay may drain or close the connection. It never restarts: a stream out of
// step cannot be repaired, so a crash closes the socket.
type ConnectionActor struct {
	shared    *Shared
	conn      net.Conn
	entry     *Admission
	registry  *actor.PID
	mail      *Mailbox
	transport string
	vouched   frames.Key // the host says that its holder is there
	state     actor.ReceiveFunc
	reader    *reader
	out       output
	greeting  *greeting   // of the client's Hello; nil without one
	login     *Login      // the one that is on, or under way
	provingBy *time.Timer // rings when the proof that is looked at is overdue
	asking    *Run        // the Login or Prove that is under way
	ousted    bool        // another has taken the login over
	probed    time.Time   // the last time
	draining  bool
	over      bool // the reader has ended
	leaving   bool // it stops of itself, with everything said
	stopped   bool // it has let go of what is written
	ending    Ending
	told      frames.Code // with the ending

	seen struct { // from outside
		state  atomic.Int32
		reader atomic.Pointer[reader]
	}
}

// ConnectionProps makes a ConnectionActor for a new connection, which it owns, and what that counts for at the door.
func ConnectionProps(shared *Shared, m Welcome, registry *actor.PID) *actor.Props {
	c := &ConnectionActor{shared: shared, conn: m.Conn, entry: m.Entry, transport: m.Transport, vouched: m.Vouched, registry: registry}
	c.mail = NewMailbox(shared, c.quarantine)
	c.mail.Look(c.vitals)
	c.out = output{shared: shared, conn: m.Conn, mail: c.mail}
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
			c.leaveFor(ctx, EndingNetwork)
		}
		if c.ousted && c.out.silent() {
			c.logOut(ctx)
		}
	}
}

func (c *ConnectionActor) start(ctx actor.Context) {
	c.become(isAnonymous)
	socket := newSocket(c.conn)
	c.out.socket, c.out.connection = socket, ctx.Self()
	c.reader = newReader(c.shared, c.conn, socket, ctx.Self())
	c.reader.entry = c.entry
	c.seen.reader.Store(c.reader)
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
	c.ends(endingOf(code), code)
	defer c.published(ctx)
	parts := !c.leaving && c.reader != nil && c.out.between()
	if !parts {
		closeAnyway(c.conn)
	}
	c.logOut(ctx)
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

// logOut says that nothing comes from the login any more, and nothing goes to its client.
func (c *ConnectionActor) logOut(ctx actor.Context) {
	if c.login != nil && !c.login.over.Swap(true) {
		ctx.Send(c.registry, Leave{Login: c.login})
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

// online: the reader sends to the UserActor, and what the UserActor sends is for the client.
func (c *ConnectionActor) online(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case Deliver:
		c.mail.Mark()
		c.out.push(m.Run)
	case Refuse:
		c.mail.Mark()
		c.out.push(m.Run)
	case Oust:
		c.oust(ctx)
	case Probe:
		c.probe()
	case ping:
		c.tell(frames.Ping{})
	case Orphaned:
		c.ends(EndingCrash, 0)
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
			c.leaveFor(ctx, EndingNetwork)
		}
	case tick:
		if !c.out.slow.tick() {
			c.log(ctx).Debug("closing a connection that takes nothing")
			c.leaveFor(ctx, EndingSlow)
		}
	default:
		c.wayOut(ctx)
	}
}

// wayOut is what leads to the end of a connection, in every state.
func (c *ConnectionActor) wayOut(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case Drain:
		c.drain(ctx)
	case Hasten:
		c.hasten(ctx)
	case Close:
		c.ends(endingOf(m.Code), m.Code)
		c.reader.stop()
		c.out.finish(lastWord(m.Code))
	case late:
		c.late(ctx)
	case parted:
		c.leave(ctx)
	default:
		Abandon(m)
	}
}

// drain reads nothing any more, and says so to a client that understands it.
func (c *ConnectionActor) drain(ctx actor.Context) {
	c.draining = true
	if c.greeting != nil {
		c.tell(restarting())
	}
	c.reader.stop()
	if c.over {
		ctx.Send(ctx.Parent(), Drained{Connection: ctx.Self()})
	}
}

// hasten leaves a client that does not keep up.
func (c *ConnectionActor) hasten(ctx actor.Context) {
	if c.out.busy() && !c.out.parting {
		c.leaveFor(ctx, EndingStop)
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

// ended: the reader is through. Everything it took is settled.
func (c *ConnectionActor) ended(ctx actor.Context, m ended) {
	if m.crash != nil {
		m.crash.raise()
	}
	c.over = true
	switch {
	case m.refusal != nil:
		c.ends(EndingRefused, m.refusal.Code)
		c.punish(m.refusal.Code)
		c.out.finish(frames.Error{Code: m.refusal.Code, Request: m.request, Number: m.number, Text: m.refusal.Text}.Append(nil))
	case c.draining:
		ctx.Send(ctx.Parent(), Drained{Connection: ctx.Self()})
	case !c.out.closing:
		c.leaveFor(ctx, m.reader.ending)
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
