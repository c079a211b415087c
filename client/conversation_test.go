package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// testIdentity is one of testdata/keys.
func testIdentity(t testing.TB, name string) *Identity {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "keys", name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	i, err := ParseIdentity(text)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// couple are the two sides of a session, and what lies between them.
type couple struct {
	t     testing.TB
	now   time.Time
	alice *side // the initiator
	bob   *side
}

// side is one of them.
type side struct {
	*conversation
	name   string
	frames uint64
	wire   []flying // from this side
	heard  []string // texts, taken
}

// flying is a record on its way.
type flying struct {
	frame  uint64
	record []byte
}

func newCouple(t testing.TB) *couple {
	t.Helper()
	a, b := testIdentity(t, "alice"), testIdentity(t, "bob")
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ends := func(i *Identity, peer frames.Key) *e2e.Ends {
		e, err := e2e.NewEnds(i.private, peer)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	alice, bob := ends(a, b.Key()), ends(b, a.Key())
	start, err := alice.Start(now)
	if err != nil {
		t.Fatal(err)
	}
	request, err := bob.Open(start.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, bobs, err := request.Accept()
	if err != nil {
		t.Fatal(err)
	}
	alices, err := start.Finish(body)
	if err != nil {
		t.Fatal(err)
	}
	return &couple{
		t: t, now: now,
		alice: &side{name: "alice", conversation: newConversation(now, alice, alices, true)},
		bob:   &side{name: "bob", conversation: newConversation(now, bob, bobs, false)},
	}
}

func (c *couple) other(s *side) *side {
	if s == c.alice {
		return c.bob
	}
	return c.alice
}

// send puts what a side has to say on the wire.
func (c *couple) send(s *side) {
	c.t.Helper()
	for {
		record, r, err := s.produce(c.now)
		if err != nil {
			c.t.Fatal(err)
		}
		if record == nil {
			return
		}
		s.frames++
		r.frame = s.frames
		s.out.sent(r)
		s.wire = append(s.wire, flying{frame: r.frame, record: record})
	}
}

// deliver delivers the first of a side's records.
func (c *couple) deliver(s *side) error {
	f := s.wire[0]
	s.wire = s.wire[1:]
	return c.other(s).hear(c.now, f.record)
}

// refuse has the relay refuse the first of a side's records.
func (c *couple) refuse(s *side) error {
	f := s.wire[0]
	s.wire = s.wire[1:]
	if f.frame == 0 { // of a connection that is gone
		return nil
	}
	return s.refused(c.now, f.frame)
}

// takeAll has a side's application take what is there.
func (s *side) takeAll() {
	for {
		m, ok := s.first()
		if !ok {
			return
		}
		s.heard = append(s.heard, string(m.Body))
		s.take()
	}
}

// settle delivers until neither has anything to say.
func (c *couple) settle() {
	c.t.Helper()
	for range 1000 {
		c.send(c.alice)
		c.send(c.bob)
		if len(c.alice.wire)+len(c.bob.wire) == 0 {
			return
		}
		for _, s := range []*side{c.alice, c.bob} {
			for len(s.wire) > 0 {
				if err := c.deliver(s); err != nil {
					c.t.Fatalf("%s: %v", c.other(s).name, err)
				}
			}
			c.other(s).takeAll()
		}
	}
	c.t.Fatal("the two never fall silent")
}

func (c *couple) wants(s *side, texts ...string) {
	c.t.Helper()
	if fmt.Sprint(s.heard) != fmt.Sprint(texts) {
		c.t.Errorf("%s heard %q, not %q", s.name, s.heard, texts)
	}
}

func TestTextsAreTakenInOrderAndConfirmed(t *testing.T) {
	c := newCouple(t)
	c.alice.out.say(e2e.Text, []byte("one"))
	c.alice.out.say(e2e.Text, []byte("two"))
	c.bob.out.say(e2e.Text, nil)
	c.settle()
	c.wants(c.bob, "one", "two")
	c.wants(c.alice, "")
	for _, s := range []*side{c.alice, c.bob} {
		if len(s.out.messages) > 0 {
			t.Errorf("%s: %d messages are not confirmed", s.name, len(s.out.messages))
		}
	}
}

func TestTheInitiatorSpeaksFirstEvenWithNothingToSay(t *testing.T) {
	c := newCouple(t)
	c.send(c.bob)
	if len(c.bob.wire) > 0 {
		t.Error("the responder speaks before it was spoken to")
	}
	c.send(c.alice)
	if len(c.alice.wire) != 1 {
		t.Errorf("the initiator sends %d records", len(c.alice.wire))
	}
}

func TestWhatIsRefusedIsSentAgainInOrderAfterAPause(t *testing.T) {
	c := newCouple(t)
	c.settle()
	for _, text := range []string{"one", "two", "three"} {
		c.alice.out.say(e2e.Text, []byte(text))
	}
	c.send(c.alice)
	if err := errors.Join(c.refuse(c.alice), c.deliver(c.alice), c.refuse(c.alice)); err != nil {
		t.Fatal(err)
	}
	c.bob.takeAll()
	c.wants(c.bob)
	c.send(c.alice)
	if len(c.alice.wire) > 0 {
		t.Error("Alice sends again at once")
	}
	c.now = c.now.Add(2 * firstPause)
	c.send(c.alice)
	if len(c.alice.wire) != 1 {
		t.Errorf("Alice sends %d records before one has arrived", len(c.alice.wire))
	}
	c.settle()
	c.wants(c.bob, "one", "two", "three")
}

func TestThePauseDoublesAndEndsWithTheFirstArrival(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.out.say(e2e.Text, []byte("one"))
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 50, 50} {
		pause *= firstPause
		c.send(c.alice)
		if err := c.refuse(c.alice); err != nil {
			t.Fatal(err)
		}
		if d := c.alice.out.pausedUntil.Sub(c.now); d < pause/2 || d > pause*3/2 {
			t.Errorf("a pause of %v, not of about %v", d, pause)
		}
		if at := c.alice.deadline(c.now); !at.Equal(c.alice.out.pausedUntil) {
			t.Errorf("the writer looks again at %v, the pause ends at %v", at, c.alice.out.pausedUntil)
		}
		c.now = c.alice.out.pausedUntil
	}
	c.settle()
	c.wants(c.bob, "one")
	if c.alice.out.pause != 0 || c.alice.out.careful {
		t.Error("Alice is still careful")
	}
}

func TestWhatTheRelayKeepsBackIsNoticed(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.out.say(e2e.Text, []byte("one"))
	c.alice.out.say(e2e.Text, []byte("two"))
	c.send(c.alice)
	c.alice.wire = c.alice.wire[1:]
	c.settle()
	c.wants(c.bob)
	if err := c.alice.out.overdue(c.now); err != nil {
		t.Fatalf("before the relay's Error could be here: %v", err)
	}
	c.now = c.alice.deadline(c.now)
	if err := c.alice.out.overdue(c.now); !errors.Is(err, e2e.ErrWithheld) {
		t.Errorf("Alice notices %v", err)
	}
}

func TestARefusalThatComesAfterThePeersReportExplainsIt(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.out.say(e2e.Text, []byte("one"))
	c.alice.out.say(e2e.Text, []byte("two"))
	c.send(c.alice)
	late := c.alice.wire[0]
	c.alice.wire = c.alice.wire[1:]
	c.settle()
	if err := c.alice.refused(c.now, late.frame); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(grace)
	if err := c.alice.out.overdue(c.now); err != nil {
		t.Fatal(err)
	}
	c.settle()
	c.wants(c.bob, "one", "two")
}

func TestSilenceIsNoticed(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.now = c.alice.deadline(c.now) // quiet: Alice asks whether Bob is there
	c.send(c.alice)
	if len(c.alice.wire) != 1 {
		t.Fatalf("after a quiet time Alice sends %d records", len(c.alice.wire))
	}
	if err := c.alice.out.overdue(c.now); err != nil {
		t.Fatal(err)
	}
	c.now = c.alice.deadline(c.now) // in between she asks again
	c.send(c.alice)
	c.now = c.alice.deadline(c.now)
	if err := c.alice.out.overdue(c.now); !errors.Is(err, ErrSilent) || len(c.alice.wire) != 2 {
		t.Errorf("Alice notices %v, after %d records", err, len(c.alice.wire))
	}
}

func TestARelayThatRefusesWhatItDeliversIsNoticed(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.out.say(e2e.Text, []byte("one"))
	c.send(c.alice)
	delivered := c.alice.wire[0].frame
	if err := c.deliver(c.alice); err != nil {
		t.Fatal(err)
	}
	if err := c.alice.refused(c.now, delivered); err != nil {
		t.Fatal(err)
	}
	c.send(c.bob)
	if err := c.deliver(c.bob); !errors.Is(err, ErrContradiction) {
		t.Errorf("Alice notices %v", err)
	}
	c.now = c.now.Add(2 * firstPause)
	c.send(c.alice)
	if err := c.deliver(c.alice); !errors.Is(err, ErrContradiction) {
		t.Errorf("Bob notices %v", err)
	}
}

func TestThePeerMayNotReportWhatCannotBe(t *testing.T) {
	for name, c := range map[string]e2e.Content{
		"a record not sent yet":         {Next: 6, Received: 5},
		"more records than counters":    {Next: 5, Received: 6},
		"a message not sent yet":        {Next: 5, Received: 5, Taken: 3},
		"fewer records than before":     {Next: 4, Received: 3, Taken: 1},
		"a lower counter than before":   {Next: 3, Received: 3, Taken: 1},
		"fewer taken than a while ago":  {Next: 5, Received: 4, Taken: 0},
		"a number no counter can reach": {Next: ^uint64(0), Received: ^uint64(0)},
	} {
		t.Run(name, func(t *testing.T) {
			o := outgoing{last: 2, next: 4, received: 4, taken: 1}
			if err := o.heard(time.Now(), c, 5); !errors.Is(err, e2e.ErrMalformed) && !errors.Is(err, ErrContradiction) {
				t.Errorf("accepted: %v", err)
			}
		})
	}
}

func TestThePeerMayNotSendMoreThanTheWindow(t *testing.T) {
	var i incoming
	if _, err := i.hear(e2e.Content{Kind: e2e.Text, Number: furthest}); err != nil {
		t.Error(err)
	}
	if _, err := i.hear(e2e.Content{Kind: e2e.Text, Number: furthest + 1}); !errors.Is(err, e2e.ErrMalformed) {
		t.Errorf("accepted: %v", err)
	}
}

func TestUnknownKindsAreTakenAndIgnored(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.alice.out.say(200, []byte("of a later version"))
	c.alice.out.say(e2e.Text, []byte("text"))
	c.settle()
	c.wants(c.bob, "text")
	if len(c.alice.out.messages) > 0 {
		t.Error("Bob has not confirmed both")
	}
}

func TestKeysAreRenewed(t *testing.T) {
	for name, due := range map[string]func(*couple){
		"after many records of the initiator": func(c *couple) { c.alice.rekeyedBy = c.alice.sealer.Counter() },
		"after many records of the responder": func(c *couple) { c.alice.rekeyedBy = c.alice.opener.Next() },
		"after a day":                         func(c *couple) { c.now = c.now.Add(rekeyAfter) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCouple(t)
			c.settle()
			due(c)
			c.bob.out.say(e2e.Text, []byte("one")) // under way while the keys change
			c.alice.out.say(e2e.Text, []byte("two"))
			c.settle()
			c.bob.out.say(e2e.Text, []byte("three"))
			c.settle()
			c.wants(c.alice, "one", "three")
			c.wants(c.bob, "two")
			for _, s := range []*side{c.alice, c.bob} {
				if s.epoch() == 0 {
					t.Errorf("%s still uses the first keys", s.name)
				}
			}
		})
	}
}

// epoch is that of the next record: the first four bytes.
func (s *side) epoch() uint32 {
	record, _, _ := (&conversation{sealer: s.sealer, opener: s.opener, owes: true, heardAt: time.Now()}).produce(time.Now())
	return uint32(record[0])<<24 | uint32(record[1])<<16 | uint32(record[2])<<8 | uint32(record[3])
}

func TestOnlyTheInitiatorMayOfferKeysAndOnlyOneAtATime(t *testing.T) {
	c := newCouple(t)
	c.settle()
	c.bob.offerKeys(c.now)
	c.send(c.bob)
	if err := c.deliver(c.bob); !errors.Is(err, e2e.ErrMalformed) {
		t.Errorf("Alice takes keys from the responder: %v", err)
	}
	c = newCouple(t)
	c.settle()
	c.bob.out.say(e2e.Rekeyed, []byte("unasked"))
	c.send(c.bob)
	if err := c.deliver(c.bob); !errors.Is(err, e2e.ErrMalformed) {
		t.Errorf("Alice takes keys that she did not ask for: %v", err)
	}
}

func TestGivingUpTellsThePeerWhy(t *testing.T) {
	for _, reason := range noticed {
		if reason == nil {
			continue
		}
		c := newCouple(t)
		c.settle()
		c.alice.out.say(e2e.Text, []byte("never said"))
		c.alice.abort(fmt.Errorf("it so happened: %w", reason))
		c.send(c.alice)
		if len(c.alice.wire) != 1 {
			t.Fatalf("%v: %d records", reason, len(c.alice.wire))
		}
		var told *Noticed
		if err := c.deliver(c.alice); !errors.Is(err, reason) || !errors.As(err, &told) {
			t.Errorf("Bob hears %v, not %v", err, reason)
		}
	}
}

// TestEveryTextArrivesOnceAndInOrder plays a relay that refuses at random, keys that are renewed, and applications that
// take their time.
func TestEveryTextArrivesOnceAndInOrder(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c, random := newCouple(t), rand.New(rand.NewPCG(seed, 0))
			said := map[*side][]string{}
			for range 400 {
				s := c.alice
				if random.IntN(2) == 0 {
					s = c.bob
				}
				switch random.IntN(8) {
				case 0, 1:
					if opened := s == c.alice || c.bob.in.received > 0; opened && !s.out.full() {
						text := fmt.Sprintf("%s %d", s.name, len(said[s]))
						said[s] = append(said[s], text)
						s.out.say(e2e.Text, []byte(text))
					}
				case 2:
					c.now = c.now.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
				case 3:
					s.takeAll()
				case 4:
					c.alice.rekeyedBy = min(c.alice.rekeyedBy, c.alice.sealer.Counter()+uint64(random.IntN(50)))
				default:
					c.step(s, random.IntN(4) == 0)
				}
			}
			for range 200 { // the relay has got over it, and time goes by
				c.settle()
				c.now = c.now.Add(longestPause)
			}
			c.wants(c.bob, said[c.alice]...)
			c.wants(c.alice, said[c.bob]...)
			for _, s := range []*side{c.alice, c.bob} {
				if err := s.out.overdue(c.now); err != nil {
					t.Errorf("%s: %v", s.name, err)
				}
			}
		})
	}
}

// step lets one record of a side arrive, or be refused.
func (c *couple) step(s *side, refused bool) {
	c.t.Helper()
	c.send(s)
	if len(s.wire) == 0 {
		return
	}
	act := c.deliver
	if refused {
		act = c.refuse
	}
	if err := act(s); err != nil {
		c.t.Fatalf("%s: %v", s.name, err)
	}
}
