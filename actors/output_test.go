package actors

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

// script is a socket that takes what a test says, and only then.
type script struct {
	stream bool
	took   []byte
}

func (s *script) read(room) (int, error)      { panic("nobody reads") }
func (s *script) write([][]byte) (int, error) { panic("the test writes") }
func (s *script) wait([][]byte) (int, error)  { panic("the test waits") }
func (s *script) sent() int64                 { return int64(len(s.took)) }

func (s *script) written() int64 { return s.sent() }
func (s *script) direct() bool   { return !s.stream }

// writing is an output with something queued, and what must become of that.
type writing struct {
	*output
	script *script
	window *window
	frames []written
}

// written is a frame as it must be written.
type written struct {
	bytes   []byte
	refusal bool // an Error of the client's own, else a Message to it
}

// queued is what a test queues: runs of Messages with bodies of so many bytes, or, where there is no run, an Error.
type queued [][]int

func (s *stage) writing(keys [2]int, stream bool, list queued) *writing {
	w := &writing{script: &script{stream: stream}, window: &window{}}
	w.output = &output{shared: s.shared, socket: w.script}
	alice, bob := shortKey(keys[0], 'a'), shortKey(keys[1], 'b')
	for i, sizes := range list {
		if sizes == nil {
			run := s.messages(s.gone(bob), alice, w.window, []byte("refused"))
			run.code = frames.NoSession
			w.frames = append(w.frames, written{run.refusal(1).Append(nil), true})
			w.push(run)
			continue
		}
		var bodies [][]byte
		for j, n := range sizes {
			bodies = append(bodies, bytes.Repeat([]byte{byte(16*i + j)}, n))
			w.frames = append(w.frames, written{frames.Message{Peer: alice, Body: bodies[j]}.Append(nil), false})
		}
		w.push(s.messages(s.gone(alice), bob, w.window, bodies...))
	}
	return w
}

// takes has the socket take n bytes of what is ready for it, and the output wait for it to take more.
func (w *writing) takes(n int) {
	if !w.fill() {
		return
	}
	all := bytes.Join(w.round.rest(), nil)
	all = all[:min(n, len(all))]
	w.script.took = append(w.script.took, all...)
	w.wrote(len(all))
	if w.round != nil && w.script.direct() {
		w.round = w.round.begun()
	}
}

func (w *writing) takesAll() {
	for n := 1; w.fill(); n = 2*n + 1 {
		w.takes(n)
	}
}

// endings are what can happen to somebody to whom something was written in part.
var endings = []struct {
	name string
	end  func(w *writing)
	all  bool // everything is written
	half bool // the last frame may be written in part
}{
	{"and is closed", func(w *writing) { w.settle(0) }, false, true},
	{"and takes the rest", (*writing).takesAll, true, false},
	{"stalls, and is closed", func(w *writing) { w.refuseWaiting(); w.settle(0) }, false, true},
	{"stalls, and takes the rest", func(w *writing) { w.refuseWaiting(); w.takesAll() }, false, false},
	{"drags, and is closed", func(w *writing) { w.detach(); w.settle(0) }, false, true},
	{"drags, and takes the rest", func(w *writing) { w.detach(); w.takesAll() }, true, false},
}

// cuts are the lengths to cut a stream of frames at: all, or, if those are many, some of each frame.
func (w *writing) cuts() (list []int) {
	at := 0
	for _, f := range w.frames {
		for n := range len(f.bytes) {
			if n < 2 || len(f.bytes) < 20 || n%5 == 0 && n < 12 || n == len(f.bytes)-1 {
				list = append(list, at+n)
			}
		}
		at += len(f.bytes)
	}
	return append(list, at)
}

// Every way to cut what is written in three, on both kinds of sockets, and everything that can happen after the second cut.
func TestWhatIsWrittenInPiecesHasItsOutcome(t *testing.T) {
	for _, keys := range [][2]int{{5, 5}, {9, 5}, {5, 9}} {
		for _, list := range []queued{
			{{0, 2}, {1}},
			{{1, 2}, nil, {3}},
			{{5000, 1}, {4200}}, // some are pieces of their own
		} {
			for _, stream := range []bool{false, true} {
				t.Run(fmt.Sprintf("keys %d, bodies %d, stream %v", keys, list, stream), func(t *testing.T) {
					eachCut(t, func(s *stage) *writing { return s.writing(keys, stream, list) })
				})
			}
		}
	}
}

func eachCut(t *testing.T, start func(s *stage) *writing) {
	s := newStage(t)
	whole := start(s)
	whole.settle(0)
	cuts := whole.cuts()
	for _, e := range endings {
		for i, first := range cuts {
			for _, second := range cuts[i:] {
				s := s.anew()
				w := start(s)
				w.takes(first)
				w.takes(second - first)
				e.end(w)
				if why := w.judge(s.shared.Ledger.Read(), e.all, e.half); why != "" {
					t.Fatalf("Bob takes %d bytes, then %d, %s: %s", first, second-first, e.name, why)
				}
			}
		}
	}
}

// judge says what is wrong with what was written, and counted.
func (w *writing) judge(a Account, all, half bool) (why string) {
	rest, delivered := w.script.took, uint64(0)
	var missing []written
	for _, f := range w.frames {
		after, ok := bytes.CutPrefix(rest, f.bytes)
		switch {
		case !ok:
			missing = append(missing, f)
		case !f.refusal:
			delivered++
		}
		rest = after
	}
	begun := len(rest) > 0 && half && slices.ContainsFunc(missing, func(f written) bool { return bytes.HasPrefix(f.bytes, rest) })
	switch {
	case len(rest) > 0 && !begun:
		return fmt.Sprintf("%d bytes are not as they should be, behind %d Messages", len(rest), delivered)
	case !half && slices.ContainsFunc(missing, func(f written) bool { return f.refusal || all }):
		return "frames are missing"
	case a.Delivered.Frames != delivered || a.InFlight != Tally{}:
		return fmt.Sprintf("%d Messages were written: %v", delivered, a)
	case w.round != nil || len(w.queue) != w.done || w.window.used.Load() != 0:
		return fmt.Sprintf("there is a rest: %+v, %d bytes of the window", w.output, w.window.used.Load())
	}
	return ""
}

func TestTheLastWordIsWrittenInPieces(t *testing.T) {
	word := frames.Error{Code: frames.Internal, Text: "good-bye"}.Append(nil)
	s := newStage(t)
	for _, stream := range []bool{false, true} {
		for first := range word {
			for second := range word {
				w := s.writing([2]int{5, 5}, stream, nil)
				w.finish(slices.Clone(word))
				w.takes(first)
				w.takes(second)
				w.takesAll()
				if !bytes.Equal(w.script.took, word) {
					t.Fatalf("cut at %d and %d (stream: %v): %d of %d bytes came", first, first+second, stream, len(w.script.took), len(word))
				}
			}
		}
	}
}
