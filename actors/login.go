package actors

import (
	"sync/atomic"
	"unique"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// Login is one login of a key on one connection. What comes from a login that is over is refused, and what was under way
// to one is never handed to the next.
type Login struct {
	Number     uint64     // never used again
	Name       string     // the key's
	Connection *actor.PID // writes what is for the client
	User       *actor.PID // set by the UserActor before it answers Joined
	shared     *Shared
	address    *Address  // where it comes from; nil if from no address
	window     *window   // of its connection
	shown      LoginKind // by what else than a Prove; zero if by none
	proven     bool      // whoever is there holds the key
	extended   bool      // the client said Hello
	presence   bool      // and wants to know who of its peers is there
	pinnings   uint64    // as Trust counted them just before it was found that it needs no proof
	over       atomic.Bool
	worker     *worker // that sends Join or Joined; see ride
}

// Ride lets the Join or Joined that is sent next be handled by who runs the sender, as it is with what carries frames. For the sender,
// an actor with this mailbox.
func (l *Login) Ride(m *Mailbox) { l.worker = m.worker }

// NewLogin returns a login of a key on a connection, without proof, not joined yet.
func NewLogin(shared *Shared, key frames.Key, connection *actor.PID) *Login {
	return &Login{
		Number: shared.logins.Add(1), Name: Name(key), Connection: connection, shared: shared, window: new(window),
	}
}

// kind is what it has proved.
func (l *Login) kind() LoginKind {
	switch {
	case l.shown != 0:
		return l.shown
	case l.proven:
		return LoginProof
	case l.extended:
		return LoginHello
	}
	return LoginSeed
}

// fingerprint returns that of the key.
func (l *Login) fingerprint() [32]byte { return frames.Key(l.Name).Fingerprint() }

// Name returns a key as what maps are indexed by. There is one copy of it, whoever knows the key: comparing with many users' keys
// should not have to fetch each from memory.
func Name(key frames.Key) string { return unique.Make(string(key)).Value() }

// notice returns a frame of the relay's own as a run for a client, on whose connection's window it weighs until it is written: who
// does not read what it is told is not read either.
func notice(shared *Shared, w *window, f frames.Frame) *Run {
	bytes := f.Append(nil)
	c := &Chunk{shared: shared, window: w, bytes: bytes, weight: len(bytes) + books}
	c.open.Store(1)
	w.take(c.weight)
	run := c.run(0)
	run.own, run.alone = true, true
	c.release()
	return run
}
