package client

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// lingering is how long Close waits for the relay to take leave.
const lingering = 500 * time.Millisecond

// Client is a connection to a relay. Its methods may be called from several goroutines. It does not connect again by
// itself: when it is Done, dial anew, log in, and start sessions anew.
type Client struct {
	conn   net.Conn
	wanted chan struct{} // holds one element if the writer should look what there is to send
	done   chan struct{} // closed with err set
	gone   chan struct{} // closed when both goroutines have ended

	mu       sync.Mutex // guards all that follows, the peers and the sessions included
	rang     bell
	err      error
	closing  bool      // Close was called
	self     *Identity // set by Login
	loggedIn bool
	outbox   []posted            // handshakes, not written yet
	number   uint64              // of the newest frame written
	asked    map[uint64]*request // handshakes, written and not answered
	peers    map[string]*peer    // by key
	sessions []*Session          // the newest of each peer, in the order in which they take turns
	events   []Event
	seen     replays
}

// Dial connects to the relay at host:port over TCP. ctx limits the dialling, not the connection.
func Dial(ctx context.Context, address string) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// New speaks with a relay over a connection that is there, such as one over TLS. The client owns it from now on.
func New(conn net.Conn) *Client {
	c := &Client{
		conn: conn, wanted: make(chan struct{}, 1), done: make(chan struct{}), gone: make(chan struct{}),
		rang: newBell(), asked: make(map[uint64]*request), peers: make(map[string]*peer),
	}
	var both sync.WaitGroup
	both.Go(c.read)  // ends when the connection does
	both.Go(c.write) // ends when the client is done, or the connection breaks
	go func() {      // ends with them
		both.Wait()
		close(c.gone)
	}()
	return c
}

// Login says who we are, and waits until the relay has accepted it. A refusal is a *[Refused]; Login may be called again
// after it: KeyInUse goes by once the relay has noticed that an earlier connection of this key is gone.
func (c *Client) Login(ctx context.Context, self *Identity) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.self != nil {
		return ErrLoggedIn
	}
	c.self = self
	login := &request{}
	c.post(frames.Login{Key: self.key}, login)
	err := c.await(ctx, func() bool { return c.loggedIn || login.err != nil })
	switch {
	case err != nil:
		return err // it may be accepted yet, so there is no second login on this connection
	case login.err != nil:
		c.self = nil
		return login.err
	}
	return nil
}

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says how the connection ended: *[Refused] if the relay said why, [ErrClosed] after Close; nil while it lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection, once what there is to send has been written, and every session with it. It does not wait
// until peers have confirmed anything; [Session.End] does. A relay that does not take it makes it half a second long.
func (c *Client) Close() error {
	c.mu.Lock()
	if !c.closing {
		c.closing = true
		_ = c.conn.SetDeadline(time.Now().Add(lingering))
		c.rang.ring()
		for _, s := range c.sessions {
			s.rang.ring()
		}
		c.poke()
	}
	c.mu.Unlock()
	<-c.gone
	return nil
}

// fail ends the connection because of err. The lock is held. The writer writes what is left.
func (c *Client) fail(err error) {
	if c.err != nil {
		return
	}
	if c.closing {
		err = ErrClosed
	}
	c.err = err
	close(c.done)
	for _, s := range c.sessions {
		if s.talk.endTaken {
			s.finish(s.talk.how)
		}
		s.finish(err)
	}
	c.rang.ring()
	c.poke()
}

// await waits until ready says so, or until the connection has ended. The lock is held.
func (c *Client) await(ctx context.Context, ready func() bool) error {
	for !ready() {
		switch {
		case c.err != nil:
			return c.err
		case c.closing:
			return ErrClosed
		}
		if err := c.rang.wait(ctx, &c.mu); err != nil {
			return err
		}
	}
	return nil
}

// read is the reader: it takes what the relay sends until the connection ends, and closes it.
func (c *Client) read() {
	in := bufio.NewReaderSize(c.conn, 64<<10)
	var err error
	for err == nil {
		var f frames.Frame
		if f, err = readFrame(in); err == nil {
			c.mu.Lock()
			err = c.take(time.Now(), f)
			c.mu.Unlock()
		}
	}
	_ = c.conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(err)
}

// readFrame reads one frame, nil for one that this client does not know.
func readFrame(in *bufio.Reader) (frames.Frame, error) {
	raw, err := frames.Read(in, frames.MaxPayload+frames.MaxGrowth)
	var refusal *frames.Refusal
	switch {
	case errors.As(err, &refusal):
		return nil, ErrRelay
	case err != nil:
		return nil, ErrDisconnected
	}
	f, err := frames.Keys{SeedRaw: true}.Decode(frames.FromRelay, raw)
	switch {
	case errors.As(err, &refusal) && refusal.Code == frames.Unsupported:
		return nil, nil //nolint:nilnil // skipped by its length, as the protocol asks
	case err != nil:
		return nil, ErrRelay
	}
	return f, nil
}
