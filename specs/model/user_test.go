package model

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// user is somebody with a key, and what it knows.
type user struct {
	world  *world
	index  int
	key    frames.Key
	conn   *conn // the one it talks on; nil if it is away
	last   *conn // the one it was let in on last
	manner manner
}

// conn is a connection of a user's. Its reader is a goroutine, which ends when the connection does.
type conn struct {
	*record
	user *user
	net  net.Conn
	in   io.Reader

	saying chan struct{} // full while something is said: in a bubble time stands still for who waits for a mutex

	mu       sync.Mutex // guards the rest, and the record
	hello    []byte     // the payload; nil before it was said
	welcome  []byte     // and that of the answer
	asking   uint64     // the number of the login that was said last
	changed  chan struct{}
	over     bool
	loggedIn bool
	open     map[int]bool // sessions, as far as we know
	asked    map[int]bool
	accepted map[int]bool // our request, by the peer
	requests []int
	deafTill time.Time
}

const (
	soon = 20 * time.Millisecond
)

func (u *user) connect() *conn {
	n, err := u.world.dial()
	if err != nil {
		return nil
	}
	c := &conn{
		record: u.world.newRecord(u.index), user: u, net: n, in: n,
		saying: make(chan struct{}, 1), changed: make(chan struct{}), open: map[int]bool{}, asked: map[int]bool{}, accepted: map[int]bool{},
	}
	if !u.world.script.virtual { // where it has to be known what was not read, nothing is read ahead
		c.in = bufio.NewReaderSize(n, 4<<10)
	}
	u.world.conns.Add(1)
	go c.read() // ends with the connection
	return c
}

// online makes the user be logged in; false if that does not work.
func (u *user) online() bool {
	for range 50 {
		if u.conn != nil && u.conn.until(soon, func() bool { return u.conn.over || u.conn.loggedIn }) && !u.conn.isOver() {
			return true
		}
		if u.conn == nil || u.conn.isOver() {
			if u.conn = u.connect(); u.conn == nil {
				return false
			}
		}
		if u.conn.logIn(u.manner); u.conn.isOn() {
			u.arrives()
			return true
		}
		if u.conn.mustProve() {
			u.manner = proves
		}
		u.world.pause(soon)
	}
	return false
}

func (c *conn) isOver() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.over }
func (c *conn) isOn() bool   { c.mu.Lock(); defer c.mu.Unlock(); return c.loggedIn && !c.over }

// until waits until the condition holds, which is looked at with the lock held; false if it does not within the time.
func (c *conn) until(limit time.Duration, holds func() bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		c.mu.Lock()
		ok, changed := holds(), c.changed
		c.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

// news wakes who waits. For who holds the lock.
func (c *conn) news() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// say says frames, in so many more writes than one, and returns the number of the last.
func (c *conn) say(cuts int, list ...said) (number uint64) {
	c.saying <- struct{}{}
	defer func() { <-c.saying }()
	var bytes []byte
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return 0
	}
	first, ends := len(c.record.said), make([]int, 0, len(list))
	for _, s := range list {
		bytes = c.user.encode(&s, bytes)
		s.at = now()
		ends = append(ends, len(bytes))
		c.record.said = append(c.record.said, s)
		if s.typ == frames.TypeLogin && s.want != frames.AlreadyLoggedIn || s.typ == frames.TypeProve {
			c.asking = uint64(len(c.record.said))
		}
	}
	number = uint64(len(c.record.said))
	c.mu.Unlock()
	n := c.write(bytes, cuts)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, end := range ends {
		c.record.said[first+i].whole = n >= end
	}
	return number
}

// write returns how many bytes were written.
func (c *conn) write(bytes []byte, cuts int) (n int) {
	part := len(bytes)/(cuts+1) + 1
	for n < len(bytes) {
		m, err := c.net.Write(bytes[n:min(n+part, len(bytes))])
		if n += m; err != nil {
			break
		}
	}
	return n
}

// read hears whatever comes, until the connection is over.
func (c *conn) read() {
	defer c.user.world.conns.Done()
	for {
		c.listens()
		f, err := frames.Read(c.in, frames.MaxPayload+frames.MaxGrowth)
		if err != nil {
			c.end("closed by the relay: "+err.Error(), !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF))
			_ = c.net.Close()
			return
		}
		c.hear(f)
	}
}

// listens waits until the user does not want to be deaf any more.
func (c *conn) listens() {
	c.mu.Lock()
	rest := time.Until(c.deafTill)
	c.mu.Unlock()
	if rest > 0 {
		c.user.world.pause(rest)
	}
}

// end takes note that the connection is over, or, later, that there is really nothing that could be heard any more.
func (c *conn) end(how string, abrupt bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over, c.how, c.abrupt = true, how, abrupt
	}
	if c.how != "" { // else it was open to the end
		c.closed = now()
	}
	c.news()
}

func (c *conn) hear(raw frames.Raw) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.news()
	m := heard{at: now(), typ: raw.Type, from: -1}
	f, err := frames.Keys{}.Decode(frames.FromRelay, raw)
	if err != nil {
		m.garbled = true
		c.heard = append(c.heard, m)
		return
	}
	switch f := f.(type) {
	case frames.LoginAccepted:
		c.isLetIn(m.at)
	case frames.StartSession:
		m.from = userOf(f.Peer)
		m.id, m.garbled = idOf(f.Sealed)
		c.requests = append(c.requests, m.from)
	case frames.AcceptSession:
		m.from = userOf(f.Peer)
		m.id, m.garbled = idOf(f.Sealed)
		c.open[m.from], c.accepted[m.from] = true, true
	case frames.Message:
		m.from = userOf(f.Peer)
		m.id, m.garbled = idOf(f.Body)
	case frames.Error:
		m.code, m.request, m.number = f.Code, f.Request, f.Number
		c.refused(m)
	default:
		c.hearExtension(&m, f, raw.Payload)
	}
	c.heard = append(c.heard, m)
}

// hearExtension takes note of a frame of those that Hello brings. For who holds the lock.
func (c *conn) hearExtension(m *heard, f frames.Frame, payload []byte) {
	switch f := f.(type) {
	case frames.Welcome:
		c.welcome = payload
	case frames.EndSession:
		m.from = userOf(f.Peer)
		if m.id, m.garbled = idOf([]byte(f.Reason)); m.garbled { // it is the relay's word
			m.id, m.garbled, m.reason = 0, false, f.Reason
		}
		c.forgets(m.from)
	case frames.Presence:
		m.from, m.online = userOf(f.Peer), f.Online
	case frames.Ping:
		c.user.world.conns.Go(func() { c.say(0, said{typ: frames.TypePong, to: -1, frame: frames.Pong(f)}) }) // ends with the connection
	case frames.Pong:
		m.id, m.garbled = idOf(f[:])
	case frames.Restarting:
	default:
		m.garbled = true
	}
}

// refused draws conclusions from an Error.
func (c *conn) refused(m heard) {
	if m.number == 0 || m.number > uint64(len(c.record.said)) {
		return
	}
	switch peer := c.record.said[m.number-1].to; m.request { //nolint:exhaustive // the others say nothing about a session
	case frames.TypeStart:
		delete(c.asked, peer)
	case frames.TypeMessage:
		if m.code == frames.NoSession || m.code == frames.Offline {
			c.forgets(peer)
		}
	case frames.TypeAccept:
		if !c.accepted[peer] { // else requests have crossed, and there is a session
			delete(c.open, peer)
		}
	}
}

// forgets makes the user know nothing of a session with the peer. For who holds the lock.
func (c *conn) forgets(peer int) {
	delete(c.open, peer)
	delete(c.asked, peer)
	delete(c.accepted, peer)
}

// closes closes the connection; what the relay has written by then is heard.
func (c *conn) closes(how string, abrupt bool) {
	if tcp, ok := c.net.(*net.TCPConn); ok && !abrupt {
		_ = tcp.CloseWrite()
		if !c.until(c.user.world.long(), func() bool { return c.over }) {
			c.user.world.finds(leaked, "%s/%d closed in good order, and the relay did not", name(c.record.user), c.id)
		}
		return
	}
	c.end(how, abrupt)
	if tcp, ok := c.net.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.net.Close()
}
