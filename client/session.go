package client

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// MaxText is the longest text of one message, in bytes.
const MaxText = e2e.MaxBody

// Session is an open session with a peer: whatever arrives in it comes from the holder of that key, in order, each message
// once. Its methods may be called from several goroutines.
type Session struct {
	client *Client
	peer   *peer
	talk   *conversation // guarded by the client's lock, like all below
	rang   bell
	err    error
	done   chan struct{}

	claimed bool          // by a call of AcceptSession
	lost    bool          // the relay has no such session, or was told so
	reading chan struct{} // holds one element while somebody reads
}

func newSession(c *Client, p *peer, keys *e2e.Keys, initiator bool) *Session {
	return &Session{
		client: c, peer: p, talk: newConversation(time.Now(), p.ends, keys, initiator),
		rang: newBell(), done: make(chan struct{}), reading: make(chan struct{}, 1),
	}
}

// Peer is the key of the other user.
func (s *Session) Peer() frames.Key { return s.peer.key }

// Send says a text of at most MaxText bytes. It returns as soon as the text is under way, and waits while as many as may
// be (32) are under way that the peer has not taken. A text that the relay refuses because the peer does not keep up
// (BUSY), is away (OFFLINE), or because of a mishap (INTERNAL), is sent again, after a pause and in order, for as
// long as the session lives; any other refusal ends the session. [Session.Flush] waits until the peer has everything.
func (s *Session) Send(ctx context.Context, text []byte) error {
	if len(text) > MaxText {
		return ErrTooLong
	}
	body := append([]byte(nil), text...)
	return s.await(ctx, func() (bool, error) {
		if s.talk.ending {
			return false, s.talk.how
		}
		if s.talk.out.full() {
			return false, nil
		}
		s.talk.out.say(e2e.Text, body)
		s.client.poke()
		return true, nil
	})
}

// Flush waits until the peer's application has taken everything that was sent.
func (s *Session) Flush(ctx context.Context) error {
	return s.well(s.await(ctx, func() (bool, error) { return len(s.talk.out.messages) == 0, nil }))
}

// End says that this is all from this side, with a reason for people of at most 256 bytes, and waits until the peer's
// application has taken everything. The peer may go on, and Messages returns what it says. The session is over (Done) when
// both have said End and each knows that the other has taken everything; a program that has had enough may leave before.
// The error is *[Ended] if the peer has left without having taken everything.
func (s *Session) End(ctx context.Context, reason string) error {
	if len(reason) > frames.MaxReason {
		return ErrTooLong
	}
	return s.well(s.await(ctx, func() (bool, error) {
		if !s.talk.ending {
			s.talk.end(reason)
			s.client.poke()
		}
		return s.talk.allTaken(), nil
	}))
}

// well is err, or nil if the session has ended and the peer had taken everything.
func (s *Session) well(err error) error {
	if _, ended := errors.AsType[*Ended](err); ended && s.Unconfirmed() == 0 {
		return nil
	}
	return err
}

// GiveUp ends the session at once, and tells the peer so. What the peer has not learnt to be taken will not be: a program
// that cannot do what it should with a text calls it from the loop's body.
func (s *Session) GiveUp() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.fail(ErrGivenUp)
}

// Messages returns the texts that the peer sends, in order. The peer learns that a text was taken when the loop's body is
// done with it, or leaves the loop. One loop runs at a time; another waits for it. The loop ends when the peer has said End:
// then one may still Send, and should End in turn. If the session ends otherwise the last error says how; if ctx ends, it is
// that of ctx.
func (s *Session) Messages(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		select {
		case s.reading <- struct{}{}:
			defer func() { <-s.reading }()
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
		for s.next(ctx, yield) {
		}
	}
}

// next waits for the next text, has it done with, and reports whether there may be more.
func (s *Session) next(ctx context.Context, yield func([]byte, error) bool) bool {
	text, err := s.receive(ctx)
	if _, ended := errors.AsType[*Ended](err); ended {
		return false
	}
	more := yield(text, err)
	if err == nil {
		s.taken()
	}
	return more && err == nil
}

// hear takes a record. opened reports whether it is one of this session; else the error says what is wrong with it. A session
// that has ended well still answers: the peer may want to know that we have had its last. One that has not hears nothing.
func (s *Session) hear(now time.Time, record []byte) (opened bool, err error) {
	if s.talk.mute {
		_, err = s.talk.opener.Open(record)
		return err == nil, err
	}
	before := s.talk.opener.Next()
	err = s.talk.hear(now, record)
	if s.talk.opener.Next() == before {
		return false, err
	}
	if err != nil {
		s.fail(err)
	}
	s.rang.ring()
	s.client.poke()
	return true, nil
}

// receive waits for the next text. It still stands first until taken is called. What has arrived is handed out even when
// the session is over.
func (s *Session) receive(ctx context.Context) (text []byte, err error) {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	for {
		m, ok := s.talk.first()
		switch {
		case ok && m.Kind == e2e.Text:
			return m.Body, nil
		case ok: // the peer's last
			s.talk.takeEnd()
			s.client.poke()
		}
		switch {
		case s.talk.endTaken:
			return nil, s.talk.ended
		case s.err != nil:
			return nil, s.err
		}
		if err := s.rang.wait(ctx, &s.client.mu); err != nil {
			return nil, err
		}
	}
}

func (s *Session) taken() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	s.talk.take()
	s.client.poke()
}

// Unconfirmed is how many texts the peer's application has not taken, as far as is known.
func (s *Session) Unconfirmed() int {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.talk.out.texts()
}

// part ends the session when both sides know that it has come to its end.
func (s *Session) part() {
	if s.talk.parted() {
		s.finish(s.talk.how)
	}
}

// Farewell is the peer's End, with its reason, once Messages has come to it; nil before.
func (s *Session) Farewell() *Ended {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	if !s.talk.endTaken {
		return nil
	}
	return s.talk.ended
}

// Done is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says how the session ended: *[Ended] with who said End first, if it has come to its end; nil while it lives.
func (s *Session) Err() error {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.err
}

// await waits until ready says so, or fails, which is asked under the lock whenever something has changed.
func (s *Session) await(ctx context.Context, ready func() (bool, error)) error {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	for {
		switch {
		case s.err != nil:
			return s.err
		case s.client.closing:
			return ErrClosed
		}
		if done, err := ready(); done || err != nil {
			return err
		}
		if err := s.rang.wait(ctx, &s.client.mu); err != nil {
			return err
		}
	}
}

// finish ends the session. Like fail, it wants the client's lock held.
func (s *Session) finish(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	_, well := err.(*Ended) //nolint:errorlint // it is never wrapped
	s.talk.stop(well)
	close(s.done)
	s.rang.ring()
}

// lose ends the session because the peer, or the relay, is gone. A peer that had said its last may be.
func (s *Session) lose(err error) {
	s.lost = true
	if s.talk.ended != nil {
		err = s.talk.how
	}
	s.finish(err)
	s.talk.stop(false)
}

// fail ends the session because of err, and tells the peer why, if it was not the peer that told us.
func (s *Session) fail(err error) {
	if s.err != nil {
		return
	}
	if _, told := errors.AsType[*Noticed](err); told {
		s.lost = true // the peer tells the relay, too
	} else {
		s.talk.abort(err)
	}
	s.finish(err)
	s.client.poke()
}

// refused takes the relay's refusal of a record.
func (s *Session) refused(now time.Time, frame uint64, r *Refused) {
	switch r.Code { //nolint:exhaustive // these pass, all others do not
	case frames.Busy, frames.Offline, frames.Internal:
		if r.Code == frames.Offline && s.hasLeft(now) {
			s.lose(r)
			return
		}
		if r.Code == frames.Offline {
			s.talk.excuse(s.talk.out.counterOf(frame))
		}
		if err := s.talk.refused(now, frame); err != nil {
			s.fail(err)
		}
		s.client.poke()
	case frames.NoSession:
		if s.talk.unsure {
			s.lose(ErrSessionLost)
		}
		s.lose(r)
	default:
		s.lose(r)
	}
}

// hasLeft reports whether a peer that is not connected will not come back: it has said its last, and no relay that keeps
// sessions has kept it for long.
func (s *Session) hasLeft(now time.Time) bool {
	return s.talk.endTaken && (!s.client.link.greeted || !now.Before(s.talk.heardAt.Add(silence)))
}
