package supervisor

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/actors"
)

// What a relay publishes on the event stream of its actor system. Subscribers are called while the actor that it is about waits, so they are to return
// at once; one that panics misses that event, and nothing else happens. Keys print as their length only.
type (
	// UserOnline says that a user has logged in.
	UserOnline = actors.UserOnline
	// UserGone says that a user's connection has ended, or that another has taken its login over; UserOnline comes for that one then.
	UserGone = actors.UserGone
	// SessionOpened says that two users have a session, once for both.
	SessionOpened = actors.SessionOpened
	// SessionEnded says that they have none any more.
	SessionEnded = actors.SessionEnded
	// ConnectionClosed says that a connection has ended, and why.
	ConnectionClosed = actors.ConnectionClosed
)

// Ending is why a connection has ended.
type Ending = actors.Ending

// The reasons.
const (
	EndingClient   = actors.EndingClient   // the client closed
	EndingNetwork  = actors.EndingNetwork  // reading or writing failed
	EndingEarly    = actors.EndingEarly    // what comes before the first frame, as of TLS, did not come about
	EndingRefused  = actors.EndingRefused  // for what the client sent, or did not send in time; the code says which
	EndingLogin    = actors.EndingLogin    // for its login; the code says why
	EndingSlow     = actors.EndingSlow     // the client took nothing for too long
	EndingReplaced = actors.EndingReplaced // another connection has proved that the key is its client's
	EndingBarred   = actors.EndingBarred   // the key is not allowed any more
	EndingCrash    = actors.EndingCrash    // of an actor
	EndingStop     = actors.EndingStop     // of the relay
)

// LoginKind is what a login has proved, and how.
type LoginKind = actors.LoginKind

// The kinds.
const (
	LoginSeed        = actors.LoginSeed        // nothing, by a client that does not say Hello
	LoginHello       = actors.LoginHello       // nothing, by one that does
	LoginProof       = actors.LoginProof       // possession of the key, by Prove
	LoginCertificate = actors.LoginCertificate // the same, in TLS
	LoginHost        = actors.LoginHost        // nothing, but the host vouches for it
)

// Crashed is published for every crash of an actor of the relay. Nothing in it is of a client's: neither keys nor payloads.
type Crashed struct {
	Actor *actor.PID
	Kind  Kind
	Why   string // what the panic said, if it was a runtime error or the relay's own; else the type of its value
	Stack []byte // where, as debug.Stack has it
	Done  string // what was done about it, in words
	// Quarantined says that the message in hand crashed the actor for the second time, and was put aside and refused.
	Quarantined bool
}

// publish tells subscribers of an event, and the list of recent ones. What runs in subscribers may panic, or end its goroutine.
func (r *Relay) publish(system *actor.ActorSystem, event any) {
	r.recent.add(event)
	aside(func() { system.EventStream.Publish(event) })
}

// aside runs what may panic or end its goroutine, as hooks and subscribers of the host's may, on one of its own, and waits for it.
func aside(f func()) {
	done := make(chan struct{})
	go func() { // ends with f, however that ends
		defer close(done)
		defer func() { _ = recover() }()
		f()
	}()
	<-done
}
