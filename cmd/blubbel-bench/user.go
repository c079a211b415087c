package main

import (
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// answerTime is how long the relay may take to answer while a load is being set up.
const answerTime = 10 * time.Second

// user is a key and the connection it is logged in on.
type user struct {
	inbox
	key    frames.Key
	number uint64  // how many frames it has sent; the relay counts them too
	sender *sender // what sends its Messages, if anything does

	begin  func()                          // called once its reader runs
	asked  func(frames.StartSession) error // takes requests of strangers, if there may be any
	mayEnd bool                            // the relay may close the connection, and the load goes on
	ended  atomic.Bool                     // the connection has ended

	// These are its reader's.

	cut      bool    // the connection has ended, and it was not us who ended it
	reason   error   // why
	lastWord string  // the code of an Error that answers no frame
	got      uint64  // Messages of one sender that are not credited to it yet
	from     *sender // that sender
}

// say sends a frame while the load is set up.
func (u *user) say(f frames.Frame) error {
	u.number++
	if err := u.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	_, err := u.conn.Write(f.Append(nil))
	return err
}

// await waits for a frame of this type. An Error that comes first is returned as a *refusal.
func (u *user) await(t frames.Type) (frames.Frame, error) {
	for {
		raw, ok, err := u.next()
		if err == nil && !ok {
			err = u.fill()
		}
		if err != nil {
			return nil, err
		}
		if !ok || raw.Type != t && raw.Type != frames.TypeError {
			continue
		}
		f, err := frames.DefaultKeys().Decode(frames.FromRelay, raw)
		if e, refused := f.(frames.Error); refused {
			return nil, &refusal{Code: e.Code, Text: e.Text}
		}
		return f, err
	}
}

// login logs in.
func (u *user) login() error {
	if err := u.say(frames.Login{Key: u.key}); err != nil {
		return err
	}
	if _, err := u.await(frames.TypeLogin); err != nil {
		return err
	}
	return u.conn.SetDeadline(time.Time{})
}

// askings is how often a session is asked for. Both users are logged in, but an answer of UNAVAILABLE may be about room,
// which others take for a moment. It takes the relay 20 ms to say so; there is no need to wait any longer.
const askings = 5

// meet opens a session between two users.
func (u *user) meet(peer *user) error {
	for n := 1; ; n++ {
		err := u.meetOnce(peer)
		if r, refused := errors.AsType[*refusal](err); refused && r.Code == frames.Unavailable && n < askings {
			continue
		}
		return err
	}
}

// longAgo is a deadline for reads that are to end now.
var longAgo = time.Unix(1, 0)

func (u *user) meetOnce(peer *user) error {
	answered := make(chan error, 1)
	go func() { // ends with its answer, or with the peer's read deadline
		err := peer.answer(u)
		if err != nil {
			_ = u.conn.SetReadDeadline(longAgo) // there will be no acceptance to wait for
		}
		answered <- err
	}()
	err := u.say(frames.StartSession{Peer: peer.key})
	if err == nil {
		err = u.hear(peer, frames.TypeAccept)
	}
	if err != nil {
		_ = peer.conn.SetReadDeadline(longAgo) // there may be no request to wait for
	}
	if other := <-answered; err == nil || errors.Is(err, os.ErrDeadlineExceeded) && other != nil {
		err = other
	}
	return errors.Join(err, u.conn.SetDeadline(time.Time{}), peer.conn.SetDeadline(time.Time{}))
}

// answer waits for a request of the peer and accepts it.
func (u *user) answer(peer *user) error {
	if err := u.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if err := u.hear(peer, frames.TypeStart); err != nil {
		return err
	}
	return u.say(frames.AcceptSession{Peer: peer.key})
}

// errStranger says that a frame came from somebody else than it should.
var errStranger = errors.New("the relay passed on a frame of another user than the one who was to send it")

// hear waits for a frame of this type, which must be the peer's.
func (u *user) hear(peer *user, t frames.Type) error {
	f, err := u.await(t)
	if err != nil {
		return err
	}
	var from frames.Key
	switch f := f.(type) {
	case frames.StartSession:
		from = f.Peer
	case frames.AcceptSession:
		from = f.Peer
	}
	if !slices.Equal(from, peer.key) {
		return errStranger
	}
	return nil
}
