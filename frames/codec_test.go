package frames_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mdeiml/blubbel-server/frames"
)

func TestCutAtEveryLength(t *testing.T) {
	whole := frames.Message{Peer: publicKey("alice"), Body: []byte("text")}.Append(nil)
	for n := range whole {
		f, rest, err := frames.Cut(whole[:n], frames.MaxPayload)
		if !errors.Is(err, frames.ErrShort) || len(rest) != n || f.Payload != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		if known := f.Type == frames.TypeMessage; known != (n >= frames.HeaderSize) {
			t.Errorf("%d bytes: the type is %v", n, f.Type)
		}
	}
	f, rest, err := frames.Cut(append(whole, 1, 2), frames.MaxPayload)
	if err != nil || !bytes.Equal(rest, []byte{1, 2}) || len(f.Payload) != len(whole)-frames.HeaderSize {
		t.Errorf("the whole frame: %v, %d bytes left", err, len(rest))
	}
}

func TestCutRefusesByTheHeaderAlone(t *testing.T) {
	for _, c := range []struct {
		length int
		ok     bool
	}{{0, true}, {2048, true}, {2049, false}, {1<<31 - 1, false}} {
		f, _, err := frames.Cut(frames.AppendHeader(nil, frames.TypeLogin, c.length), frames.MaxLoginPayload)
		var refusal *frames.Refusal
		refused := errors.As(err, &refusal) && refusal.Code == frames.TooLarge
		if refused == c.ok || f.Type != frames.TypeLogin {
			t.Errorf("length %d: %v", c.length, err)
		}
	}
}

func TestAnErrorsTextIsCutBetweenCharacters(t *testing.T) {
	b := frames.Error{Code: frames.BadKey, Text: strings.Repeat("aü", 80)}.Append(nil)
	f, err := decode(frames.FromRelay, b)
	if err != nil {
		t.Fatal(err)
	}
	text := f.(frames.Error).Text
	if len(text) > frames.MaxText || len(text) < frames.MaxText-1 || !utf8.ValidString(text) {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func TestWhichCodesClose(t *testing.T) {
	closing := map[frames.Code]bool{
		frames.TooLarge: true, frames.ProofInvalid: true, frames.Timeout: true, frames.Replaced: true, frames.ShuttingDown: true,
	}
	for c := frames.Code(0); c <= frames.LastCode+1; c++ {
		if c.Closes() != closing[c] {
			t.Errorf("%v closes: %v", c, c.Closes())
		}
	}
}

// A stream that ends behind a header has not ended between frames.
func TestReadTellsAFrameThatIsCutOffFromTheEnd(t *testing.T) {
	whole := []byte{4, 0, 0, 0, 2, 'a', 'b'}
	for n := range whole {
		_, err := frames.Read(bytes.NewReader(whole[:n]), frames.MaxPayload)
		if ended := errors.Is(err, io.EOF); err == nil || ended != (n == 0) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}
