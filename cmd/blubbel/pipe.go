package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/mdeiml/blubbel-server/client"
)

// pipe sends what it reads, and writes what comes, until the input ends and everything is confirmed.
func pipe(ctx context.Context, session *client.Session, s streams, peer friend) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := &counting{Writer: screen(s.out, peer.name)}
	shown := make(chan struct{})
	go func() { // ends with the session, or ctx
		defer close(shown)
		if err := show(ctx, session, out); err != nil {
			cancel(err)
		}
	}()
	err := send(ctx, session, s.in)
	if err == nil {
		part(session, out, shown)
	}
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	return unconfirmed(session, explain(err, peer.name))
}

// send sends all of a reader and waits until it is confirmed.
func send(ctx context.Context, session *client.Session, in io.Reader) error {
	pieces := readPieces(in)
	for {
		select {
		case p := <-pieces:
			if last, err := p.send(ctx, session); last || err != nil {
				return err
			}
		case <-session.Done():
			return session.Err() // before we have come to our own end
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// piece is what one read returned.
type piece struct {
	text []byte
	err  error
}

// send sends it, and the end of the session behind the last. An empty one is no message.
func (p piece) send(ctx context.Context, session *client.Session) (last bool, err error) {
	if len(p.text) > 0 {
		if err := session.Send(ctx, p.text); err != nil {
			return false, err
		}
	}
	switch {
	case errors.Is(p.err, io.EOF):
		return true, session.End(ctx, "")
	case p.err != nil:
		return false, fmt.Errorf("cannot read what to send: %w", p.err)
	}
	return false, nil
}

// readPieces reads in the background, for a read cannot be interrupted.
func readPieces(in io.Reader) <-chan piece {
	pieces := make(chan piece)
	go func() { // ends with the input, or the process
		for {
			buffer := make([]byte, client.MaxText)
			n, err := in.Read(buffer)
			pieces <- piece{text: buffer[:n], err: err}
			if err != nil {
				return
			}
		}
	}()
	return pieces
}

// show writes what comes.
func show(ctx context.Context, session *client.Session, out io.Writer) error {
	for text, err := range session.Messages(ctx) {
		if err != nil {
			return err
		}
		if _, err := out.Write(text); err != nil {
			session.GiveUp() // what is not written is not confirmed
			return fmt.Errorf("cannot write what was received: %w", err)
		}
	}
	return nil
}

// staying is how long we stay, when all that we had to say is confirmed, for a friend who says nothing more.
const staying = 2 * time.Second

// part waits until the friend has come to an end, too, or has nothing more to say.
func part(session *client.Session, out *counting, shown <-chan struct{}) {
	for before := int64(-1); out.n.Load() != before; {
		before = out.n.Load()
		select {
		case <-shown:
			leave(session)
			return
		case <-time.After(staying):
		}
	}
}

// leave waits, not for long, until the friend knows that we have had everything.
func leave(session *client.Session) {
	select {
	case <-session.Done():
	case <-time.After(staying):
	}
}

// counting counts what is written.
type counting struct {
	io.Writer
	n atomic.Int64
}

// Write writes.
func (c *counting) Write(b []byte) (int, error) {
	c.n.Add(1)
	return c.Writer.Write(b)
}
