package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

const (
	// presenceBit is the feature that a relay tells of peers whether they are connected.
	presenceBit = 1 << 0
	// software is what we say of ourselves.
	software = "blubbel"
)

// Relay is what a relay says of itself in its Welcome.
type Relay struct {
	// ID is who it is, if it has signed that: pin it in addresses, or remember it, and ask what has happened when it changes.
	ID           frames.RelayID
	Signed       bool
	Software     string // show it as text, it may hold anything
	MaxPayload   int    // bytes; 0 if it does not say
	PingInterval time.Duration
	Presence     bool // it tells of peers whether they are connected
}

// Relay returns what the relay said of itself; nothing with Options.Unproven, and before Login of a client made by New.
func (c *Client) Relay() Relay {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link.relay
}

// WrongRelay is the error if the relay is not the one it should be. Nothing but a Hello was said to it.
type WrongRelay struct {
	Pinned bool           // the address has an id,
	Want   frames.RelayID // this
	Said   frames.RelayID // whom the relay says to be; zeros if it does not say
	// Forged: its signature is missing or does not hold on this connection, so it may be anybody.
	Forged bool
}

// Error says what is wrong with it.
func (w *WrongRelay) Error() string {
	switch {
	case w.Pinned && w.Said == (frames.RelayID{}):
		return "the relay at this address cannot prove that it is the one named there: it does not say who it is"
	case w.Pinned && w.Said != w.Want:
		return fmt.Sprintf("this is not the relay of that address: it says that it is %s", w.Said)
	case w.Pinned:
		return "the relay says that it is the one of that address, and cannot prove it on this connection: " +
			"somebody in between forwards what is said, or pretends to be the relay"
	}
	return "the relay cannot prove on this connection who it says it is: somebody in between forwards what is said"
}

// greet says Hello, if that was not done, and waits until the relay has answered and was found to be who it should be.
// The lock is held.
func (c *Client) greet(ctx context.Context, l *link) error {
	if l.greeted {
		return nil
	}
	if l.said == nil {
		if err := c.hello(ctx, l); err != nil {
			return err
		}
	}
	err := c.await(ctx, func() bool { return l.greeted || l.said.err != nil || l.err != nil })
	switch {
	case err != nil:
		return err
	case l.greeted:
		return nil
	case l.err != nil:
		return l.err
	}
	return c.ungreeted(l.said.err)
}

// hello says Hello. The lock is held, and given up while TLS is still being agreed on.
func (c *Client) hello(ctx context.Context, l *link) error {
	h := frames.Hello{Elements: frames.Elements{Features: presenceBit, Nonce: make([]byte, frames.NonceSize), Software: software}}
	if c.options.NoPresence {
		h.Features = 0
	}
	_, _ = rand.Read(h.Nonce) // it never fails
	l.hello, l.said = h.Append(nil)[frames.HeaderSize:], &request{}
	c.mu.Unlock()
	binding, err := bindingOf(ctx, l.conn)
	c.mu.Lock()
	if err != nil {
		c.end(l, err)
		_ = l.conn.Close()
		return err
	}
	l.binding = binding
	c.post(l, h, l.said)
	return nil
}

// ungreeted says what it means that a Hello was refused.
func (c *Client) ungreeted(err error) error {
	switch {
	case !IsRefused(err, frames.Unsupported):
		return err
	case c.address.Pinned:
		return fmt.Errorf("%w (%w)", &WrongRelay{Pinned: true, Want: c.address.ID, Forged: true}, ErrOldRelay)
	}
	return ErrOldRelay
}

// welcomed takes the relay's answer to our Hello. The error ends the connection. The lock is held.
func (c *Client) welcomed(l *link, w frames.Welcome, payload []byte) error {
	if l.said == nil || l.greeted {
		return ErrRelay
	}
	relay, err := l.check(c.address, w, payload)
	if err != nil {
		return err
	}
	delete(l.asked, l.said.number)
	l.relay, l.greeted = relay, true
	l.greeting = frames.NewGreeting(l.hello, payload, l.binding)
	c.rang.ring()
	return nil
}

// check finds out who the relay is. A relay without an identity of its own signs nothing; who pins one does not take that.
func (l *link) check(a Address, w frames.Welcome, payload []byte) (r Relay, err error) {
	r = Relay{
		Software: w.Software, MaxPayload: int(w.MaxPayload), PingInterval: time.Duration(w.PingInterval) * time.Second,
		Presence: w.Features&presenceBit != 0,
	}
	wrong := &WrongRelay{Pinned: a.Pinned, Want: a.ID, Forged: true}
	if len(w.RelayID) > 0 {
		r.ID = frames.RelayID(w.RelayID)
		wrong.Said = r.ID
		r.Signed = frames.SignedBy(r.ID, l.hello, payload, l.binding)
	}
	switch {
	case a.Pinned && (r.ID != a.ID || len(w.RelayID) == 0):
		wrong.Forged = !r.Signed
		return Relay{}, wrong
	case !r.Signed && (a.Pinned || len(w.Signature) > 0):
		return Relay{}, wrong
	case len(w.Nonce) == 0:
		return Relay{}, fmt.Errorf("%w: its Welcome has no nonce", ErrRelay) // our proof could be used twice
	case !r.Signed:
		r.ID = frames.RelayID{} // it may be anybody's
	}
	return r, nil
}
