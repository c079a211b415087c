package main

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

func TestSpansAreASet(t *testing.T) {
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 1))
		var one, other spans
		inOne, inOther := map[uint64]bool{}, map[uint64]bool{}
		for range dice.IntN(60) {
			n := 1 + dice.Uint64N(40)
			if one.add(n) == inOne[n] {
				t.Fatalf("seed %d: %d is in %v", seed, n, one)
			}
			inOne[n] = true
			m := 1 + dice.Uint64N(40)
			other.add(m)
			inOther[m] = true
		}
		both, highest := uint64(0), uint64(0)
		for n := range inOne {
			highest = max(highest, n)
			if inOther[n] {
				both++
			}
		}
		if one.size() != uint64(len(inOne)) || one.highest() != highest || one.shared(other) != both || other.shared(one) != both {
			t.Fatalf("seed %d: %v and %v share %d, want %d of %d", seed, one, other, one.shared(other), both, len(inOne))
		}
		for i := 1; i < len(one); i++ {
			if one[i-1].last+1 >= one[i].first {
				t.Fatalf("seed %d: %v is not as short as can be", seed, one)
			}
		}
	}
}

// stretch is a set of consecutive numbers.
func stretch(first, last uint64) spans { return spans{{first, last}} }

func TestEveryMessageHasOneOutcome(t *testing.T) {
	for _, c := range []struct {
		name             string
		arrived, refused spans
		cut              bool
		says             string
		adds             bool
	}{
		{"all delivered", stretch(1, 10), nil, false, "10 sent = 10 delivered + 0 refused + 0 cut off + 0 lost: it adds up", true},
		{"some refused", stretch(1, 6), stretch(7, 10), false, "10 sent = 6 delivered + 4 refused (BUSY 4) + 0 cut off + 0 lost: it adds up", true},
		{"some missing", stretch(3, 6), stretch(8, 10), false, "10 sent = 4 delivered + 3 refused (BUSY 3) + 0 cut off + 3 lost: it adds up", true},
		{"and cut off", stretch(3, 6), nil, true, "10 sent = 4 delivered + 0 refused + 6 cut off + 0 lost: it adds up", true},
		{"refused, and delivered", stretch(1, 8), stretch(8, 10), false, "10 sent = 7 delivered + 3 refused (BUSY 3) + 0 cut off + 0 lost: it adds up", true},
		{"more than was sent", stretch(1, 12), nil, false, "10 sent = 12 delivered + 0 refused + 0 cut off + 0 lost: IT DOES NOT ADD UP", false},
	} {
		st := &stream{from: &user{}, to: &user{cut: c.cut}, arrived: c.arrived, refused: c.refused}
		s := &sender{streams: []*stream{st}, refusals: map[frames.Code]uint64{}}
		if n := c.refused.size(); n > 0 {
			s.refusals[frames.Busy] = n
		}
		s.sent.Store(10)
		a := settleAccount([]*sender{s})
		if a.sum() != c.says || a.adds() != c.adds {
			t.Errorf("%s: %s", c.name, a.sum())
		}
		if (a.Bad > 0) != strings.HasPrefix(c.name, "refused, and") {
			t.Errorf("%s: %d bad", c.name, a.Bad)
		}
	}
}

func TestASenderGoesRoundItsStreams(t *testing.T) {
	s := &sender{streams: []*stream{{id: 0}, {id: 1}, {id: 2}}}
	last := map[uint32]uint64{}
	for n := range uint64(20) {
		for place, st := range s.streams {
			if s.sentTo(place) != last[st.id] {
				t.Fatalf("after %d: %d of stream %d", n, s.sentTo(place), place)
			}
		}
		st, seq := s.message(n)
		if seq != last[st.id]+1 {
			t.Fatalf("%d is number %d of stream %d", n, seq, st.id)
		}
		last[st.id] = seq
		s.sent.Store(n + 1)
	}
}

func TestOnlyWholeFramesWereSent(t *testing.T) {
	frame := frames.Message{Peer: key(t, 2048), Body: make([]byte, 50)}.Append(nil)
	three := append(append(frame, frame...), frame...)
	for n, want := range map[int]uint64{0: 0, 1: 0, len(frame) - 1: 0, len(frame): 1, len(frame) + 5: 1, len(three) - 1: 2, len(three): 3} {
		if got := whole(three[:n]); got != want {
			t.Errorf("%d bytes: %d, want %d", n, got, want)
		}
	}
}
