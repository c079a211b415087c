package actors

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
)

// shortKey is a key of n bytes, at least 2 and at most 129, to whoever splits it off.
func shortKey(n int, fill byte) frames.Key {
	return append(frames.Key{0x30, byte(n - 2)}, bytes.Repeat([]byte{fill}, n-2)...)
}

// gone is a login that is over: what is refused to it is counted, and nothing else happens.
func (s *stage) gone(key frames.Key) *Login {
	login := s.login(key, nil, nil)
	login.over.Store(true)
	return login
}

// anew is the same stage with a Ledger of its own.
func (s *stage) anew() *stage {
	return &stage{s.t, s.system, NewShared(s.system.Root, *s.shared.Limits(), DoorLimits{}, &Trust{Store: store.NewMemory()}, s.shared.Log)}
}

// bufferedChunk is a chunk as a reader makes it, in a buffer of its own.
func (s *stage) bufferedChunk(from *Login, w *window, list ...frames.Frame) *Chunk {
	c := s.chunk(from, list...)
	c.buffer = getBuffer(mediumBuffer)
	c.bytes = (*c.buffer)[:copy(*c.buffer, c.bytes)]
	c.window, c.weight = w, mediumBuffer+len(list)*books
	w.take(c.weight)
	return c
}

// messages is one run of Messages with these bodies.
func (s *stage) messages(from *Login, to frames.Key, w *window, bodies ...[]byte) *Run {
	var list []frames.Frame
	for _, body := range bodies {
		list = append(list, frames.Message{Peer: to, Body: body})
	}
	c := s.bufferedChunk(from, w, list...)
	r := c.run(len(to))
	for c.at < len(c.bytes) {
		r.add()
	}
	r.away = frames.Offline
	c.release()
	return r
}

// gapped is a run of the first of seven Messages and some of the others; number n has n bytes in its body.
type gapped struct {
	name    string
	shared  *Shared
	window  *window
	run     *Run
	numbers []uint64
}

// eachGapped calls f with every such run, with any number of frames settled but the last.
func eachGapped(t *testing.T, f func(p *gapped)) {
	s := newStage(t)
	for missing := range 1 << 6 {
		for settled := range 7 {
			if p := s.anew().gapped(missing); settled < p.run.count {
				p.name = fmt.Sprintf("without %06b, %d settled", missing, settled)
				p.run.settle(settled, 0)
				p.numbers = p.numbers[settled:]
				f(p)
			} else {
				p.run.settleAll(0)
			}
		}
	}
}

func (s *stage) gapped(missing int) *gapped {
	p := &gapped{shared: s.shared, window: &window{}}
	var list []frames.Frame
	for n := range 7 {
		list = append(list, frames.Message{Peer: shortKey(5, 'b'), Body: bytes.Repeat([]byte{byte(n + 1)}, n+1)})
	}
	c := s.bufferedChunk(s.gone(shortKey(5, 'a')), p.window, list...)
	p.run, p.numbers = c.run(5), []uint64{1}
	for n := uint64(2); n <= 7; n++ {
		if missing>>(n-2)&1 == 1 {
			c.run(5).settleAll(frames.Offline)
			continue
		}
		p.run.add()
		p.numbers = append(p.numbers, n)
	}
	c.release()
	return p
}

// has reports whether these are the frames of a run.
func (r *Run) has(numbers []uint64) bool {
	var got []uint64
	size, same := 0, true
	r.each(func(whole []byte, n uint64) bool {
		got = append(got, n)
		size += len(whole)
		body := bytes.Repeat([]byte{byte(n)}, int(n))
		same = same && bytes.Equal(whole, frames.Message{Peer: shortKey(5, 'b'), Body: body}.Append(nil))
		return true
	})
	return same && slices.Equal(got, numbers) && r.count == len(numbers) && r.bytes == size
}

// rests expects that everything is settled, and all memory given back.
func (p *gapped) rests(t *testing.T, refused int) {
	t.Helper()
	a := p.shared.Ledger.Read()
	if a.InFlight != (Tally{}) || a.Refused[frames.Busy].Frames != uint64(refused) {
		t.Errorf("%s: %v, want %d refused", p.name, a, refused)
	}
	if used := p.window.used.Load(); used != 0 {
		t.Errorf("%s: %d bytes of the window were not given back", p.name, used)
	}
}

func TestARunIsSplitAtAnyFrame(t *testing.T) {
	for n := 1; n < 7; n++ {
		eachGapped(t, func(p *gapped) {
			if n >= p.run.count {
				p.run.settleAll(0)
				return
			}
			rest := p.run.behind(n)
			if !p.run.has(p.numbers[:n]) || !rest.has(p.numbers[n:]) {
				t.Errorf("%s, behind %d: %+v, %+v", p.name, n, *p.run, *rest)
			}
			p.run.settleAll(0)
			rest.settleAll(frames.Busy)
			p.rests(t, len(p.numbers)-n)
		})
	}
}

func TestADetachedRunIsTheSameAndItsChunkGoesBack(t *testing.T) {
	for settled := range 7 { // after it
		eachGapped(t, func(p *gapped) {
			p.run.detach()
			p.run.detach() // does nothing
			if !p.run.has(p.numbers) || p.run.From() != Name(shortKey(5, 'a')) {
				t.Errorf("%s: %+v", p.name, *p.run)
			}
			if used := p.window.used.Load(); used != int64(p.run.bytes+p.run.count*books) {
				t.Errorf("%s: %d bytes of the window are in use", p.name, used)
			}
			if settled = min(settled, p.run.count-1); settled > 0 {
				p.run.settle(settled, 0)
			}
			if !p.run.has(p.numbers[settled:]) {
				t.Errorf("%s, %d more settled: %+v", p.name, settled, *p.run)
			}
			p.run.settleAll(frames.Busy)
			p.rests(t, len(p.numbers)-settled)
		})
	}
}
