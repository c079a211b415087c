package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

// pattern returns n bytes that tell their place, none of them zero.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%251) + 1
	}
	return b
}

// same reports whether two contents say the same. An empty body and none are the same on the wire.
func same(a, b Content) bool {
	return a.Kind == b.Kind && a.Next == b.Next && a.Received == b.Received && a.Taken == b.Taken &&
		a.Number == b.Number && bytes.Equal(a.Body, b.Body)
}

func TestContentsOfEveryKindComeBack(t *testing.T) {
	for n := range 256 { // those that nobody knows, too: they are taken and ignored
		kind := Kind(n)
		for _, c := range []Content{
			{Kind: kind},
			{Kind: kind, Next: 1, Received: 2, Taken: 3, Number: 4, Body: pattern(5)},
			{Kind: kind, Next: math.MaxUint64, Received: 1 << 63, Taken: 1 << 32, Number: math.MaxUint64 - 1, Body: []byte{0}},
		} {
			got, err := ParseContent(c.Append(nil))
			numbered, known := kind.numbered()
			size, fixed := kind.size()
			if known && numbered != (c.Number > 0) || fixed && len(c.Body) != size {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("%+v is taken: %v", c, err)
				}
				continue
			}
			if err != nil || !same(got, c) {
				t.Errorf("%+v comes back as %+v, %v", c, got, err)
			}
		}
	}
}

func TestMessagesAreNumberedAndNothingElseIs(t *testing.T) {
	for kind, want := range map[Kind]bool{Confirm: false, Probe: false, Text: true, End: true, Rekey: true, Rekeyed: true, Abort: false, Resume: false} {
		if numbered, known := kind.numbered(); numbered != want || !known {
			t.Errorf("kind %d: %v, %v", kind, numbered, known)
		}
	}
	if _, known := Kind(8).numbered(); known {
		t.Error("kind 8 is known")
	}
}

func TestTheKindsHaveTheirNumbers(t *testing.T) {
	for want, kind := range []Kind{Confirm, Probe, Text, End, Rekey, Rekeyed, Abort, Resume} {
		if got := (Content{Kind: kind}).Append(nil)[0]; int(got) != want {
			t.Errorf("kind %d is written as %d", want, got)
		}
	}
}

func TestBodiesArePaddedToTheirBucket(t *testing.T) {
	for _, c := range []struct{ body, padded int }{
		{0, 256},
		{1, 256},
		{255, 256},
		{256, 256},
		{257, 1024},
		{1023, 1024},
		{1024, 1024},
		{1025, 4096},
		{4095, 4096},
		{4096, 4096},
		{4097, 16384},
		{16383, 16384},
		{16384, 16384},
	} {
		content := Content{Kind: Text, Next: 9, Number: 1, Body: pattern(c.body)}
		b := content.Append(nil)
		if len(b) != 35+c.padded {
			t.Errorf("a body of %d bytes makes %d, not %d", c.body, len(b), 35+c.padded)
		}
		if rest := b[35+c.body:]; !bytes.Equal(rest, make([]byte, len(rest))) {
			t.Errorf("a body of %d bytes is padded with something else than zeros", c.body)
		}
		got, err := ParseContent(b)
		if err != nil || !same(got, content) {
			t.Errorf("a body of %d bytes comes back with %d: %v", c.body, len(got.Body), err)
		}
	}
}

func TestABodyOverTheLongestPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was written")
		}
	}()
	_ = Content{Body: make([]byte, MaxBody+1)}.Append(nil)
}

func TestAContentIsAppendedBehindWhatIsThere(t *testing.T) {
	c := Content{Kind: Text, Number: 1, Body: []byte("hello")}
	if b := c.Append([]byte("before")); string(b) != "before"+string(c.Append(nil)) {
		t.Errorf("%q", b)
	}
}

// Who appends to a body must not write over the padding, which is somebody else's memory.
func TestABodyHasNoRoomBehindIt(t *testing.T) {
	c, err := ParseContent(Content{Kind: Text, Number: 1, Body: []byte("hello")}.Append(nil))
	if err != nil || cap(c.Body) != len(c.Body) {
		t.Errorf("%d bytes of %d, %v", len(c.Body), cap(c.Body), err)
	}
}

// malformed are plaintexts that are not as Append writes them: whoever let them pass would let the sender choose how long
// a record is, or hide bytes in it.
func malformed() map[string][]byte {
	hello := Content{Kind: Text, Next: 1, Received: 2, Taken: 3, Number: 4, Body: []byte("hello")}.Append(nil)
	edit := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(hello)) }
	length := func(n uint16, padded int) []byte {
		return edit(func(b []byte) []byte {
			binary.BigEndian.PutUint16(b[33:], n)
			return append(b[:35], make([]byte, padded)...)
		})
	}
	return map[string][]byte{
		"nothing":                            {},
		"a kind alone":                       hello[:1],
		"a header cut short":                 hello[:34],
		"no padding":                         hello[:40],
		"only a header":                      length(0, 0),
		"padding cut short":                  hello[:len(hello)-1],
		"padding too long":                   append(bytes.Clone(hello), 0),
		"padding not zero at its beginning":  edit(func(b []byte) []byte { b[40] = 1; return b }),
		"padding not zero at its end":        edit(func(b []byte) []byte { b[len(b)-1] = 0x80; return b }),
		"an empty body in 1024":              length(0, 1024),
		"256 bytes in 1024":                  length(256, 1024),
		"257 bytes in 256":                   length(257, 256),
		"1025 bytes in 1024":                 length(1025, 1024),
		"4096 bytes in 16384":                length(4096, 16384),
		"4097 bytes in 4096":                 length(4097, 4096),
		"16385 bytes in 16384":               length(16385, 16384),
		"16385 bytes in as many":             length(16385, 16385),
		"65535 bytes in as many":             length(65535, 65535),
		"a length that reaches past its end": length(65535, 256),
	}
}

func TestMalformedContentsAreRefused(t *testing.T) {
	for name, b := range malformed() {
		if c, err := ParseContent(b); !errors.Is(err, ErrMalformed) || c.Body != nil {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestAContentCutAtEveryLengthIsRefused(t *testing.T) {
	for _, body := range []int{0, 5, 256, 1000} {
		whole := Content{Kind: Text, Body: pattern(body)}.Append(nil)
		for n := range whole {
			if _, err := ParseContent(whole[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%d of %d bytes: %v", n, len(whole), err)
			}
		}
	}
}
