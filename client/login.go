package client

import (
	"context"

	"github.com/mdeiml/blubbel-server/frames"
)

// enter logs in on a connection, and says Hello before, if that was not done. The lock is held.
func (c *Client) enter(ctx context.Context, l *link) error {
	var f frames.Frame = frames.Login{Key: c.self.key}
	if !c.options.Unproven {
		if err := c.greet(ctx, l); err != nil {
			return err
		}
		proof, err := l.greeting.Prove(c.self.private)
		if err != nil {
			return err
		}
		f = proof
	}
	login := &request{}
	if l.err == nil {
		l.login = login
		c.post(l, f, login)
	}
	err := c.await(ctx, func() bool { return l.loggedIn || login.err != nil || l.err != nil })
	switch {
	case l.loggedIn:
		return nil
	case login.err != nil: // it says more than the end of the connection, which may have come behind it
		l.login = nil
		return login.err
	case err != nil:
		return err
	}
	return l.err
}

// enteredBy notes that the relay has accepted our login. Before we asked it to, it cannot. The lock is held.
func (c *Client) enteredBy(l *link) {
	if l.login == nil || l.loggedIn {
		return
	}
	delete(l.asked, l.login.number)
	if c.entered {
		c.resume() // before anything else is said
	}
	l.loggedIn, c.entered = true, true
	c.rang.ring()
	c.poke()
}

// connected reports whether we are logged in now.
func (c *Client) connected() bool { return c.link.loggedIn && c.link.err == nil }
