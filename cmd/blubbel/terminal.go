package main

import (
	"context"
	"errors"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/mdeiml/blubbel-server/client"
)

// terminal is a screen on which one types a line while others appear.
type terminal struct {
	*term.Terminal
	in, out *os.File
	before  *term.State
}

// openTerminal takes the terminal over, if input and output are one; else it returns nil.
func openTerminal(s streams) *terminal {
	if !isTerminal(s.in) || !isTerminal(s.out) {
		return nil
	}
	t := &terminal{in: s.in.(*os.File), out: s.out.(*os.File)}
	before, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return nil
	}
	t.before = before
	t.Terminal = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{t.in, t.out}, "> ")
	t.resize()
	return t
}

// resize adapts to the size of the window.
func (t *terminal) resize() {
	if width, height, err := term.GetSize(int(t.out.Fd())); err == nil {
		_ = t.SetSize(width, height)
	}
}

// close gives the terminal back.
func (t *terminal) close() {
	_, _ = io.WriteString(t.out, "\r\n") // what was typed stays to be seen
	_ = term.Restore(int(t.in.Fd()), t.before)
}

// longestLine is what golang.org/x/term takes, in characters.
const longestLine = 4096

// chatting is a conversation on a terminal.
type chatting struct {
	*terminal
	streams
	conn    *client.Client
	self    *client.Identity
	peer    friend
	session *client.Session
	heard   chan error // how the session has ended
	meet    func(ctx context.Context) (*client.Session, error)
	meeting bool // meet runs: it is for that to accept the friend who asks
}

// met is a newer session, or why there is none.
type met struct {
	session *client.Session
	err     error
	asked   bool // we have asked for it, with meet
}

// talk lets the user talk until one of the two has enough. asked tells that the friend asks for a session: after a crash,
// for instance.
func (t *terminal) talk(ctx context.Context, c *chatting, asked <-chan struct{}) error {
	defer watchSize(t.resize)()
	lines := t.lines()
	again := make(chan met)
	c.begin(c.session)
	for {
		var done bool
		var err error
		asks := asked
		if c.meeting {
			asks = nil
		}
		select {
		case how := <-c.heard:
			done, err = c.lost(ctx, how, again)
		case line, more := <-lines:
			if !more {
				line = "/end"
			}
			done, err = c.command(ctx, line)
		case <-asks:
			go c.acceptAgain(ctx, again) // ends within patience
		case m := <-again:
			done, err = c.joined(m)
		case <-ctx.Done():
			return c.end("")
		}
		if done {
			return err
		}
	}
}

// joined goes on with a newer session, if there is one.
func (c *chatting) joined(m met) (done bool, err error) {
	c.meeting = c.meeting && !m.asked
	switch {
	case m.err != nil:
		return true, c.over(m.err)
	case m.session != c.session: // else it was both accepted and asked for
		c.begin(m.session)
	}
	return false, nil
}

// lost goes on without a session that ended so, if there will be a newer one.
func (c *chatting) lost(ctx context.Context, how error, again chan<- met) (done bool, err error) {
	if c.renews(ctx, how, again) {
		return false, nil
	}
	return true, c.over(how)
}

// renews reports whether there will be a newer session in place of one that ended so, and has the friend asked for it if it
// was lost: with a relay that was restarted, for instance.
func (c *chatting) renews(ctx context.Context, err error, again chan<- met) bool {
	if !errors.Is(err, client.ErrSessionLost) {
		return errors.Is(err, client.ErrReplaced)
	}
	c.say("%v; asking %s again", explain(err, c.peer.name), c.peer.name)
	c.meeting = true
	go func() { // ends with ctx, or the connection
		session, err := c.meet(ctx)
		again <- met{session, err, true} // whoever talks looks for it, or has left, and so has the process
	}()
	return true
}

// begin goes on with a session, a newer one perhaps.
func (c *chatting) begin(session *client.Session) {
	if session != c.session {
		if err := unconfirmed(c.session, nil); err != nil {
			c.say("%v", err)
		}
	}
	c.say("%s is here; Ctrl-D ends, /help says what else there is", c.peer.name)
	c.session, c.heard = session, make(chan error, 1)
	go func(heard chan<- error) { // ends with the session
		heard <- show(context.Background(), session, &named{out: c.terminal, name: c.peer.name})
	}(c.heard)
}

// acceptAgain accepts the friend, who has begun anew.
func (c *chatting) acceptAgain(ctx context.Context, again chan<- met) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	session, err := c.conn.AcceptSession(ctx, c.peer.key)
	if err != nil {
		return // the friend is gone again, or will ask again
	}
	again <- met{session: session} // whoever talks looks for it, or has left, and so has the process
}

// typed sends a line.
func (c *chatting) typed(ctx context.Context, line string) error {
	if utf8.RuneCountInString(line) >= longestLine {
		c.say("a typed line has at most %d characters; what was behind them is lost (a pipe takes any length)", longestLine)
	}
	err := c.send(ctx, line)
	if errors.Is(err, client.ErrReplaced) || errors.Is(err, client.ErrSessionLost) {
		c.say("not sent: there is no session with %s now, but soon again", c.peer.name)
		return nil
	}
	if err == nil && !c.conn.Connected() {
		c.say("there is no connection; what you say waits until it is back")
	}
	return err
}

// send sends a line.
func (c *chatting) send(ctx context.Context, line string) error {
	for text := []byte(line + "\n"); len(text) > 0; {
		piece := text[:min(len(text), client.MaxText)]
		if err := c.session.Send(ctx, piece); err != nil {
			return err
		}
		text = text[len(piece):]
	}
	return nil
}

// over is what there is to say when the session has ended.
func (c *chatting) over(err error) error {
	if _, ended := errors.AsType[*client.Ended](err); err == nil || ended {
		c.say("%s", ending(c.session, c.peer.name))
		return c.end("")
	}
	return unconfirmed(c.session, explain(err, c.peer.name))
}

// end says that this is all, and why, and gives the friend a while to confirm it.
func (c *chatting) end(reason string) error {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if c.session.End(ctx, reason) != nil {
		return unconfirmed(c.session, nil)
	}
	leave(c.session)
	return nil
}

// lines returns what is typed, until Ctrl-D, Ctrl-C, or the end of the terminal.
func (t *terminal) lines() <-chan string {
	lines := make(chan string)
	go func() { // ends with the input, or the process: a read cannot be interrupted
		defer close(lines)
		for {
			line, err := t.ReadLine()
			if err != nil && !errors.Is(err, term.ErrPasteIndicator) {
				return
			}
			lines <- line
		}
	}()
	return lines
}
