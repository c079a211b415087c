package supervisor

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
)

// Guest is a user that is an actor of the host's, such as a bot or a bridge: there is no socket, and to others it is a user like any.
type Guest struct {
	Key frames.Key
	// Proven says that the host vouches for it: it counts as proven, and the key is pinned. Else it is let in as a client without proof is.
	Proven bool
	// Presence asks to be told who of its peers is there.
	Presence bool
}

// What passes between the host's actor and its guest, the actor that [Relay.Attach] returns.
//
//	host's actor                 guest
//	     ◄────────── Attached ────┤   it is logged in
//	     ├─ Say ──────────────────►   a frame; as a client, but for Hello, Login and Pong, which the guest says itself
//	     ◄────────────── Said ────┤   the relay has it
//	     ◄─────────── Refused ────┤   and did not deliver it
//	     ◄─────────── Deliver ────┤   a frame for it; the next comes when it has
//	     ├─ Settled ──────────────►   answered
//	     ◄────────── Detached ────┤   it is over, and the guest has stopped
type (
	// Attached says that the guest is logged in.
	Attached struct{ Guest *actor.PID }
	// Deliver is a frame from the relay for the host's actor, which answers with Settled, by Respond or by sending it to the guest, when it has done with it. Only then it counts as delivered: if the
	// host's actor crashes or stops before, who sent it is told that it was not. While it is not answered, what else is for the guest waits, and is
	// refused with BUSY after Config.Stall; after Config.WriteDeadline the guest is detached.
	Deliver struct {
		Guest *actor.PID
		Frame frames.Frame // StartSession, AcceptSession, Message, EndSession, Presence or Restarting; Peer is who it comes from
	}
	// Said answers Say: the relay has taken the frame. Whoever says no more than it hears Said of does not fill up memory.
	Said struct {
		Guest  *actor.PID
		Mark   any    // as in Say
		Number uint64 // of the frame; Refused has it
	}
	// Refused says that a frame was not delivered.
	Refused struct {
		Guest  *actor.PID
		Number uint64
		Code   frames.Code
		Text   string
	}
	// Detached says that the guest is not there any more. It comes once, and last of these; Proto.Actor's own Terminated may come before it.
	Detached struct {
		Guest *actor.PID
		Code  frames.Code // why; 0 if the host wanted it so
		Text  string
	}

	// Say has the guest, to which it is sent, send a frame to the relay.
	Say struct {
		Frame frames.Frame
		Mark  any // comes back with Said
	}
	// Settled answers Deliver: ctx.Respond(Settled{}), or ctx.Send(m.Guest, Settled{}).
	Settled struct{}
)

// Attach has the host's actor whose context it is log in as a user, and returns the guest, a child of that actor, with which it talks (see [Attached]). When
// the host's actor stops, or restarts, the guest is detached; stopping the guest detaches it as well. One that is not
// proven is refused with KEY_IN_USE as long as the last one with its key is not quite gone. Whatever the guest is refused, it is told by messages.
func (r *Relay) Attach(host actor.Context, as Guest) (*actor.PID, error) {
	if r.top == nil {
		return nil, errors.New("supervisor: Attach before Spawn")
	}
	return host.Spawn(actor.PropsFromProducer(func() actor.Actor { return &guest{relay: r, as: as} })), nil
}

// guest is the client's side of a connection that the relay serves like others. What it says goes through a pipe; what it hears comes from line.Write.
type guest struct {
	relay   *Relay
	as      Guest
	host    *actor.PID
	line    *line
	pipe    net.Conn // to the relay
	todo    []Say
	writing bool
	number  uint64        // of the last frame that was said, or is about to be
	said    uint64        // of the last that the relay has
	early   []Refused     // that are told of after the Said of theirs
	inHand  chan struct{} // closed when the host's actor has settled; nil if it has nothing
	why     Detached
}

type (
	arrived struct { // from the relay, which waits until it is settled
		frame   frames.Frame
		settled chan struct{}
	}
	wrote  struct{ Said } // the relay has it
	idle   struct{}       // everything that was to do so far is written, or never will be
	hungUp struct{}       // the relay has closed
)

// Receive implements actor.Actor.
func (g *guest) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		g.begin(ctx)
	case *actor.Stopping:
		_ = g.pipe.Close()
		g.line.hangUp()
		g.why.Guest = ctx.Self()
		ctx.Send(g.host, g.why)
	case Say:
		g.say(ctx, m)
	case Settled:
		g.settle()
	case arrived:
		g.hear(ctx, m)
	case wrote:
		g.wrote(ctx, m.Said)
	case idle:
		g.writing = false
		g.write(ctx)
	case hungUp:
		g.hungUp(ctx)
	}
}

// hungUp ends the guest, whom the relay has told why, if there was a way to.
func (g *guest) hungUp(ctx actor.Context) {
	switch {
	case g.why.Code != 0:
	case g.relay.Stopping():
		g.why.Code, g.why.Text = frames.ShuttingDown, frames.ShuttingDown.Text()
	case g.inHand != nil:
		g.why.Code, g.why.Text = frames.Timeout, "a frame was delivered, and not settled in time"
	default:
		g.why.Code, g.why.Text = frames.Internal, "the relay has ended the connection"
	}
	ctx.Stop(ctx.Self())
}

func (g *guest) begin(ctx actor.Context) {
	g.host = ctx.Parent()
	theirs, mine := net.Pipe()
	g.pipe, g.line = mine, newLine(theirs, ctx)
	g.relay.accepted(hosted).Add(1)
	welcome := actors.Welcome{Conn: g.line, Transport: hosted}
	if g.as.Proven {
		welcome.Vouched = g.as.Key
	}
	g.relay.mail.PostUserMessage(welcome)
	hello := frames.Hello{}
	if g.as.Presence {
		hello.Features = 1
	}
	g.todo = []Say{{Frame: hello}, {Frame: frames.Login{Key: g.as.Key}}}
	g.write(ctx)
}

// hosted is the transport of guests.
const hosted = "host"

func (g *guest) say(ctx actor.Context, m Say) {
	g.todo = append(g.todo, m)
	g.write(ctx)
}

// write has written what there is to say, on a goroutine: the relay reads only as fast as it gets rid of what was said before.
func (g *guest) write(ctx actor.Context) {
	if g.writing || len(g.todo) == 0 {
		return
	}
	g.writing = true
	todo, number, pipe, self, root := g.todo, g.number, g.pipe, ctx.Self(), ctx.ActorSystem().Root
	g.number += uint64(len(todo))
	g.todo = nil
	go func() { // ends when the relay has read it, or when the pipe is closed
		defer root.Send(self, idle{})
		for _, s := range todo {
			number++
			if _, err := pipe.Write(s.Frame.Append(nil)); err != nil {
				return
			}
			root.Send(self, wrote{Said{self, s.Mark, number}})
		}
	}()
}

// wrote tells the host's actor, and then what became of the frame, if the relay was faster.
func (g *guest) wrote(ctx actor.Context, m Said) {
	g.said = m.Number
	if m.Mark != nil {
		ctx.Send(g.host, m)
	}
	for len(g.early) > 0 && g.early[0].Number <= g.said {
		ctx.Send(g.host, g.early[0])
		g.early = g.early[1:]
	}
}

// hear answers what a client would answer by itself, and passes on the rest.
func (g *guest) hear(ctx actor.Context, m arrived) {
	g.inHand = m.settled
	switch f := m.frame.(type) {
	case frames.LoginAccepted:
		ctx.Send(g.host, Attached{ctx.Self()})
	case frames.Welcome:
	case frames.Ping:
		g.say(ctx, Say{Frame: frames.Pong(f)})
	case frames.Error:
		g.refused(ctx, f)
	default:
		ctx.Request(g.host, Deliver{ctx.Self(), f}) // so it may settle by responding
		return
	}
	g.settle()
}

func (g *guest) refused(ctx actor.Context, e frames.Error) {
	refused := Refused{ctx.Self(), e.Number, e.Code, e.Text}
	switch {
	case e.Number > g.said && e.Request != frames.TypeLogin:
		g.early = append(g.early, refused)
		return
	case e.Number != 0 && e.Request != frames.TypeLogin:
		ctx.Send(g.host, refused)
		return
	}
	g.why.Code, g.why.Text = e.Code, e.Text
	_ = g.pipe.Close()
}

func (g *guest) settle() {
	if g.inHand != nil {
		close(g.inHand)
		g.inHand = nil
	}
}

// line is the relay's end of a guest's connection.
type line struct {
	net.Conn // from which the relay reads
	guest    *actor.PID
	root     *actor.RootContext
	begun    []byte // of a frame that is not whole. Owned by who writes
	hang     sync.Once
	over     chan struct{} // closed when nobody is there any more
}

func newLine(pipe net.Conn, ctx actor.Context) *line {
	return &line{Conn: pipe, guest: ctx.Self(), root: ctx.ActorSystem().Root, over: make(chan struct{})}
}

// Write hands a frame to the guest, as soon as it is whole, and returns when that is settled. It writes one frame at most, and less than it is given
// then, with no error: so the relay sees that it goes on.
func (l *line) Write(p []byte) (int, error) {
	whole := append(l.begun, p...)
	raw, rest, err := frames.Cut(whole, frames.MaxPayload+frames.MaxGrowth)
	if errors.Is(err, frames.ErrShort) {
		l.begun = whole
		return len(p), nil
	}
	if err != nil {
		return 0, err
	}
	frame, err := frames.Keys{SeedRaw: true}.Decode(frames.FromRelay, frames.Raw{Type: raw.Type, Payload: append([]byte(nil), raw.Payload...)})
	if err != nil {
		return 0, err
	}
	n := len(whole) - len(rest) - len(l.begun)
	settled := make(chan struct{})
	l.root.Send(l.guest, arrived{frame, settled})
	select {
	case <-settled:
		l.begun = nil
		return n, nil
	case <-l.over:
		return 0, io.ErrClosedPipe
	}
}

// Close is called by the relay.
func (l *line) Close() error {
	l.hangUp()
	l.root.Send(l.guest, hungUp{})
	return l.Conn.Close()
}

func (l *line) hangUp() { l.hang.Do(func() { close(l.over) }) }
