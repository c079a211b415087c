package main

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/mdeiml/blubbel-server/client"
)

// terminal is a screen on which one types a line while others appear.
type terminal struct {
	*term.Terminal
	in, out *os.File
	before  *term.State
	status  io.Writer // what is not a message
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
	if t.status = s.err; isTerminal(s.err) {
		t.status = t.Terminal
	}
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
	_, _ = io.WriteString(t.out, "\r\x1b[K") // no prompt stays behind
	_ = term.Restore(int(t.in.Fd()), t.before)
}

// talk lets the user talk until one of the two has enough.
func (t *terminal) talk(ctx context.Context, session *client.Session, peer friend) error {
	err := t.converse(ctx, session, peer)
	t.close()
	return err
}

func (t *terminal) converse(ctx context.Context, session *client.Session, peer friend) error {
	s := streams{out: t, err: t.status}
	s.say("%s is here; Ctrl-D ends", peer.name)
	defer watchSize(t.resize)()
	heard := make(chan error, 1)
	go func() { heard <- show(ctx, session, &named{out: t, name: peer.name}) }() // ends with the session, or ctx
	typed := make(chan error, 1)
	go func() { typed <- t.send(ctx, session) }() // ends with the input, the session, or the process
	select {
	case err := <-heard:
		if err == nil {
			s.say("%s", ending(session, peer.name))
			return unconfirmed(session, nil)
		}
		return unconfirmed(session, explain(err, peer.name))
	case err := <-typed:
		if err != nil {
			return unconfirmed(session, explain(err, peer.name))
		}
	case <-ctx.Done(): // as if one had typed Ctrl-D
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if session.End(leaving, "") != nil {
		return unconfirmed(session, nil)
	}
	select {
	case err := <-heard: // what the friend said meanwhile
		return unconfirmed(session, explain(err, peer.name))
	case <-leaving.Done():
		return nil
	}
}

// send sends lines until the input ends.
func (t *terminal) send(ctx context.Context, session *client.Session) error {
	for {
		line, err := t.ReadLine()
		if err != nil && !errors.Is(err, term.ErrPasteIndicator) {
			return nil // Ctrl-D, Ctrl-C, or a terminal that is gone
		}
		for text := []byte(line + "\n"); len(text) > 0; {
			piece := text[:min(len(text), client.MaxText)]
			if err := session.Send(ctx, piece); err != nil {
				return err
			}
			text = text[len(piece):]
		}
	}
}
