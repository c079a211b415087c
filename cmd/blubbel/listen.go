package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// confirming is how long a friend whom we accepted may take to be there.
const confirming = 30 * time.Second

// listen waits for friends.
type listen struct {
	relayFlags
	Peer []string `help:"File with the public key of a friend to accept; may be given more than once." placeholder:"FILE" type:"path"`
	Once bool     `help:"End when the first session does."`
}

// Run implements the command.
func (l listen) Run(ctx context.Context, s streams) error {
	self, err := l.read()
	if err != nil {
		return err
	}
	friends := make(map[string]friend)
	for _, file := range l.Peer {
		f, err := readFriend(file, self)
		if err != nil {
			return err
		}
		friends[string(f.key)] = f
	}
	conn, err := l.connect(ctx, self)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	s.say("listening at %s as %s", l.Relay, self.Key().Hex())
	return l.serve(ctx, conn, s, friends)
}

// serve accepts friends until ctx ends, or the connection; with Once, until the first session is over.
func (l listen) serve(ctx context.Context, conn *client.Client, s streams, friends map[string]friend) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for event, err := range conn.Events(ctx) {
		if over, ok := errors.AsType[sessionOver](context.Cause(ctx)); ok {
			return over.how
		}
		if err != nil {
			return explain(err, "")
		}
		switch e := event.(type) {
		case client.Requested:
			f, known := friends[string(e.Peer)]
			if !known {
				s.say("somebody asks for a session, and is not among those named with --peer: %s", e.Peer.Hex())
				continue
			}
			go func() { // ends with the session, or ctx
				if over, err := host(ctx, conn, s, f); over && l.Once {
					cancel(sessionOver{err})
				}
			}()
		case client.Trouble:
			s.say("%s", trouble(e))
		}
	}
	return nil
}

// sessionOver is why to listen no longer, and how the one session ended.
type sessionOver struct{ how error }

func (sessionOver) Error() string { return "the session is over" }

// host accepts a friend and prints what they say. over says whether there was a session, and no newer one took its place.
func host(ctx context.Context, conn *client.Client, s streams, f friend) (over bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, confirming)
	defer cancel()
	session, err := conn.AcceptSession(waiting, f.key)
	switch {
	case errors.Is(err, client.ErrNoRequest), client.IsRefused(err, frames.NoRequest):
		s.say("%s has asked and is gone again", f.name)
		return false, nil
	case err != nil:
		s.say("no session with %s: %v", f.name, explain(err, f.name))
		return false, nil
	}
	s.say("%s is here", f.name)
	switch err := show(ctx, session, screen(s.out, f.name)); {
	case err == nil:
		s.say("%s has ended the session", f.name)
		return true, nil
	case errors.Is(err, client.ErrReplaced):
		return false, nil
	default:
		err = explain(err, f.name)
		if !errors.Is(err, context.Canceled) {
			s.say("the session with %s is over: %v", f.name, err)
		}
		return true, fmt.Errorf("%s: %w", f.name, err)
	}
}
