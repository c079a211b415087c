package actors

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// Run is frames of one type out of one chunk, that share their fate so far: on their way to one recipient, or back to their
// sender with one refusal. Whoever holds a run settles it or passes it on; it has one holder at a time, and when its last
// frame is settled it is used again, if it was of Messages: nobody may look at it after that.
type Run struct {
	Type    frames.Type
	chunk   *Chunk
	keySize int    // how many bytes of each payload are the recipient's key
	spans   []span // of which the first ones may be settled
	settled int    // so many are
	count   int    // frames that are not settled
	bytes   int    // and their bytes, headers included

	here   *pair       // what its sender has with its recipient
	there  *pair       // what its recipient has with its sender, as far as that is known; the recipient's to look into
	seq    uint64      // as in Join; 0 from a UserActor
	own    bool        // the relay's own: the frame goes as it is, and nobody waits for its outcome
	alone  bool        // it is all that its chunk has for others: there is nothing to wait for with the writing
	away   frames.Code // the refusal if the recipient's connection ends first. Set by the recipient's UserActor
	code   frames.Code // why it goes back to its sender; 0 if it does not
	text   string      // of those Errors; empty for the code's own
	worker *worker     // that sends it; see ride
}

// span is frames that follow each other in the chunk.
type span struct {
	from, to int
	number   uint64 // request number of the first
}

var runs = sync.Pool{New: func() any { return new(Run) }}

// run takes the frame at the mark as a run of its own, and moves the mark behind it. keySize is how many bytes of its payload are the recipient's key.
func (c *Chunk) run(keySize int) *Run {
	r := c.emptyRun(frames.Type(c.bytes[c.at]), keySize)
	r.add()
	return r
}

func (c *Chunk) emptyRun(t frames.Type, keySize int) *Run {
	r := runs.Get().(*Run)
	r.chunk, r.Type, r.keySize = c, t, keySize
	c.open.Add(1)
	return r
}

// add moves the frame at the chunk's mark into the run.
func (r *Run) add() {
	c := r.chunk
	n := frameLen(c.bytes[c.at:])
	r.count++
	r.bytes += n
	if last := len(r.spans) - 1; last >= 0 && r.spans[last].to == c.at {
		r.spans[last].to += n
	} else {
		r.spans = append(r.spans, span{from: c.at, to: c.at + n, number: c.number})
	}
	c.pass(n)
}

// each calls f for every frame that is not settled, in order, until f says no.
func (r *Run) each(f func(whole []byte, number uint64) bool) {
	for _, s := range r.spans[r.settled:] {
		for s.from < s.to {
			n := frameLen(r.chunk.bytes[s.from:])
			if !f(r.chunk.bytes[s.from:s.from+n], s.number) {
				return
			}
			s.from += n
			s.number++
		}
	}
}

// readdress puts the sender's key in the place of the recipient's, which must be as long.
func (r *Run) readdress() {
	name, b := r.chunk.login.Name, r.chunk.bytes
	for _, s := range r.spans[r.settled:] {
		for s.from < s.to {
			copy(b[s.from+frames.HeaderSize:], name)
			s.from += frameLen(b[s.from:])
		}
	}
}

// forwarded reports whether it goes from a user to another, with the sender's key in place of the recipient's.
func (r *Run) forwarded() bool {
	return r.code == 0 && !r.own && (r.Type.Carries() || r.Type == frames.TypeEnd)
}

// silent reports whether nobody is told when it does not arrive.
func (r *Run) silent() bool { return r.own || r.Type == frames.TypeEnd && r.keySize > 0 }

// message reports whether it is Messages on their way to a recipient.
func (r *Run) message() bool { return r.Type == frames.TypeMessage && r.code == 0 }

// first returns the length of the first frame.
func (r *Run) first() int { return frameLen(r.chunk.bytes[r.spans[r.settled].from:]) }

// drop takes the first frame off, and returns its length.
func (r *Run) drop() int {
	n := r.first()
	r.count--
	r.bytes -= n
	s := &r.spans[r.settled]
	s.from += n
	s.number++
	if s.from == s.to {
		r.settled++
	}
	return n
}

// behind takes all but the first n frames off, as a run of their own. There must be some.
func (r *Run) behind(n int) *Run {
	rest := r.chunk.emptyRun(r.Type, r.keySize)
	rest.away, rest.code, rest.text, rest.count, rest.bytes = r.away, r.code, r.text, r.count, r.bytes
	rest.spans = append(rest.spans, r.spans[r.settled:]...)
	for range n {
		rest.drop()
	}
	r.count -= rest.count
	r.bytes -= rest.bytes
	kept := r.settled + rest.settled
	end := rest.spans[rest.settled].from // where the rest begins, the run ends
	if r.spans[kept].from < end {
		r.spans[kept].to = end
		kept++
	}
	r.spans = r.spans[:kept]
	return rest
}

// detach copies the frames out of their chunk, which may go back then; from now on they weigh themselves. What waits for
// somebody slow must not keep a large buffer from its sender.
func (r *Run) detach() {
	c := r.chunk
	if c.buffer == nil { // it was copied already
		return
	}
	own := &Chunk{shared: c.shared, login: c.login, read: c.read, window: c.window, weight: r.bytes + r.count*books}
	own.bytes = make([]byte, 0, r.bytes)
	for i, s := range r.spans[r.settled:] {
		r.spans[i] = span{from: len(own.bytes), to: len(own.bytes) + s.to - s.from, number: s.number}
		own.bytes = append(own.bytes, c.bytes[s.from:s.to]...)
	}
	r.spans, r.settled = r.spans[:len(r.spans)-r.settled], 0
	own.open.Store(1)
	own.window.take(own.weight)
	r.chunk = own
	c.release()
}

// detachIfSmall does so if it helps.
func (r *Run) detachIfSmall() {
	if 2*(r.bytes+r.count*books) < r.chunk.weight {
		r.detach()
	}
}

// settle gives the first n frames their outcome: delivered (code 0), or refused, its Error written or nobody there to read
// it. With its last frame the run is gone.
func (r *Run) settle(n int, code frames.Code) {
	if n == r.count {
		r.settleAll(code)
		return
	}
	bytes := 0
	for range n {
		bytes += r.drop()
	}
	r.enter(n, bytes, code)
}

// settleAll gives all frames the same outcome.
func (r *Run) settleAll(code frames.Code) {
	c := r.chunk
	if c == nil {
		panic(bug("a run was settled twice"))
	}
	r.enter(r.count, r.bytes, code)
	message, spans := r.Type == frames.TypeMessage, r.spans[:0]
	*r = Run{spans: spans}
	c.release()
	if message {
		runs.Put(r)
	}
}

func (r *Run) enter(n, bytes int, code frames.Code) {
	if r.Type.Carries() && r.chunk.login != nil {
		r.chunk.shared.Ledger.settle(n, bytes, code, r.chunk.read)
	}
}

// refuse sends the run back to the connection it came from, which tells the client. An empty text stands for the code's own.
func (r *Run) refuse(code frames.Code, text string) {
	if r.silent() {
		r.settleAll(0)
		return
	}
	r.code, r.text = code, text
	if r.chunk.login.over.Load() {
		r.settleAll(code)
		return
	}
	r.chunk.shared.Root.Send(r.chunk.login.Connection, Refuse{Run: r})
}

// Numbered notes which of the Registry's messages to a UserActor carries the run, as in Join. It returns the run.
func (r *Run) Numbered(seq uint64) *Run {
	r.seq = seq
	return r
}

// From returns the Name of the key that the frames are from.
func (r *Run) From() string { return r.chunk.login.Name }

// to returns the Name of the key that the first frame is for.
func (r *Run) to() string {
	payload := r.spans[r.settled].from + frames.HeaderSize
	return string(r.chunk.bytes[payload : payload+r.keySize])
}

// Sender returns the UserActor that the frames are from.
func (r *Run) Sender() *actor.PID { return r.chunk.login.User }
