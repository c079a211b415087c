package specs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// conversing is every message of a conversation at every actor, and what it takes that it comes.
var conversing = []struct {
	kind     supervisor.Kind
	messages []string
	with     func(times int32) charge // brings the message about, if a conversation alone does not
	nobody   bool                     // somebody is asked who does not exist, which takes 20 ms
	pipes    bool                     // whatever is written waits for a reader
	change   func(*supervisor.Config)
}{
	{kind: supervisor.KindUser, messages: []string{"Join", "Leave", "Take", "Hear", "Answered", "Ended", "LetGo", "Vacated"}},
	{kind: supervisor.KindUser, messages: []string{"unavailable"}, nobody: true},
	{kind: supervisor.KindUser, messages: []string{"walk"}, with: crashingTwice},
	{kind: supervisor.KindUser, messages: []string{"GiveUp"}, with: crashingTwice, change: impatient},
	{kind: supervisor.KindRegistry, messages: []string{"Join", "Leave", "Introduce", "Vacate", "Terminated"}},
	{kind: supervisor.KindConnections, messages: []string{"Welcome", "Terminated"}},
	{
		kind:     supervisor.KindConnection,
		messages: []string{"received", "Joined", "Rejected", "Deliver", "Refuse", "flush", "ended", "parted"},
	},
	{kind: supervisor.KindConnection, messages: []string{"Close"}, with: crashingTwice, change: impatient},
	{kind: supervisor.KindConnection, messages: []string{"Orphaned"}, with: stopping},
	{kind: supervisor.KindConnection, messages: []string{"ready"}, pipes: true},
	{kind: supervisor.KindConnection, messages: []string{"tick"}, pipes: true, nobody: true, change: impatient},
}

// crashingTwice has an actor crash twice on what its user says, so that it is put aside.
func crashingTwice(times int32) charge {
	b := &bomb{spot: spot{kind: supervisor.KindUser, message: "Take"}}
	b.arm(2 * times)
	return b
}

// stopping has the host stop a user's actor.
func stopping(times int32) charge {
	s := &stopper{spot: spot{kind: supervisor.KindUser, message: "Take"}}
	s.left.Store(times)
	return s
}

// impatient has a user that crashes twice close its connection, and looks soon after a client that may not keep up.
func impatient(c *supervisor.Config) { c.Crashes, c.Stall = 1, 10*time.Millisecond }

// Every message that every actor understands, crashing it once, twice and three times, before and after it is handled:
// every frame has its outcome even so, and nothing is stuck afterwards. That every frame is settled then, that nothing
// leaked, and that each crash was told of once, is checked at each spec's end. The messages of a relay that stops are in the
// table of "Crashing while the relay stops".
var _ = Describe("Crashing on any message", func() {
	for _, c := range conversing {
		for _, message := range c.messages {
			for _, after := range []bool{false, true} {
				for times := int32(1); times <= 3; times++ {
					It("is got over: "+caseName(c.kind, message, after, times), func(ctx SpecContext) {
						b := &bomb{spot: spot{kind: c.kind, message: message}, after: after}
						if c.with != nil {
							b.with = []charge{c.with(times)}
						}
						r := startRelayWith(b, func(config *supervisor.Config) {
							if c.change != nil {
								c.change(config)
							}
						})
						if c.pipes {
							r.servePipes()
						}
						talk := conversation{relay: r, keys: []frames.Key{freshKey(2048), freshKey(2048)}, nobody: c.nobody, pipes: c.pipes}
						b.arm(times)
						for b.left.Load() > 0 && ctx.Err() == nil {
							Expect(talk.happens(ctx)).To(Or(Succeed(), MatchError(errCost)))
						}
						Expect(b.left.Load()).To(BeNumerically("<=", 0), "how often the message is still to come")
						Eventually(ctx, func() error { return talk.happens(ctx) }).WithPolling(soon).Should(Succeed())
					}, SpecTimeout(patience))
				}
			}
		}
	}

	It("is tried with every message that comes, in a conversation and while the relay stops", func(ctx SpecContext) {
		b := &bomb{with: []charge{crashingTwice(1), stopping(1)}}
		r := startRelayWith(b, impatient)
		talk := conversation{relay: r, keys: []frames.Key{freshKey(2048), freshKey(2048)}, nobody: true}
		Eventually(ctx, func() error { return talk.happens(ctx) }).Should(Succeed())
		r.servePipes()
		talk.pipes = true
		Eventually(ctx, func() error { return talk.happens(ctx) }).Should(Succeed())
		Expect(r.inside.Stop(hasty{ctx})).To(Succeed())
		for at := range b.told.saw {
			Expect(at).To(Satisfy(isTried))
		}
	}, SpecTimeout(patience))
})

// isTried reports whether a message is in a table, or one of those that begin and end an actor: a crash on them is beyond mending.
func isTried(at spot) bool {
	switch at.message {
	case "Started", "Stopping", "Stopped", "Restarting":
		return true
	}
	for _, c := range conversing {
		if at.kind == c.kind && slices.Contains(c.messages, at.message) {
			return true
		}
	}
	for _, c := range stopMessages {
		if at.kind == c.kind && slices.Contains(c.messages, at.message) {
			return true
		}
	}
	return false
}

func caseName(kind supervisor.Kind, message string, after bool, times int32) string {
	moment := map[bool]string{false: "before", true: "after"}[after]
	return fmt.Sprintf("%s, %s, %d times %s", kind, message, times, moment)
}

// conversation is two users who come, meet, exchange a message each, and leave, with whatever answers there are.
type conversation struct {
	relay  *relay
	keys   []frames.Key
	nobody bool // Alice asks somebody who does not exist
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
		if err := s.happens(heard); err != nil {
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
	add(bob, frames.Login{Key: alice.key}, bob, beError(frames.TypeLogin, 1, frames.KeyInUse))
	add(bob, frames.Login{Key: bob.key}, bob, frames.LoginAccepted{})
	add(alice, rawType(0x7f), alice, refused(0x7f, frames.Unsupported))
	if v.nobody {
		add(alice, frames.StartSession{Peer: frames.Key{0x30, 0}}, alice, refused(frames.TypeStart, frames.Unavailable))
	}
	add(alice, frames.StartSession{Peer: bob.key}, bob, frames.StartSession{Peer: alice.key, Sealed: []byte{}})
	add(bob, frames.AcceptSession{Peer: alice.key}, alice, frames.AcceptSession{Peer: bob.key, Sealed: []byte{}})
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

func (s step) happens(all <-chan heard) error {
	var b []byte
	for _, f := range s.says {
		b = f.Append(b)
	}
	if _, err := s.from.conn.Write(b); err != nil {
		return cost(err)
	}
	for len(s.hear) > 0 {
		h := <-all
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
