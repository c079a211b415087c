package actors

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// output is the writing side of a socket. Its ConnectionActor owns it, and lends what is to be written to a writer: a goroutine
// that lives as long as one batch. Nothing here grows but by runs, whose memory their senders' windows bound.
type output struct {
	shared     *Shared
	conn       net.Conn
	connection *actor.PID
	queue      []outgoing
	writing    bool
	lastWord   []byte // the Error to close with
	closing    bool   // nothing is queued any more: what is left is written, then the last word
}

// outgoing is a run on its way to the socket.
type outgoing struct {
	run    *Run
	code   frames.Code // why its sender gets it back; 0 if it is for this client
	text   string      // of those Errors; empty for the code's own
	away   frames.Code // the refusal if the socket fails first; for those with code 0
	answer []byte      // what to write for the run in its place; for LoginAccepted
}

// writeSize is how many bytes are written at once, about: as many as there are with the frame that exceeds it.
const writeSize = 64 << 10

// stages are where they are put together: no frame makes one grow.
var stages = pool(writeSize + largeBuffer + frames.MaxGrowth)

// push queues what is to be written. What comes after the last word is settled as the socket would have failed.
func (o *output) push(out outgoing) {
	if o.closing {
		out.fail()
		return
	}
	o.queue = append(o.queue, out)
	o.flush()
}

// finish writes what is queued and then the last word, empty for none.
func (o *output) finish(lastWord []byte) {
	if o.closing {
		return
	}
	o.closing, o.lastWord = true, lastWord
	o.flush()
}

// flush lends the queue to a writer, if there is anything to write and nobody at it.
func (o *output) flush() {
	if o.writing || len(o.queue) == 0 && !o.closing {
		return
	}
	w := &writer{output: o, batch: o.queue, lastWord: o.closing}
	o.queue, o.writing = nil, true
	o.shared.Running.Add(1)
	go w.run() // ends with the batch, or by the socket's write deadline, or when the ConnectionActor closes the socket
}

// written takes note that a writer is done.
func (o *output) written() {
	o.writing = false
	o.flush()
}

// fail settles what was not written. A mistake in here costs the run, no more: whoever calls it has others to settle.
func (out outgoing) fail() {
	out.run.chunk.shared.contain(func() {
		switch {
		case out.code != 0 || out.answer != nil:
			out.run.settleAll(out.code) // its sender is this client
		default:
			out.run.refuse(out.away, "")
		}
	})
}

// writer writes one batch, and settles it.
type writer struct {
	output   *output // only what never changes
	batch    []outgoing
	lastWord bool
	buffer   []byte
	ends     []int // for each frame in buffer, where it ends
}

func (w *writer) run() {
	o := w.output
	defer o.shared.Running.Done()
	done := written{lastWord: w.lastWord}
	defer func() {
		if p := recover(); p != nil {
			done.crash = NewCrash(p)
		}
		for _, out := range w.batch {
			out.fail()
		}
		o.shared.Root.Send(o.connection, done)
	}()
	stage := stages.Get().(*[]byte)
	w.buffer = *stage
	done.err = w.write()
	stages.Put(stage)
	if done.err == nil && w.lastWord {
		done.err = w.farewell()
	}
}

// write writes the batch, a buffer at a time, and settles what the operating system took.
func (w *writer) write() error {
	for len(w.batch) > 0 {
		w.buffer, w.ends = w.buffer[:0], w.ends[:0]
		for _, out := range w.batch {
			if !w.encode(out) {
				break
			}
		}
		n, err := w.send(w.buffer)
		w.settle(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// settle settles the frames that ended within the first n bytes of the buffer.
func (w *writer) settle(n int) {
	for _, end := range w.ends {
		if end > n {
			return
		}
		if w.batch[0].run.settle(w.batch[0].code) {
			w.batch = w.batch[1:]
		}
	}
}

// encode appends what is not settled of a run, frame by frame; false when the buffer is full.
func (w *writer) encode(out outgoing) bool {
	out.run.each(func(whole []byte, number uint64) bool {
		switch {
		case len(w.buffer) >= writeSize:
			return false
		case out.answer != nil:
			w.buffer = append(w.buffer, out.answer...)
		case out.code != 0:
			w.buffer = out.refusal(number).Append(w.buffer)
		default: // the sender's key in place of the recipient's
			from, rest := out.run.From(), whole[frames.HeaderSize+out.run.keySize:]
			w.buffer = frames.AppendHeader(w.buffer, out.run.Type, len(from)+len(rest))
			w.buffer = append(append(w.buffer, from...), rest...)
		}
		w.ends = append(w.ends, len(w.buffer))
		return true
	})
	return len(w.buffer) < writeSize
}

func (out outgoing) refusal(number uint64) frames.Error {
	text := out.text
	if text == "" {
		text = out.code.Text()
	}
	return frames.Error{Code: out.code, Request: out.run.Type, Number: number, Text: text}
}

// send writes b. It fails when the socket takes nothing for as long as the write deadline.
func (w *writer) send(b []byte) (n int, err error) {
	o := w.output
	for n < len(b) {
		if err := o.conn.SetWriteDeadline(time.Now().Add(o.shared.Limits.WriteDeadline)); err != nil {
			return n, err
		}
		more, err := o.conn.Write(b[n:])
		n += more
		if err != nil && (more == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return n, err
		}
	}
	return n, nil
}

// lingering is how long the client may go on sending after the last word, lest a reset takes it away (docs/protocol.md, "Closing").
const lingering = 500 * time.Millisecond

// farewell writes the last word, shuts the writing side, and throws away what still comes.
func (w *writer) farewell() error {
	o := w.output
	if len(o.lastWord) == 0 {
		return nil
	}
	if _, err := w.send(o.lastWord); err != nil {
		return err
	}
	if half, ok := o.conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			return err
		}
	}
	if err := o.conn.SetReadDeadline(time.Now().Add(lingering)); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, o.conn) // until the client closes, or time is up
	return nil
}
