package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// breaks cuts a side's connection. Of what that side has sent, any part is lost. Of what was sent to it some is lost in the
// old connection, some is refused, and the rest comes on the new one.
func (c *couple) breaks(s *side, random *rand.Rand) (late []uint64) {
	c.t.Helper()
	s.wire = slices.DeleteFunc(s.wire, func(flying) bool { return random.IntN(2) == 0 })
	peer := c.other(s)
	peer.wire = peer.wire[random.IntN(len(peer.wire)+1):]
	for refused := random.IntN(len(peer.wire) + 1); refused > 0; refused-- {
		if peer.wire[0].frame > 0 && random.IntN(3) == 0 { // the Error takes its time
			late = append(late, peer.wire[0].frame)
			peer.wire = peer.wire[1:]
			continue
		}
		if err := c.refuse(peer); err != nil {
			c.t.Fatalf("%s: %v", peer.name, err)
		}
	}
	for i := range s.wire {
		s.wire[i].frame = 0 // whatever becomes of it, nobody is told
	}
	s.frames = 0 // request numbers begin anew
	s.out.forgetFrames()
	s.resume(c.now)
	return late
}

// TestEveryTextArrivesOnceAndInOrderOverConnectionsThatBreak is the test of the same name with breaks.
func TestEveryTextArrivesOnceAndInOrderOverConnectionsThatBreak(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c, random := newCouple(t), rand.New(rand.NewPCG(seed, 1))
			c.settle()
			said := map[*side][]string{}
			late := map[*side][]uint64{}
			for range 400 {
				s := c.alice
				if random.IntN(2) == 0 {
					s = c.bob
				}
				switch random.IntN(16) {
				case 0, 1, 2, 3:
					if !s.out.full() {
						text := fmt.Sprintf("%s %d", s.name, len(said[s]))
						said[s] = append(said[s], text)
						s.out.say(e2e.Text, []byte(text))
					}
				case 4, 5:
					c.now = c.now.Add(time.Duration(random.IntN(500)) * time.Millisecond)
				case 6, 7:
					s.takeAll()
				case 8:
					c.alice.rekeyedBy = min(c.alice.rekeyedBy, c.alice.sealer.Counter()+uint64(random.IntN(50)))
				case 9:
					peer := c.other(s)
					late[s] = nil // on a connection that is gone
					late[peer] = append(late[peer], c.breaks(s, random)...)
				case 10:
					c.refuseLate(s, late)
				default:
					c.step(s, random.IntN(6) == 0)
				}
				if err := s.overdue(c.now); s.unsure && err != nil {
					t.Fatalf("%s: %v", s.name, err)
				}
			}
			for range 100 {
				c.refuseLate(c.alice, late)
				c.refuseLate(c.bob, late)
				c.settle()
				c.now = c.now.Add(longestPause)
			}
			c.wants(c.bob, said[c.alice]...)
			c.wants(c.alice, said[c.bob]...)
			for _, s := range []*side{c.alice, c.bob} {
				if err := s.overdue(c.now); err != nil || s.unsure || len(s.out.messages) > 0 {
					t.Errorf("%s: %v, unsure: %v, %d messages", s.name, err, s.unsure, len(s.out.messages))
				}
			}
		})
	}
}

// refuseLate has an Error arrive that took its time.
func (c *couple) refuseLate(s *side, late map[*side][]uint64) {
	c.t.Helper()
	if len(late[s]) == 0 {
		return
	}
	frame := late[s][0]
	late[s] = late[s][1:]
	if !s.out.sentIn(frame) {
		return // an event, Trouble, and nothing of the session's
	}
	if err := s.refused(c.now, frame); err != nil {
		c.t.Fatalf("%s: %v", s.name, err)
	}
}

func TestWhatIsWithheldWithoutABreakIsStillNoticedAfterOne(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.breaks(c.bob, rand.New(rand.NewPCG(1, 1)))
	c.settle()
	c.alice.out.say(e2e.Text, []byte("one"))
	c.alice.out.say(e2e.Text, []byte("two"))
	c.send(c.alice)
	c.alice.wire = c.alice.wire[1:]
	c.settle()
	c.now = c.alice.deadline(c.now)
	if err := c.alice.overdue(c.now); !errors.Is(err, e2e.ErrWithheld) {
		t.Errorf("Alice notices %v", err)
	}
}

func TestAPeerMayNotResumeWithWhatCannotBe(t *testing.T) {
	m := func(number uint64) *message { return &message{number: number, kind: e2e.Text, sent: true} }
	for name, c := range map[string]struct {
		has      e2e.Resumption
		received uint64 // of 4
		want     error
	}{
		"nothing was lost":                 {e2e.Resumption{Complete: 2}, 4, nil},
		"a text was lost":                  {e2e.Resumption{Complete: 1}, 3, nil},
		"a text and a question were lost":  {e2e.Resumption{Complete: 1}, 2, nil},
		"a question was lost":              {e2e.Resumption{Complete: 2}, 3, nil},
		"more is missing than can be lost": {e2e.Resumption{Complete: 2}, 2, e2e.ErrWithheld},
		"fewer records than texts":         {e2e.Resumption{Complete: 0}, 4, e2e.ErrMalformed},
		"a text that was not said":         {e2e.Resumption{Complete: 3}, 4, e2e.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			o := outgoing{last: 2, messages: []*message{m(1), m(2)}, next: 4, received: c.received}
			o.records = []sentRecord{
				{counter: 0, message: o.messages[0]}, {counter: 1, asks: true}, {counter: 2, message: o.messages[1]}, {counter: 3, resume: e2e.Asking},
			}
			if err := o.resume(time.Now(), 3, c.has); !errors.Is(err, c.want) {
				t.Errorf("%v, not %v", err, c.want)
			}
		})
	}
}

// cutAt is what happens at the n-th record of one direction.
type cutAt struct {
	name      string
	delivered bool // before the connection breaks
	recipient bool // it is the recipient's that breaks
}

var cuts = []cutAt{
	{"lost with the sender's connection", false, false},
	{"delivered, and the sender's connection breaks", true, false},
	{"lost in the recipient's connection", false, true},
	{"delivered, and the recipient's connection breaks", true, true},
}

// TestAConnectionMayBreakAtEveryRecord lets two talk, ends included, and cuts a connection at each record in turn.
func TestAConnectionMayBreakAtEveryRecord(t *testing.T) {
	for _, cut := range cuts {
		t.Run(cut.name, func(t *testing.T) {
			for n := 1; ; n++ {
				reached := false
				synctest.Test(t, func(t *testing.T) { reached = talkAndCut(t, n, cut) })
				if t.Failed() {
					t.Fatalf("at record %d", n)
				}
				if !reached {
					if n < 10 {
						t.Errorf("there were %d records", n)
					}
					return
				}
			}
		})
	}
}

// talkAndCut reports whether there was an n-th record.
func talkAndCut(t *testing.T, n int, cut cutAt) (reached bool) {
	r := startTestRelay()
	alice, bob := r.lasting(t, "alice", Forever), r.lasting(t, "bob", Forever)
	asked := asks(t, alice, bob)
	if e, err := bob.event(t.Context()); err != nil {
		t.Fatal(e, err)
	}
	toAlice, err := bob.AcceptSession(t.Context(), alice.self.Key())
	if err != nil {
		t.Fatal(err)
	}
	toBob := <-asked
	synctest.Wait()
	records := 0
	r.rules(func(from, to *connection, f frames.Raw) verdict {
		if f.Type != frames.TypeMessage {
			return forwarded
		}
		if records++; records != n {
			return forwarded
		}
		reached = true
		broken := from
		if cut.recipient {
			broken = to
		}
		if cut.delivered { // once it is written
			time.AfterFunc(time.Millisecond, func() {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.cut(broken)
			})
			return forwarded
		}
		r.cut(broken)
		return swallowed
	})
	talked := make(chan error)
	go func() { talked <- talks(t, toBob, "b") }()
	go func() { talked <- talks(t, toAlice, "a") }()
	for range 2 {
		if err := <-talked; err != nil {
			t.Error(err)
		}
	}
	_, _ = alice.Close(), bob.Close()
	for _, c := range []*Client{alice, bob} {
		for _, e := range c.events {
			if trouble, is := e.(Trouble); is {
				t.Errorf("trouble: %v", trouble.Err)
			}
		}
	}
	return reached
}

// talks says five texts, ends, and wants to hear five.
func talks(t *testing.T, s *Session, name string) error {
	said := make(chan error, 1)
	go func() {
		for i := range 5 {
			if err := s.Send(t.Context(), fmt.Append(nil, i)); err != nil {
				said <- err
				return
			}
			time.Sleep(3 * time.Millisecond) //nolint:forbidigo // virtual
		}
		said <- s.End(t.Context(), "")
	}()
	heard := 0
	for text, err := range s.Messages(t.Context()) {
		if err != nil || string(text) != fmt.Sprint(heard) {
			return fmt.Errorf("%s hears %q instead of %d: %w", name, text, heard, err)
		}
		heard++
	}
	if heard != 5 {
		return fmt.Errorf("%s hears %d texts", name, heard)
	}
	if err := <-said; err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func TestAPeerWhoDoesNotSayWhatItHasIsSilent(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.resume(c.now)
	for range 3 { // a refusal is none
		c.send(c.alice)
		if len(c.alice.wire) != 1 {
			t.Fatalf("Alice says %d records", len(c.alice.wire))
		}
		if err := c.refuse(c.alice); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.Add(silence)
		if err := c.alice.overdue(c.now); err != nil {
			t.Fatal(err)
		}
	}
	c.alice.out.say(e2e.Text, []byte("later"))
	c.send(c.alice)
	if len(c.alice.wire) != 1 {
		t.Fatalf("Alice says %d records before she knows what has come", len(c.alice.wire))
	}
	c.now = c.alice.deadline(c.now)
	if err := c.alice.overdue(c.now); !errors.Is(err, ErrSilent) {
		t.Errorf("Alice notices %v", err)
	}
}

func TestAnAnswerToAnEarlierQuestionSettlesNothing(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.resume(c.now)
	c.send(c.alice)
	if err := c.deliver(c.alice); err != nil {
		t.Fatal(err)
	}
	c.send(c.bob)
	c.alice.resume(c.now) // and breaks again, before the answer is here
	c.send(c.alice)
	if err := c.deliver(c.bob); err != nil {
		t.Fatal(err)
	}
	if !c.alice.unsure {
		t.Error("Alice is sure, of what she has not asked")
	}
	c.settle()
	if c.alice.unsure || c.bob.unsure {
		t.Error("they are never sure again")
	}
}

// TestAPeerWhoDoesNotResumeIsSilent has Bob answer as if he knew nothing of Resume.
func TestAPeerWhoDoesNotResumeIsSilent(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.resume(c.now)
	c.send(c.alice)
	if err := c.deliver(c.alice); err != nil {
		t.Fatal(err)
	}
	c.bob.unsure, c.bob.says, c.bob.owes = false, 0, true
	c.send(c.bob)
	if err := c.deliver(c.bob); err != nil {
		t.Fatal(err)
	}
	c.now = c.alice.deadline(c.now)
	if err := c.alice.overdue(c.now); !errors.Is(err, ErrSilent) {
		t.Errorf("Alice notices %v", err)
	}
}
