package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// load is some users, and what they send to each other.
type load struct {
	dial     func(ctx context.Context, nth int) (net.Conn, error)
	pause    func(time.Duration)
	patience time.Duration // when nothing has moved for so long, what is missing is lost

	epoch   time.Time // all times are ns since then
	users   []*user
	streams []*stream
	senders []*sender
	paces   []*pace

	readers, sending sync.WaitGroup
	stopping         atomic.Bool // nothing new is to be sent
	closing          atomic.Bool // connections end because we end them
	bad              atomic.Uint64
	firstFault       atomic.Pointer[error]
	broken           chan error // a connection has ended that we did not end
}

// now returns the time since the load began, in ns.
func (l *load) now() int64 { return int64(time.Since(l.epoch)) }

// enter connects and logs in the nth user, with a key of so many bits.
func (l *load) enter(ctx context.Context, nth, bits int) (*user, error) {
	key, err := madeUpKey(bits)
	if err != nil {
		return nil, err
	}
	conn, err := l.dial(ctx, nth)
	if err != nil {
		return nil, err
	}
	u := &user{key: key, inbox: inbox{conn: conn}}
	u.grow(modestRead)
	if err := u.login(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return u, nil
}

// miss says that a connection has ended too early.
func (l *load) miss(err error) {
	select {
	case l.broken <- err:
	default: // one is enough
	}
}

// fault notes that something arrived that should not have.
func (l *load) fault(err error) {
	l.bad.Add(1)
	l.firstFault.CompareAndSwap(nil, &err)
}

// stream adds a stream between two users that have a session.
func (l *load) stream(from, to *user, size int, front []byte) *stream {
	st := &stream{id: uint32(len(l.streams)), size: uint32(size), from: from, to: to, front: front} //nolint:gosec // the flags allow far less
	if front == nil {
		st.front = newFront(to.key, st.size)
	}
	l.streams = append(l.streams, st)
	return st
}

// sender adds what sends a user's Messages, once the user has all its sessions.
func (l *load) sender(u *user, window int, streams ...*stream) *sender {
	u.sender = &sender{
		user: u, load: l, streams: streams, window: uint64(window), //nolint:gosec // the flags allow no negative one
		first: u.number, refusals: map[frames.Code]uint64{}, bell: make(chan struct{}, 1),
	}
	l.senders = append(l.senders, u.sender)
	return u.sender
}

// read starts the readers of these users, with a buffer of so many bytes for each.
func (l *load) read(buffer int, users ...*user) {
	for _, u := range users {
		u.grow(buffer)
		if u.begin != nil {
			l.sending.Add(1) // until its reader has called it
		}
		l.readers.Go(func() { u.read(l) }) // ends when its connection does
	}
}

// send starts senders.
func (l *load) send(senders ...*sender) {
	for _, s := range senders {
		l.sending.Go(s.run) // ends with stop, or with its connection
	}
}

// follow starts a pace.
func (l *load) follow(p *pace) {
	l.paces = append(l.paces, p)
	go p.run(l) // ends with stop, or by itself
}

// stop lets the senders end, waits for what is under way, and ends all connections.
func (l *load) stop() {
	for _, p := range l.paces {
		close(p.stop)
		<-p.stopped
	}
	l.stopping.Store(true)
	for _, s := range l.senders {
		s.waiting.Store(true)
		s.ring()
	}
	sent := make(chan struct{})
	go func() { // ends with the senders: by themselves, or with their connections
		l.sending.Wait()
		close(sent)
	}()
	l.drain(sent)
	l.close()
	<-sent
	l.readers.Wait()
}

func (l *load) close() {
	l.closing.Store(true)
	for _, u := range l.users {
		_ = u.conn.Close()
	}
}

// drain waits until everything is sent and every Message has its outcome, or nothing has moved for its patience.
// In any case it ends after some times that: nobody waits for a relay that only trickles.
func (l *load) drain(sent <-chan struct{}) {
	const (
		look  = 2 * time.Millisecond
		times = 15
	)
	end := time.Now().Add(times * l.patience)
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	moved, before := time.Now(), uint64(0)
	for (!over(sent) || l.pending()) && time.Since(moved) < l.patience && time.Now().Before(end) {
		<-ticker.C
		if now := l.settled(l.senders...); now != before {
			moved, before = time.Now(), now
		}
	}
}

func over(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// pending reports whether anything can still get its outcome.
func (l *load) pending() bool {
	for _, s := range l.senders {
		if s.user.ended.Load() {
			continue
		}
		if s.settled.Load() < s.sent.Load() && s.reachesSomebody() {
			return true
		}
	}
	return false
}

// reachesSomebody reports whether one of those it sends to is still there.
func (s *sender) reachesSomebody() bool {
	for _, st := range s.streams {
		if !st.to.ended.Load() {
			return true
		}
	}
	return false
}

func (l *load) settled(senders ...*sender) (n uint64) {
	for _, s := range senders {
		n += s.settled.Load()
	}
	return n
}

// delivered returns how many Messages of these senders have arrived.
func delivered(senders []*sender) (n uint64) {
	for _, s := range senders {
		refused := s.refused.Load() // first: it must not be ahead
		n += s.settled.Load() - refused
	}
	return n
}

// faults says what was the first thing that should not have arrived.
func (l *load) faults() string {
	if first := l.firstFault.Load(); first != nil {
		return fmt.Sprintf("bad: %v", *first)
	}
	return ""
}
