package main

import (
	"context"
	"errors"
	"time"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// confirming is how long a friend whom we accepted may take to be there.
const confirming = 30 * time.Second

// listen waits for friends.
type listen struct {
	relayFlags
	Peer []string `help:"File with the public key of a friend to accept; may be given more than once. Nobody else is accepted." placeholder:"FILE"`
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
	conn, err := l.connect(ctx, self, client.Forever)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	s.say("listening at %s as %s", l.Relay, self.Key().Hex())
	return l.serve(ctx, conn, s, friends)
}

// serve lets friends in until ctx ends, or the connection; with Once, until the first session is over.
func (l listen) serve(ctx context.Context, conn *client.Client, s streams, friends map[string]friend) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d := door{conn: conn, streams: s, news: newNews(s), friends: friends, over: func(error) {}}
	if l.Once {
		d.over = func(how error) { cancel(sessionOver{how}) }
	}
	for event, err := range conn.Events(ctx) {
		if over, ok := errors.AsType[sessionOver](context.Cause(ctx)); ok {
			return over.how
		}
		if err != nil {
			return explain(err, "")
		}
		d.see(ctx, event)
	}
	return nil
}

// door is where friends come in.
type door struct {
	streams
	news    *news
	conn    *client.Client
	friends map[string]friend // by key
	over    func(how error)   // called when a session is over
}

// see looks who is there.
func (d door) see(ctx context.Context, event client.Event) {
	request, requested := event.(client.Requested)
	if !requested {
		d.news.tell(event, func(key frames.Key) (string, bool) { f, known := d.friends[string(key)]; return f.name, known })
		return
	}
	if f, known := d.friends[string(request.Peer)]; known {
		go d.host(ctx, f) // ends with the session, or ctx
		return
	}
	d.say("somebody asks for a session, and is not among those named with --peer: %s", request.Peer.Hex())
	_ = d.conn.Decline(request.Peer, "") // it may have been taken back
}

// sessionOver is why to listen no longer, and how the one session ended.
type sessionOver struct{ how error }

func (sessionOver) Error() string { return "the session is over" }

// host accepts a friend and prints what they say.
func (d door) host(ctx context.Context, f friend) {
	waiting, cancel := context.WithTimeout(ctx, confirming)
	defer cancel()
	session, err := d.conn.AcceptSession(waiting, f.key)
	switch {
	case errors.Is(err, client.ErrNoRequest), client.IsRefused(err, frames.NoRequest):
		d.say("%s has asked and is gone again", f.name)
		return
	case ctx.Err() != nil, errors.Is(err, client.ErrReplaced):
		return
	case err != nil:
		d.say("no session with %s: %v", f.name, explain(err, f.name))
		return
	}
	d.say("%s is here", f.name)
	err = show(ctx, session, screen(d.out, f.name))
	switch {
	case errors.Is(err, client.ErrReplaced), ctx.Err() != nil:
		return // there is a newer one, or nobody who would want to know
	case err == nil:
		if err := session.End(ctx, ""); err == nil { // there is nothing to answer
			leave(session)
		}
		d.say("%s", ending(session, f.name))
	default:
		err = explain(err, f.name)
		d.say("the session with %s is over: %v", f.name, err)
	}
	d.over(err)
}
