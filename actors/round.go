package actors

import (
	"sync"

	"github.com/mdeiml/blubbel-server/frames"
)

// round is what an output writes at once: the pieces of memory, and what they are. Frames whose keys are equally long are
// written from where they were read; the sender's key is put over the recipient's, in place. Others get a header and a key
// of their own in front. Small pieces are gathered, because each costs the operating system as much as copying some KiB.
type round struct {
	parts    []part
	pieces   [][]byte // in order
	gathered []byte   // where small pieces are
	open     int      // where in gathered the last piece begins; -1 if that lies elsewhere
	size     int      // of everything added, in bytes
	copies   bool     // everything is gathered

	partsDone, piecesDone int // so many are written
	credit                int // and so many bytes of the part after those
}

// part is frames of one run that are in the round: the first that are not settled, or, with several parts, those behind them.
type part struct {
	run         *Run
	count, size int // frames, and bytes as they are written
}

const (
	writeSize   = 128 << 10 // a round is full when it has so many bytes; one that copies, when it has sliceSize
	gatherBelow = 4 << 10   // pieces smaller than this are gathered
)

// The pools of rounds, whose memory is as large as they can get: what is added last may be a whole buffer, or a largest frame
// that grows. Those that copy are held for as long as a client does not read, so they are smaller.
var (
	rounds        = roundPool(writeSize + largeBuffer)
	copyingRounds = roundPool(sliceSize + frames.HeaderSize + frames.MaxPayload + frames.MaxGrowth)
)

func roundPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any { return &round{gathered: make([]byte, 0, size)} }}
}

func newRound(copies bool) *round {
	pool := rounds
	if copies {
		pool = copyingRounds
	}
	r := pool.Get().(*round)
	r.copies, r.open = copies, -1
	return r
}

// put lets go of the round's memory.
func (r *round) put() {
	if cap(r.gathered) == 0 { // what was left of another
		return
	}
	clear(r.parts)
	clear(r.pieces)
	pool := rounds
	if r.copies {
		pool = copyingRounds
	}
	*r = round{parts: r.parts[:0], pieces: r.pieces[:0], gathered: r.gathered[:0]}
	pool.Put(r)
}

// full says that nothing more is to be added.
func (r *round) full() bool { return r.size >= writeSize || r.copies && r.size >= sliceSize }

// add adds what is not settled of a run; false if that is too much, and only the beginning was added. Lone says that the
// round will have nothing else.
func (r *round) add(run *Run, lone bool) (whole bool) {
	if run.forwarded() && run.keySize == len(run.From()) && !r.copies {
		run.readdress()
		spans := run.spans[run.settled:]
		for _, s := range spans {
			r.piece(run.chunk.bytes[s.from:s.to], lone && len(spans) == 1)
		}
		r.part(run, run.count, run.bytes)
		return true
	}
	count, before := 0, r.size
	run.each(func(frame []byte, number uint64) bool {
		if r.full() {
			return false
		}
		r.encode(run, frame, number)
		count++
		return true
	})
	r.part(run, count, r.size-before)
	return count == run.count
}

func (r *round) part(run *Run, count, size int) {
	r.parts = append(r.parts, part{run, count, size})
}

// encode adds one frame that is not written as it was read.
func (r *round) encode(run *Run, frame []byte, number uint64) {
	start := len(r.gathered)
	switch {
	case run.code != 0:
		r.gathered = run.refusal(number).Append(r.gathered)
	case run.own:
		r.gathered = append(r.gathered, frame...)
	case run.Type == frames.TypeLogin, run.Type == frames.TypeProve:
		r.gathered = frames.LoginAccepted{}.Append(r.gathered)
	case run.Type == frames.TypePing:
		r.gathered = frames.Pong(frame[frames.HeaderSize:]).Append(r.gathered)
	default: // the sender's key in place of the recipient's
		from, rest := run.From(), frame[frames.HeaderSize+run.keySize:]
		r.gathered = frames.AppendHeader(r.gathered, run.Type, len(from)+len(rest))
		r.gathered = append(r.gathered, from...)
		r.mark(start)
		r.piece(rest, false)
		return
	}
	r.mark(start)
}

func (r *Run) refusal(number uint64) frames.Error {
	text := r.text
	if text == "" {
		text = r.code.Text()
	}
	return frames.Error{Code: r.code, Request: r.Type, Number: number, Text: text}
}

// piece adds some bytes: gathers them, if they are few and not all there is.
func (r *round) piece(b []byte, lone bool) {
	if r.copies || len(b) < gatherBelow && !lone {
		start := len(r.gathered)
		r.gathered = append(r.gathered, b...)
		r.mark(start)
		return
	}
	r.pieces = append(r.pieces, b)
	r.open = -1
	r.size += len(b)
}

// mark makes what was gathered from start on a piece, or a part of the last one.
func (r *round) mark(start int) {
	r.size += len(r.gathered) - start
	if r.open >= 0 {
		r.pieces[len(r.pieces)-1] = r.gathered[r.open:]
		return
	}
	r.open = start
	r.pieces = append(r.pieces, r.gathered[start:])
}

// rest returns the pieces that are not written.
func (r *round) rest() [][]byte { return r.pieces[r.piecesDone:] }

// wrote takes note of n bytes that were written, settles the parts that are whole with them, and returns how many runs are whole.
func (r *round) wrote(n int) (runs int) {
	r.credit += n
	for n > 0 {
		p := &r.pieces[r.piecesDone]
		if n < len(*p) {
			*p = (*p)[n:]
			break
		}
		n -= len(*p)
		r.piecesDone++
	}
	for r.partsDone < len(r.parts) {
		p := r.parts[r.partsDone]
		if p.size > r.credit {
			break
		}
		r.credit -= p.size
		r.partsDone++
		if p.count == p.run.count {
			runs++
		}
		p.run.settle(p.count, p.run.code)
	}
	return runs
}

// written reports whether there is nothing left of the round.
func (r *round) written() bool { return r.piecesDone == len(r.pieces) }

// settleFrames settles the frames that are written of a part that is not.
func (r *round) settleFrames() {
	if r.partsDone == len(r.parts) {
		return
	}
	p := &r.parts[r.partsDone]
	for r.credit >= p.run.wireLen() {
		n := p.run.wireLen()
		p.run.settle(1, p.run.code)
		r.credit -= n
		p.size -= n
		p.count--
	}
}

// wireLen returns how long the first frame is when it is written.
func (r *Run) wireLen() int {
	switch {
	case r.code != 0:
		return len(r.refusal(0).Append(nil))
	case r.own, r.Type == frames.TypePing:
		return r.first()
	case r.Type == frames.TypeLogin, r.Type == frames.TypeProve:
		return frames.HeaderSize
	}
	return r.first() + len(r.From()) - r.keySize
}

// begun returns what is left of the frame that is written in part (or of the last word), as a round that holds no more
// memory than that; nil if there is none. The rest of the round is as if it had never been added.
func (r *round) begun() *round {
	r.settleFrames()
	if r.partsDone < len(r.parts) && r.credit == 0 {
		r.put()
		return nil
	}
	kept, left := &round{credit: r.credit, size: r.size}, r.size
	if r.partsDone < len(r.parts) {
		run := r.parts[r.partsDone].run
		kept.parts = []part{{run, 1, run.wireLen()}}
		left = run.wireLen() - r.credit
	}
	var bytes []byte
	for _, b := range r.rest() {
		b = b[:min(len(b), left)]
		bytes = append(bytes, b...)
		left -= len(b)
	}
	r.put()
	kept.pieces = [][]byte{bytes}
	return kept
}

// holds returns how many frames of a run are in the round, and not settled.
func (r *round) holds(run *Run) (n int) {
	for _, p := range r.parts[r.partsDone:] {
		if p.run == run {
			n += p.count
		}
	}
	return n
}
