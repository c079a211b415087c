package actors

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
)

// Limits are what a connection and a user may use up.
type Limits struct {
	Keys          frames.Keys   // that may log in
	Payload       int           // bytes of one frame's payload
	LoginPayload  int           // and before login
	Sealed        int           // bytes of the sealed part of a StartSession or AcceptSession
	Window        int           // bytes of the relay's memory held for one connection
	Stall         time.Duration // how long a socket may take less than stallBytes, while something waits, before its senders are told BUSY
	WriteDeadline time.Duration // how long a socket may take nothing before it is closed
	AskedBy       int           // requests of one user pending at others
	AskedOf       int           // requests pending with one user, of peers without an open session
	Sessions      int           // sessions of one user, places reserved by its requests included

	// The zero value of each of the following is no limit.

	Login            time.Duration // from the beginning of a connection until it must have logged in
	Frame            time.Duration // from the first byte of a frame until it must be whole
	Silence          time.Duration // how long there may be no byte in either direction
	PingInterval     time.Duration // how long nothing may come of a client that said Hello until it is pinged
	AwayTime         time.Duration // how long a user may be away until its sessions end
	Takeovers        int           // from how many takeovers of a key within a minute on each is answered later
	Frames, Bytes    Rate          // that one connection sends. The bursts are not less than a chunk may have
	Starts           Rate          // StartSessions of one user
	StartsTo         Rate          // and to one user, by strangers
	AskedOfByAddress int           // of AskedOf, those from one address, which has that share of StartsTo as well
	Pins             int           // keys that are pinned
}

// Shared is what all actors of one relay have in common. Nothing of it but the counters and the limits changes while the relay runs.
type Shared struct {
	Root   *actor.RootContext // how goroutines that are not actors send
	Log    *logrus.Entry
	Ledger Ledger
	Door   *Door
	Trust  *Trust
	// Crashed tells the world of a crash that no supervisor hears of, and what was done about it.
	Crashed func(who *actor.PID, crash *Crash, done string)

	// Publish tells the host of an event. It does not panic.
	Publish func(event any)

	roster    roster
	counts    counts
	limits    atomic.Pointer[Limits]
	verifying chan struct{} // has room for as many as may verify signatures at once

	pool    pool
	running sync.WaitGroup // readers, those that wait for sockets, and mailboxes: what may still hold a frame
	logins  atomic.Uint64
	salt    [16]byte // of the names that keys have in the log
}

// NewShared returns what the actors of one relay share.
func NewShared(root *actor.RootContext, limits Limits, door DoorLimits, trust *Trust, log *logrus.Entry) *Shared {
	s := &Shared{
		Root: root, Log: log, Door: newDoor(door, log), Trust: trust,
		Crashed: func(*actor.PID, *Crash, string) {}, Publish: func(any) {}, verifying: verifications(),
	}
	s.SetLimits(limits)
	trust.said.Interval, trust.failed.Interval = time.Minute, time.Minute
	_, _ = rand.Read(s.salt[:]) // never fails
	return s
}

// Limits are those in effect now. They may be others at the next look.
func (s *Shared) Limits() *Limits { return s.limits.Load() }

// SetLimits changes the limits. A connection keeps to those of when it began, and a user to the rates of its first request.
func (s *Shared) SetLimits(l Limits) { s.limits.Store(&l) }

// Wait waits until no frame is held by anybody any more, once the actors have stopped, and ends the goroutines that were
// kept for the next.
func (s *Shared) Wait() {
	s.running.Wait()
	s.pool.close()
}

// Alias is what a key is called in the log: 8 hex digits that mean nothing once the relay was stopped.
func (s *Shared) Alias(k frames.Key) string {
	h := sha256.New()
	h.Write(s.salt[:])
	h.Write(k)
	return hex.EncodeToString(h.Sum(nil)[:4])
}

func (s *Shared) debugs() bool { return s.Log.Logger.IsLevelEnabled(logrus.DebugLevel) }

// send sends from a goroutine that is no actor. If nobody is there, dead letters are told to whoever listens, right here; a
// listener of the host's that panics must not end the process.
func (s *Shared) send(to *actor.PID, message any) {
	defer func() { _ = recover() }()
	s.Root.Send(to, message)
}

// note logs what happened to a user, for who debugs the relay.
func (s *Shared) note(key, what string) {
	defer func() { _ = recover() }() // of a hook of the host's
	if s.debugs() {
		s.Log.WithField("user", s.Alias(frames.Key(key))).Debug(what)
	}
}

// tell tells of a goroutine's crash, if there was one, when its actor stops anyway, or has stopped.
func (s *Shared) tell(who *actor.PID, crash *Crash) {
	if crash != nil && !crash.raised {
		s.Crashed(who, crash, "closed")
	}
}

// contain runs what must not panic: in an actor that is stopping Proto.Actor would restart it, or never end it, and where an
// output is settled nobody is left to recover. What was to be done is not, then, and that is a bug.
func (s *Shared) contain(f func()) {
	defer func() {
		if p := recover(); p != nil {
			crash := NewCrash(p)
			s.Log.WithFields(logrus.Fields{"why": crash.String(), "stack": string(crash.Stack)}).Error("clearing up failed; this is a bug")
		}
	}()
	f()
}
