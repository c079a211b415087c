package client

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// lingering is how long Close waits for the relay to take leave.
const lingering = 500 * time.Millisecond

// Client speaks with a relay. Its methods may be called from several goroutines. With Options.Reconnect it connects again by
// itself, and sessions go on; else, when it is Done, dial anew, log in, and start sessions anew.
type Client struct {
	options Options
	address Address            // what is known of the relay
	dials   bool               // it can connect again
	closed  context.Context    // ends with Close: what waits to connect again looks at it
	close   context.CancelFunc // ends closed
	wanted  chan struct{}      // holds one element if the writer should look what there is to send
	done    chan struct{}      // closed with err set
	gone    chan struct{}      // closed when all goroutines have ended

	mu       sync.Mutex // guards all that follows, the links, the peers and the sessions included
	rang     bell
	err      error
	closing  bool             // Close was called
	self     *Identity        // set by Login
	entered  bool             // Login was accepted once
	link     *link            // the connection; the last one, while there is none
	peers    map[string]*peer // by key
	sessions []*Session       // the newest of each peer, in the order in which they take turns
	events   []Event
	seen     replays
}

// Dial connects to a relay, at an address as ParseAddress reads it, and says Hello unless Options.Unproven. When it returns,
// a relay that the address names by its id has proved to be that one; else the error is *[WrongRelay], and nothing was told
// to it. ctx limits the dialling, not the connection.
func Dial(ctx context.Context, address string, options Options) (*Client, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if options.Unproven && a.Pinned {
		return nil, ErrNoHello
	}
	conn, err := options.connect(ctx, a)
	if err != nil {
		return nil, err
	}
	c := newClient(conn, a, options)
	c.dials = true
	if options.Unproven {
		return c, nil
	}
	c.mu.Lock()
	err = c.greet(ctx, c.link)
	c.mu.Unlock()
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// New speaks with a relay over a connection that is there. The client owns it from now on. It says Hello with Login.
func New(conn net.Conn, options Options) *Client { return newClient(conn, Address{}, options) }

func newClient(conn net.Conn, a Address, options Options) *Client {
	c := &Client{
		options: options, address: a,
		wanted: make(chan struct{}, 1), done: make(chan struct{}), gone: make(chan struct{}),
		rang: newBell(), link: newLink(conn), peers: make(map[string]*peer),
	}
	c.closed, c.close = context.WithCancel(context.Background())
	go c.run(c.link) // ends when the client is done
	return c
}

// run keeps the client connected until it is done.
func (c *Client) run(l *link) {
	defer close(c.gone)
	c.serve(l)
	c.reconnect(l)
}

// Login says who we are, proves it unless Options.Unproven, and waits until the relay has accepted it. A refusal is a
// *[Refused]; Login may be called again after it: KeyInUse goes by once the relay has noticed that an earlier connection of
// this key is gone. A login with a proof takes the key over from whatever connection has it.
func (c *Client) Login(ctx context.Context, self *Identity) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.self != nil {
		return ErrLoggedIn
	}
	c.self = self
	err := c.enter(ctx, c.link)
	if err != nil && c.link.login == nil {
		c.self = nil // else it may be accepted yet, so there is no second login on this connection
	}
	return err
}

// Done is closed when the connection has ended, and will not be made again.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err says how the connection ended: *[Refused] if the relay said why, [ErrClosed] after Close; nil while it lives, or is
// being made again.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Connected reports whether the client is logged in now. While it is not, and connects again, what is sent waits.
func (c *Client) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connected()
}

// Close ends the connection, once what there is to send has been written, and every session with it, of which the relay
// tells the peers. It does not wait until peers have confirmed anything; [Session.End] does. A relay that does not take it
// makes it half a second long.
func (c *Client) Close() error {
	c.mu.Lock()
	if !c.closing {
		c.closing = true
		_ = c.link.conn.SetDeadline(time.Now().Add(lingering))
		c.rang.ring()
		for _, s := range c.sessions {
			s.rang.ring()
		}
		c.poke()
		c.close()
	}
	c.mu.Unlock()
	<-c.gone
	return nil
}

// fail ends the client because of err. The lock is held.
func (c *Client) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	close(c.done)
	for _, s := range slices.Clone(c.sessions) {
		if s.talk.endTaken {
			s.finish(s.talk.how)
		}
		s.finish(err)
	}
	c.rang.ring()
	c.poke()
}

// await waits until ready says so, or until the client is done. The lock is held.
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
