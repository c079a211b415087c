package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

const (
	// askEvery is how often a friend is asked again.
	askEvery = 10 * time.Second
	// farewell is how long the friend may take to confirm that we leave.
	farewell = 5 * time.Second
)

// chat talks with a friend.
type chat struct {
	relayFlags
	Peer string         `help:"File with your friend's public key (what blubbel id prints)." required:"" placeholder:"FILE"`
	Wait *time.Duration `help:"How long to wait for a friend who is away, such as 5m; 0 ends at once. Without it: until interrupted." placeholder:"TIME"`
}

// Run implements the command.
func (c chat) Run(ctx context.Context, s streams) error {
	if c.Wait != nil && *c.Wait < 0 {
		return withCode(exitUsage, errors.New("--wait: give a time such as 5m, or 0"))
	}
	self, peer, err := c.users()
	if err != nil {
		return err
	}
	conn, err := c.connect(ctx, self, persistence(s))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	asked := make(chan struct{}, 1)
	wait := &absence{}
	go watch(ctx, conn, s, peer, asked, wait) // ends with ctx, or the connection
	session, err := c.meet(ctx, conn, s, peer, asked)
	if err != nil {
		return explain(err, peer.name)
	}
	if t := openTerminal(s); t != nil {
		defer t.close()
		if isTerminal(s.err.to()) {
			defer s.err.redirect(t)()
		}
		again := func(ctx context.Context) (*client.Session, error) { return c.meet(ctx, conn, s, peer, asked) }
		return t.talk(ctx, &chatting{terminal: t, streams: s, conn: conn, self: self, peer: peer, session: session, meet: again}, asked)
	}
	s.say("%s is here", peer.name)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go giveWay(ctx, conn, peer, asked) // ends with ctx
	wait.begin(func() { stop(withCode(exitUnconfirmed, fmt.Errorf("%s has been away for %v", peer.name, piping))) })
	return pipe(ctx, session, s, peer)
}

// giveWay accepts a friend who begins anew, as after a crash, in place of a pipe's session, which ends so: what of it has
// arrived, nobody knows any more.
func giveWay(ctx context.Context, conn *client.Client, peer friend, asked <-chan struct{}) {
	for {
		select {
		case <-asked:
			limited, cancel := context.WithTimeout(ctx, patience)
			_, _ = conn.AcceptSession(limited, peer.key) // if it fails, the friend is gone again, or was accepted before
			cancel()
		case <-ctx.Done():
			return
		}
	}
}

// users are the two who talk.
func (c chat) users() (self *client.Identity, peer friend, err error) {
	if self, err = c.read(); err == nil {
		peer, err = readFriend(c.Peer, self)
	}
	return self, peer, err
}

// persistence is for how long to try to connect again: where somebody sits, until they have enough.
func persistence(s streams) time.Duration {
	if isTerminal(s.in) && isTerminal(s.out) {
		return client.Forever
	}
	return piping
}

// meet starts a session with a friend, or accepts theirs, and asks again while they are away.
func (c chat) meet(ctx context.Context, conn *client.Client, s streams, peer friend, asked <-chan struct{}) (*client.Session, error) {
	every := askEvery
	if c.Wait != nil {
		limit := *c.Wait
		if limit == 0 {
			limit = askEvery // for one answer
		}
		every = min(askEvery, max(limit/4, time.Second))
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		ctx = limited
	}
	waiting := time.AfterFunc(time.Second, func() { s.say("asked %s; waiting", peer.name) })
	defer waiting.Stop()
	told := ""
	tell := func(news string) {
		waiting.Stop()
		if news != told {
			s.say("%s", news)
			told = news
		}
	}
	for {
		again := time.After(every)
		session, err := ask(ctx, conn, peer, every)
		news := standing(err, peer.name, every)
		if news == "" || ctx.Err() != nil || conn.Err() != nil || c.Wait != nil && *c.Wait == 0 {
			return session, err
		}
		tell(news)
		select {
		case <-again:
		case <-asked: // the friend has come, and was faster
		case <-conn.Done():
			return nil, conn.Err()
		case <-ctx.Done():
			return nil, cmp.Or(interrupted(ctx), err)
		}
	}
}

// interrupted is the error if ctx has ended by a signal, and not by its time.
func interrupted(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return errInterrupted
	}
	return nil
}

// ask asks once.
func ask(ctx context.Context, conn *client.Client, peer friend, patience time.Duration) (*client.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return conn.StartSession(ctx, peer.key)
}

// standing says what there is to wait for, after an asking that ended so; nothing if it is of no use to ask again.
func standing(err error, name string, every time.Duration) string {
	switch {
	case client.IsRefused(err, frames.RateLimited):
		return fmt.Sprintf("%s was asked for too often, says the relay; asking again every %v (Ctrl-C ends)", name, every)
	case errors.Is(err, client.ErrDisconnected), client.IsRefused(err, frames.ShuttingDown):
		return fmt.Sprintf("%s will be asked again when the relay is back (Ctrl-C ends)", name)
	case client.IsRefused(err, frames.Unavailable), client.IsRefused(err, frames.Offline), hasLeft(err):
		return fmt.Sprintf("%s is away; asking again every %v (Ctrl-C ends)", name, every)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s was asked and has not accepted yet; asking again every %v (Ctrl-C ends)", name, every)
	}
	return ""
}

// hasLeft reports whether the relay says that a friend has left, or did not want to.
func hasLeft(err error) bool {
	_, left := errors.AsType[*client.Left](err)
	return left
}

// watch tells what happens besides, and when the friend asks.
func watch(ctx context.Context, conn *client.Client, s streams, peer friend, asked chan<- struct{}, wait *absence) {
	n := newNews(s)
	known := func(key frames.Key) (string, bool) { return peer.name, string(key) == string(peer.key) }
	for event, err := range conn.Events(ctx) {
		if err != nil {
			return // whoever talks hears of it
		}
		request, requested := event.(client.Requested)
		switch {
		case !requested:
			n.tell(event, known)
			if p, is := event.(client.Presence); is && string(p.Peer) == string(peer.key) {
				wait.present(p.Online)
			}
		case string(request.Peer) != string(peer.key):
			s.say("somebody else asks for a session, and is ignored: %s", request.Peer.Hex())
			_ = conn.Decline(request.Peer, "") // it may have been taken back
		default:
			select {
			case asked <- struct{}{}:
			default: // it will be seen
			}
		}
	}
}
