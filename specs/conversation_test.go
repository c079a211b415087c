package specs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

// conversation is two users who come, meet, exchange a message each, and leave, with whatever answers there are.
type conversation struct {
	relay  *relay
	keys   []frames.Key
	nobody bool // Alice asks somebody who does not exist
	alone  bool // Alice is, and is cut off when she has said something
	pipes  bool // whose end comes half a second late: it is not waited for
}

// errCost is what a crash may cost: a frame refused, or a connection closed.
var errCost = errors.New("not everything went well")

// step is what somebody says, and what is heard then, by each in that order; nil is the end of the stream.
type step struct {
	from *client
	says []frames.Frame
	hear map[*client][]any
}

// happens says what went wrong. Every step has its outcome, or there is another error than errCost. Nothing is left behind.
func (v conversation) happens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience/2)
	defer cancel()
	heard := make(chan heard)
	var pair []*client
	for _, key := range v.keys {
		conn, err := v.relay.dial()
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		c := &client{conn: conn, key: key, in: bufio.NewReader(conn)}
		go c.tells(ctx, heard) // ends with the conversation
		pair = append(pair, c)
	}
	for i, s := range v.steps(pair[0], pair[1]) {
		if err := s.happens(ctx, heard); err != nil {
			return fmt.Errorf("in step %d: %w", i+1, err)
		}
	}
	return nil
}

func (v conversation) steps(alice, bob *client) (all []step) {
	add := func(from *client, say frames.Frame, to *client, hear any) {
		from.said++
		all = append(all, step{from, []frames.Frame{say}, map[*client][]any{to: {hear}}})
	}
	refused := func(t frames.Type, code frames.Code) any { return beError(t, alice.said+1, code) }
	add(alice, frames.Login{Key: alice.key}, alice, frames.LoginAccepted{})
	if v.alone {
		return append(all, step{alice, []frames.Frame{rawType(0x7f)}, map[*client][]any{alice: {refused(0x7f, frames.Unsupported), nil}}})
	}
	add(bob, frames.Login{Key: alice.key}, bob, beError(frames.TypeLogin, 1, frames.KeyInUse))
	add(bob, frames.Login{Key: bob.key}, bob, frames.LoginAccepted{})
	add(alice, rawType(0x7f), alice, refused(0x7f, frames.Unsupported))
	if v.nobody {
		add(alice, frames.StartSession{Peer: frames.Key{0x30, 0}, Sealed: mark}, alice, refused(frames.TypeStart, frames.Unavailable))
	}
	add(alice, frames.StartSession{Peer: bob.key, Sealed: mark}, bob, frames.StartSession{Peer: alice.key, Sealed: mark})
	add(bob, frames.AcceptSession{Peer: alice.key, Sealed: mark}, alice, frames.AcceptSession{Peer: bob.key, Sealed: mark})
	add(bob, message(alice, "2"), alice, message(bob, "2"))
	all = append(all, step{alice, []frames.Frame{message(bob, "1"), rawType(0x7f)}, map[*client][]any{ // which flush comes for
		bob: {message(alice, "1")}, alice: {beError(0x7f, alice.said+2, frames.Unsupported)},
	}})
	alice.said += 2
	if v.pipes {
		return all
	}
	return append(all, step{alice, []frames.Frame{endless{}}, map[*client][]any{alice: {refused(frames.TypeMessage, frames.TooLarge), nil}}})
}

// endless is the header of a frame that is too large.
type endless struct{}

func (endless) Append(b []byte) []byte {
	return frames.AppendHeader(b, frames.TypeMessage, frames.MaxPayload+1)
}
func (endless) Type() frames.Type { return frames.TypeMessage }

func (s step) happens(ctx context.Context, all <-chan heard) error {
	var b []byte
	for _, f := range s.says {
		b = f.Append(b)
	}
	if _, err := s.from.conn.Write(b); err != nil {
		return cost(err)
	}
	for len(s.hear) > 0 {
		var h heard
		select {
		case h = <-all:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := h.matches(s.hear[h.by]); err != nil {
			return err
		}
		if s.hear[h.by] = s.hear[h.by][1:]; len(s.hear[h.by]) == 0 {
			delete(s.hear, h.by)
		}
	}
	return nil
}

func cost(err error) error {
	if closedByPeer(err) {
		return fmt.Errorf("%w: %w", errCost, err)
	}
	return err
}

// heard is what somebody hears, or why they do not.
type heard struct {
	by    *client
	frame frames.Frame
	err   error
}

// tells sends what c hears, until the context ends.
func (c *client) tells(ctx context.Context, all chan<- heard) {
	for {
		h := heard{by: c}
		h.frame, h.err = c.frame(ctx)
		select {
		case all <- h:
		case <-ctx.Done():
		}
		if h.err != nil {
			return
		}
	}
}

// matches says what is wrong, if this is not what comes next.
func (h heard) matches(next []any) error {
	if len(next) > 0 && next[0] == nil && closedByPeer(h.err) {
		return nil
	}
	if h.err != nil {
		return cost(h.err)
	}
	if len(next) > 0 {
		matcher, ok := next[0].(OmegaMatcher)
		if !ok {
			matcher = Equal(next[0])
		}
		if same, err := matcher.Match(h.frame); same && err == nil {
			return nil
		}
	}
	switch h.frame.(type) {
	case frames.Error, frames.LoginAccepted:
		return fmt.Errorf("%w: heard %v", errCost, h.frame)
	}
	return fmt.Errorf("heard %v", h.frame)
}
