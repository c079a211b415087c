package client

import (
	"bufio"
	"errors"
	"net"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// link is one connection to the relay. All but conn is guarded by the client's lock.
type link struct {
	conn     net.Conn
	said     *request // our Hello,
	hello    []byte   // and its payload
	binding  frames.Binding
	greeting frames.Greeting // what we prove with, once the relay has answered
	greeted  bool            // the relay has answered, and is who it should be
	relay    Relay
	login    *request // our Login or Prove, unless it was refused
	loggedIn bool
	err      error // how it ended; nil while it lives

	outbox []posted            // not written yet
	number uint64              // of the newest frame written
	asked  map[uint64]*request // what was written, may be refused, and was not answered
	pings  map[frames.Ping]*ping

	heardAt    time.Time // the newest frame of the relay's
	missed     int       // pings of ours since then
	restarting *Restarting
}

func newLink(conn net.Conn) *link {
	return &link{conn: conn, asked: make(map[uint64]*request), pings: make(map[frames.Ping]*ping), heardAt: time.Now()}
}

// serve reads and writes until the connection has ended.
func (c *Client) serve(l *link) {
	written := make(chan struct{})
	go func() { // ends when the client is done, or the connection breaks
		defer close(written)
		c.write(l)
	}()
	c.read(l)
	<-written
}

// read is the reader: it takes what the relay sends until the connection ends, and closes it.
func (c *Client) read(l *link) {
	in := bufio.NewReaderSize(l.conn, 64<<10)
	var err error
	for err == nil {
		var f frames.Frame
		var raw frames.Raw
		if f, raw, err = readFrame(in); err == nil {
			c.mu.Lock()
			err = c.take(l, time.Now(), f, raw)
			c.mu.Unlock()
		}
	}
	_ = l.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(l, err)
}

// readFrame reads one frame; it is nil if this client does not know its type.
func readFrame(in *bufio.Reader) (frames.Frame, frames.Raw, error) {
	raw, err := frames.Read(in, frames.MaxPayload+frames.MaxGrowth)
	var refusal *frames.Refusal
	switch {
	case errors.As(err, &refusal):
		return nil, raw, ErrRelay
	case err != nil:
		return nil, raw, ErrDisconnected
	}
	f, err := frames.Keys{SeedRaw: true}.Decode(frames.FromRelay, raw)
	switch {
	case errors.As(err, &refusal) && refusal.Code == frames.Unsupported:
		return nil, raw, nil // skipped by its length, as the protocol asks
	case err != nil:
		return nil, raw, ErrRelay
	}
	return f, raw, nil
}

// end notes that a connection has ended because of err. If the client may connect again, that is not its own end. The lock
// is held.
func (c *Client) end(l *link, err error) {
	if l.err != nil {
		return
	}
	if c.closing {
		err = ErrClosed
	}
	l.err = err
	l.outbox = nil
	clear(l.asked)
	if c.mayReconnect(err) {
		c.interrupt()
	} else {
		c.fail(err)
	}
	c.rang.ring()
	c.poke()
}
