package actors

import (
	"net"
	"slices"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// output is the writing side of a socket. It belongs to its ConnectionActor, which writes itself what the operating system
// takes at once. Only when that takes no more does a goroutine wait for the socket, with nothing in its hands. Nothing
// here grows but by runs, whose memory their senders' windows bound.
type output struct {
	shared     *Shared
	conn       net.Conn
	socket     socket
	connection *actor.PID
	mail       *Mailbox
	queue      []*Run // in order; those of the round come first
	done       int    // so many of the queue are settled
	round      *round // what is being written; nil if nothing is
	soon       bool   // flush will come
	now        bool   // flush is not to wait for what others may have for this client
	waiting    bool   // ready will come
	closing    bool   // nothing is queued any more: what is left is written, then the last word
	parting    bool   // that is done
	broken     bool   // the stream has ended in the middle of a frame
	lastWord   []byte // the Error to close with
	worker     *worker
	slow       *slow       // nil until the socket is full for the first time
	stuck      atomic.Bool // as waiting, from outside
}

// push queues what is to be written. What comes after the last word is settled as the socket would have failed.
func (o *output) push(run *Run) {
	switch {
	case o.closing:
		o.fail(run)
	case o.busy() && run.message():
		o.mail.carry(run).refuse(frames.Busy, "")
	default:
		if o.slow != nil && o.slow.dragging {
			run.detachIfSmall()
		}
		o.queue = append(o.queue, run)
		o.now = o.now || run.alone || run.code != 0 || !run.Type.Carries()
	}
}

// finish writes what is queued, then the last word, and then closes.
func (o *output) finish(lastWord []byte) {
	if !o.closing {
		o.closing, o.lastWord, o.now = true, lastWord, true
	}
}

// settled is to be called when a message was handled: it writes, now or soon. A run that shares its chunk with others is
// not written at once: their recipients come first, and what comes for ours meanwhile goes along.
func (o *output) settled() error {
	switch {
	case o.waiting || !o.now && (o.soon || o.idle()):
	case o.now && !o.mail.more():
		return o.flush()
	case !o.now:
		o.soon = true
		o.shared.pool.start(later{o})
	}
	return nil
}

func (o *output) busy() bool { return o.slow != nil && o.slow.busy }

func (o *output) idle() bool { return o.round == nil && o.done == len(o.queue) }

// flush writes until the operating system takes no more, or everything is written.
func (o *output) flush() error {
	o.now = false
	for o.fill() {
		n, err := o.socket.write(o.round.rest())
		o.wrote(n)
		switch {
		case err != nil:
			return err
		case o.round != nil:
			o.wait()
			return nil
		}
	}
	o.drained()
	return nil
}

// fill makes a round of what is queued; false if nothing is.
func (o *output) fill() bool {
	switch {
	case o.round != nil:
		return true
	case o.done == len(o.queue) && len(o.lastWord) == 0:
		return false
	}
	o.round = newRound(!o.socket.direct())
	todo := o.queue[o.done:]
	for _, run := range todo {
		if o.round.full() || !o.round.add(run, len(todo) == 1) {
			break
		}
	}
	if len(todo) == 0 {
		o.round.piece(o.lastWord, true)
		o.lastWord = nil
	}
	return true
}

// wrote takes note of what the operating system took.
func (o *output) wrote(n int) {
	o.done += o.round.wrote(n)
	if o.round.written() {
		o.round.put()
		o.round = nil
	}
	if o.done == len(o.queue) && cap(o.queue) > keepLength {
		o.queue, o.done = nil, 0
	}
	if 2*o.done >= len(o.queue) { // now and then, lest a queue that is never empty grows for ever
		o.queue, o.done = slices.Delete(o.queue, 0, o.done), 0
	}
}

// wait waits for the socket. It keeps no more than it must.
func (o *output) wait() {
	var pieces [][]byte
	if o.socket.direct() {
		o.round = o.round.begun()
	} else {
		pieces = o.round.rest()
	}
	o.waiting = true
	o.stuck.Store(true)
	if o.slow == nil {
		o.slow = &slow{output: o}
	}
	o.slow.began()
	o.shared.running.Add(1)
	o.shared.pool.start(&waiter{o, pieces}) // ends when the socket takes something, or when the ConnectionActor closes it
}

// goOn goes on after a wait.
func (o *output) goOn(m ready) error {
	o.waiting = false
	o.stuck.Store(false)
	if o.round != nil {
		o.wrote(m.n)
	}
	switch {
	case o.broken:
		o.settle(0)
		o.part(nil, false)
		return nil
	case m.err != nil:
		return m.err
	}
	return o.flush()
}

// breakOff ends the stream in the middle of a frame, if a connection can be ended one way. What the operating system has taken still gets
// to the client, unlike when it is closed. Who waits for the socket comes back with an error.
func (o *output) breakOff() (done bool) {
	all := layers(o.conn)
	half, ok := all[len(all)-1].(interface{ CloseWrite() error })
	if !ok || o.broken || !o.waiting {
		return false
	}
	o.broken = true
	return half.CloseWrite() == nil
}

// drained is called when everything is written.
func (o *output) drained() {
	if o.slow != nil {
		o.slow.caughtUp()
	}
	if o.closing {
		o.part(nil, false)
	}
}

// silent reports whether nothing but the last word is still to be written.
func (o *output) silent() bool {
	return o.done == len(o.queue) && (o.round == nil || len(o.round.parts) == 0)
}

// between reports whether the stream is between two frames, and nobody writes to it.
func (o *output) between() bool {
	return o.round == nil && !o.waiting && !o.parting
}

// part says what is still to be said, and closes the connection in good order.
func (o *output) part(lastWord []byte, brief bool) {
	if !o.parting {
		o.parting = true
		o.shared.running.Add(1)
		o.shared.pool.start(farewell{o, lastWord, brief})
	}
}

// fail settles a run that is not written because the connection is over. A mistake in here costs the run, no more: whoever
// calls it has others to settle.
func (o *output) fail(run *Run) {
	o.shared.contain(func() {
		if !run.forwarded() {
			run.settleAll(run.code) // its sender is this client, or the relay
		} else {
			run.refuse(run.away, "")
		}
	})
}

// stop settles everything that is not written. The socket is closed. What a goroutine is just writing is settled when it has
// returned, which is soon.
func (o *output) stop() {
	o.closing = true
	if o.slow != nil {
		o.slow.stop()
	}
	if !o.waiting || o.socket.direct() {
		o.settle(0)
	}
}

// settle settles everything, now that n bytes more were written and nothing more will be.
func (o *output) settle(n int) {
	if o.round != nil {
		o.shared.contain(func() {
			o.wrote(n)
			if o.round != nil {
				o.round.settleFrames()
				o.round.put()
				o.round = nil
			}
		})
	}
	for _, run := range o.queue[o.done:] {
		o.fail(run)
	}
	o.queue, o.done = nil, 0
}
