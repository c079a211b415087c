package main

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

func key(t *testing.T, bits int) frames.Key {
	t.Helper()
	key, err := madeUpKey(bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestARelayTakesKeysThatAreMadeUp(t *testing.T) {
	for _, bits := range []int{2048, 2049, 3072, 4096} {
		k := frames.Keys{MinBits: bits, MaxBits: bits}
		if err := k.Check(key(t, bits)); err != nil {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	if bytes.Equal(key(t, 2048), key(t, 2048)) {
		t.Error("twice the same")
	}
}

func TestAStampIsReadAsItWasWritten(t *testing.T) {
	for _, s := range []stamp{
		{size: leastBody},
		{stream: 1, size: leastBody + 1, seq: 1, at: 1},
		{stream: 1 << 31, size: 1024, seq: 1 << 60, at: 1 << 62},
		{stream: 7, size: frames.MaxPayload, seq: 9, at: -1},
	} {
		body := s.appendTo(nil)
		if got, err := readStamp(body); err != nil || got != s || len(body) != int(s.size) {
			t.Errorf("%+v: %+v, %v, %d bytes", s, got, err, len(body))
		}
	}
}

// messages are two streams to Bob, one to Carol, and a Message of the first.
func messages(t *testing.T) (bob *user, streams []*stream, payload []byte) {
	t.Helper()
	alice, erin := &user{key: key(t, 2048)}, &user{key: key(t, 2048)}
	bob, carol := &user{key: key(t, 2048)}, &user{key: key(t, 3072)}
	l := &load{}
	first := l.stream(alice, bob, 100, nil)
	l.stream(erin, bob, 100, nil)
	l.stream(alice, carol, 100, nil)
	return bob, l.streams, forwarded(first, stamp{size: 100, seq: 1, at: 5})
}

// forwarded is the payload of a Message as a relay forwards it.
func forwarded(st *stream, s stamp) []byte { return s.appendTo(slices.Clone([]byte(st.from.key))) }

func TestWhatIsWrongWithAMessageIsSeen(t *testing.T) {
	bob, streams, good := messages(t)
	if st, s, err := judge(bob, streams, good); err != nil || st != streams[0] || s.seq != 1 || s.at != 5 {
		t.Fatalf("a good one: %v", err)
	}
	body := good[len(streams[0].from.key):]
	of := func(key frames.Key, body []byte) []byte { return append(slices.Clone([]byte(key)), body...) }
	for name, c := range map[string]struct {
		payload []byte
		want    error
	}{
		"empty":                     {nil, errNoKey},
		"no key":                    {body, errNoKey},
		"no body":                   {good[:len(streams[0].from.key)], errForeign},
		"somebody else's body":      {of(streams[0].from.key, bytes.Repeat([]byte("x"), 100)), errChanged},
		"a stream there is none of": {forwarded(streams[0], stamp{stream: 3, size: 100, seq: 1}), errForeign},
		"another sender's key":      {of(streams[1].from.key, body), errSender},
		"another sender's body":     {of(streams[0].from.key, forwarded(streams[1], stamp{stream: 1, size: 100, seq: 1})[294:]), errSender},
		"for another recipient":     {forwarded(streams[2], stamp{stream: 2, size: 100, seq: 1}), errRecipient},
		"of another size":           {forwarded(streams[0], stamp{size: 101, seq: 1}), errSize},
		"cut short":                 {good[:len(good)-1], errSize},
		"with something behind":     {append(slices.Clone(good), 0), errSize},
		"with a piece of another": {
			append(slices.Clone(good[:len(good)-40]), forwarded(streams[0], stamp{size: 100, seq: 2})[len(good)-40:]...), errChanged,
		},
	} {
		if _, _, err := judge(bob, streams, c.payload); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want: %v", name, err, c.want)
		}
	}
}

func TestNoByteOfAMessageCanBeFlippedUnseen(t *testing.T) {
	bob, streams, good := messages(t)
	for i := range good {
		flipped := slices.Clone(good)
		flipped[i] ^= 0x10
		if _, _, err := judge(bob, streams, flipped); err == nil {
			t.Errorf("byte %d", i)
		}
	}
}

func TestGapsDuplicatesAndSwapsAreSeen(t *testing.T) {
	for _, c := range []struct {
		name         string
		arrive       []uint64
		sent         uint64
		err          error
		missing, bad int
	}{
		{"in order", []uint64{1, 2, 3}, 3, nil, 0, 0},
		{"the last is missing", []uint64{1, 2}, 3, nil, 1, 0},
		{"the first is missing", []uint64{2, 3}, 3, nil, 1, 0},
		{"a gap", []uint64{1, 4}, 4, nil, 2, 0},
		{"a duplicate", []uint64{1, 2, 2, 3}, 3, errDuplicate, 0, 1},
		{"a late duplicate", []uint64{1, 2, 3, 1}, 3, errDuplicate, 0, 1},
		{"a swap", []uint64{1, 3, 2, 4}, 4, errOrder, 0, 1},
		{"the first comes last", []uint64{2, 3, 1}, 3, errOrder, 0, 1},
	} {
		st := &stream{from: &user{}, to: &user{}}
		bad := 0
		for _, seq := range c.arrive {
			if _, err := st.arrive(seq); err != nil {
				bad++
				if !errors.Is(err, c.err) {
					t.Errorf("%s: %v", c.name, err)
				}
			}
		}
		a := &account{}
		a.add(st, c.sent)
		if bad != c.bad || a.Lost != uint64(c.missing) || !a.adds() {
			t.Errorf("%s: %d bad, %+v", c.name, bad, a)
		}
	}
}
