package actors

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// Every message of the relay, grouped by who understands it. Exported ones cross from one kind of actor to another. Those on
// a frame's way are a pointer and nothing else, because Go then makes an interface of them without allocating.

// Understood by the Registry.
type (
	// Join asks to make a login the one of its key. It is passed to the key's UserActor, which answers the connection with
	// Joined or Rejected.
	Join struct {
		Login *Login
		Seq   uint64 // set by the Registry: which of its messages to this UserActor this is
	}
	// Leave says that the connection of a login has stopped. It takes the way of its Join, so it never comes before it.
	Leave struct {
		quiet
		Login *Login
		Seq   uint64 // as in Join
	}
	// Introduce is a StartSession to somebody whose UserActor the sender does not know. It is passed on as Hear, or, where
	// nobody has the key, answered with Answered.
	Introduce struct {
		quiet
		To  string // the key's Name
		Run *Run
	}
	// Away says that a user has left, and keeps sessions. If Heard is all the Registry sent it, it counts among those who are away.
	Away struct {
		quiet
		Key   string // its Name
		User  *actor.PID
		Heard uint64
	}
	// Recheck has every UserActor look whether its user may still be here.
	Recheck struct{ quiet }
	// Vacate is a UserActor's word that it has nobody and nothing. If Heard is all the Registry sent it, the Registry forgets it and
	// answers Vacated; else there is no answer, and the UserActor will find what was sent.
	Vacate struct {
		quiet
		Key   string // its Name
		User  *actor.PID
		Heard uint64
	}
)

// Understood by a UserActor.
type (
	// Take is a chunk of its own client. From the reader.
	Take struct{ Chunk *Chunk }
	// Hear is a run of a peer to its client. From the peer's UserActor; a StartSession possibly by way of the Registry.
	Hear struct{ Run *Run }
	// Answered says what the recipient's UserActor made of a StartSession: it was passed on (code 0, and User is whom to
	// send to from now on), or is to be refused, and comes back with it.
	Answered struct {
		Run  *Run
		Code frames.Code
		User *actor.PID
	}
	// Ended says that nothing is left of what there was with a peer, whose connection ended, but for a session that Keeps. It is
	// answered with LetGo, and nothing else is sent to that peer after it.
	Ended struct {
		quiet
		Peer   string // the key's Name
		User   *actor.PID
		To     string // the recipient's Name
		Keeps  bool   // a session between them outlives connections
		Reason string // why the session ends, for clients that understand it
		over   *Shared
	}
	// LetGo answers Ended, and an EndSession.
	LetGo struct {
		quiet
		Peer string
		Lost bool // there is no session here that outlives connections, whatever Ended said
	}
	// Vacated answers Vacate: nobody can reach this UserActor any more.
	Vacated struct{}
	// Forget says that nobody waits any longer for this user, who is away: its sessions end.
	Forget struct{ quiet }
	// GiveUp says that this UserActor crashes too often: it closes its connection, which ends its sessions, and has the next
	// login of its key wait.
	GiveUp struct{}

	walk    struct{} // go on with the chunks
	awayFor struct { // the user was away for as long as it may, if it is since then
		quiet
		since time.Time
	}
	rested      struct{ quiet } // the time to wait after a GiveUp is over
	unavailable struct{ quiet } // the time to say so has come for some StartSessions
)

// Understood by a ConnectionActor (or whatever else a host lets log in).
type (
	// Joined answers Join: the login is the one of its key.
	Joined struct {
		quiet
		Login *Login
	}
	// Rejected answers Join, too.
	Rejected struct {
		quiet
		Login *Login
		Code  frames.Code
	}
	// Deliver is for its client.
	Deliver struct{ Run *Run }
	// Refuse tells its client that what it sent was refused: an Error for every frame of the run.
	Refuse struct{ Run *Run }
	// Oust says that another connection has proved that the key is its client's: this one ends, and says Leave as soon as nothing
	// more is written to it.
	Oust struct{ quiet }
	// Probe asks to find out soon whether the client is still there.
	Probe struct{ quiet }
	// Orphaned says that the UserActor was stopped: nobody can speak for the client any more.
	Orphaned struct{ quiet }
	// Drain asks to stop reading at the next frame border, and to answer the parent with Drained once everything taken is settled.
	Drain struct{ quiet }
	// Hasten says that there is no time left for a client that does not keep up: it is closed, and what waits for it is refused.
	Hasten struct{ quiet }
	// Close asks to say why (number 0) and to close.
	Close struct {
		quiet
		Code frames.Code
	}

	late     struct{ quiet } // the time that Oust leaves is over
	ping     struct{ quiet } // nothing was heard of the client for long. From the reader
	received struct {        // one frame, before login. From the reader
		quiet
		chunk *Chunk
	}
	ended struct { // the client's stream is over, and everything taken is settled. From the reader
		quiet
		reader  *reader
		crash   *Crash          // of the reader
		refusal *frames.Refusal // why, if the client's bytes are at fault
		request frames.Type     // the frame at fault
		number  uint64
	}
)

// Understood by Connections.
type (
	// Welcome is a new connection.
	Welcome struct {
		quiet
		Conn      net.Conn
		Entry     *Admission // what it counts for; nil if it does not
		Transport string     // what it speaks below frames, in a word
		Vouched   frames.Key // the one that the host says is there; nil if it says nothing
	}
	// Hurry says, the first time, that there is no time left to wait for clients that do not read; the second time, for any that
	// are not drained.
	Hurry struct{}
	// Drained answers Drain.
	Drained struct{ Connection *actor.PID }
)

// quiet marks messages that may well outlive whom they are for. Proto.Actor does not log them as dead letters, and whoever prints
// them prints nothing of a client's.
type quiet struct{}

// Format implements fmt.Formatter.
func (quiet) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "(a message of the relay's)") }

// LogValue implements slog.LogValuer.
func (q quiet) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(q)) }

// IgnoreDeadLetterLogging implements actor.IgnoreDeadLetterLogging.
func (quiet) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging implements actor.IgnoreDeadLetterLogging.
func (Take) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging implements actor.IgnoreDeadLetterLogging.
func (Deliver) IgnoreDeadLetterLogging() {}

// IgnoreDeadLetterLogging implements actor.IgnoreDeadLetterLogging.
func (Refuse) IgnoreDeadLetterLogging() {}

// ride returns the worker that sends a message, if one does, and takes it off the message: whoever runs the mailbox that the
// message is for may pass it on. Senders put it there just before.
func ride(message any) (w *worker) {
	var seat **worker
	switch m := message.(type) {
	case Take:
		seat = &m.Chunk.worker
	case Hear:
		seat = &m.Run.worker
	case Deliver:
		seat = &m.Run.worker
	case Refuse:
		seat = &m.Run.worker
	case Join:
		seat = &m.Login.worker
	case Joined:
		seat = &m.Login.worker
	case flush:
		seat = &m.worker
	case *actor.MessageEnvelope: // of a host's middleware
		return ride(m.Message)
	default:
		return nil
	}
	w, *seat = *seat, nil
	return w
}

// abandoner is a message that holds something somebody waits for, and that must not just vanish with a mailbox.
type abandoner interface {
	// abandon gives up what the message holds, as refused. It reports whether the message was sent to somebody who should have been there.
	abandon() (mislaid bool)
}

// Abandon settles what a message holds that nobody will handle: one left in the mailbox of an actor that stopped, or a
// dead letter. It reports whether that was a mistake of the relay's.
func Abandon(message any) (mislaid bool) {
	if m, ok := message.(abandoner); ok {
		return m.abandon()
	}
	return false
}

func (m Welcome) abandon() bool {
	m.Entry.Close()
	_ = m.Conn.Close()
	return false
}

func (m Join) abandon() bool {
	m.Login.shared.Root.Send(m.Login.Connection, Rejected{Login: m.Login, Code: frames.Internal})
	return false
}

// abandon tells of a crash nevertheless.
func (m ended) abandon() bool {
	m.reader.shared.tell(m.reader.connection, m.crash)
	return false
}

func (m received) abandon() bool { m.chunk.release(); return false }

func (m Take) abandon() bool {
	mislaid := !m.Chunk.login.over.Load()
	m.Chunk.refuseRest()
	return mislaid
}

func (m Hear) abandon() bool {
	run, code := m.Run, Pair(0).Away(EventOf(m.Run.Type))
	mislaid := !run.chunk.login.over.Load()
	root, sender := run.chunk.shared.Root, run.Sender()
	switch run.Type { //nolint:exhaustive // of the others nobody waits for an answer
	case frames.TypeStart: // its sender's walk does
		root.Send(sender, Answered{Run: run, Code: code})
		return mislaid
	case frames.TypeEnd:
		root.Send(sender, LetGo{Peer: run.to()})
	}
	run.refuse(code, "")
	return mislaid
}

// abandon lets go for an actor that was stopped from outside.
func (m Ended) abandon() bool { m.over.Root.Send(m.User, LetGo{Peer: m.To}); return false }

func (m Introduce) abandon() bool { return Hear{Run: m.Run}.abandon() }

func (m Answered) abandon() bool {
	if m.Code != 0 { // the run comes with it
		m.Run.refuse(m.Code, "")
	}
	return false
}

func (m Deliver) abandon() bool { m.Run.refuse(m.Run.away, ""); return false }

func (m Refuse) abandon() bool { m.Run.settleAll(m.Run.code); return false }
