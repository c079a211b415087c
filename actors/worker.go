package actors

import "sync"

// A message to an idle actor has to be handled by some goroutine. Proto.Actor starts a new one each time, whose small stack
// then grows, and which somebody has to wake. A worker is a goroutine that does it instead: what the actor that it runs
// sends to an idle actor, it runs itself, next. So a chunk goes from its reader all the way to a socket on the reader's
// goroutine, and nobody is woken.

// worker is a goroutine that runs mailboxes: a reader's, or one of the pool's. Its fields belong to that goroutine.
type worker struct {
	runs  *Mailbox
	ready []*Mailbox // with messages, and running for everybody who looks: ours to run, in order
	jobs  chan job   // nil for a reader's
}

// job is what a worker of the pool is started for.
type job interface{ run(w *worker) }

// work runs what is ready, and what becomes so by that. It ends, even if others send to what it runs all the time: a mailbox
// gives up its place after turnLength messages, and after mostRuns mailboxes the pool goes on. A reader has its own socket to read.
func (w *worker) work() {
	for i := 0; i < len(w.ready); i++ {
		m := w.ready[i]
		w.ready[i] = nil
		if i < mostRuns {
			m.run(w)
		} else {
			m.shared.pool.start(m)
		}
	}
	w.ready = w.ready[:0]
}

// exits leaves to others what it runs and what it was about to run, now that its goroutine ends: an actor, or what a host has put
// around it, has called runtime.Goexit.
func (w *worker) exits() {
	for _, m := range append(w.ready, w.runs) {
		if m != nil {
			m.worker = nil
			m.shared.pool.start(m)
		}
	}
	w.ready, w.runs = nil, nil
}

// mostRuns is how many mailboxes are run for one chunk. More than the recipients of a usual one, and their connections.
const mostRuns = 256

// pool starts jobs on workers that wait for some, the last that came first: its stack is warm, and has grown already.
type pool struct {
	mu     sync.Mutex
	idle   []*worker
	closed bool
}

// mostIdle is how many workers wait at most. More than cores do not run; the others are for those that wait for a socket.
const mostIdle = 64

// start runs the job on a goroutine of its own. It does not wait.
func (p *pool) start(j job) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		w.jobs <- j // has room: it is idle
		return
	}
	p.mu.Unlock()
	w := &worker{jobs: make(chan job, 1)}
	w.jobs <- j
	go p.serve(w) // ends when enough others are idle, or with the pool
}

func (p *pool) serve(w *worker) {
	defer w.exits() // there is something only if it was made to
	for j := range w.jobs {
		j.run(w)
		w.work()
		if !p.park(w) {
			return
		}
	}
}

// park lets a worker wait for its next job; false if it is not needed.
func (p *pool) park(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) == mostIdle {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// close ends the workers that wait, and the others as soon as they are done. Jobs can be started as before.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, w := range p.idle {
		close(w.jobs)
	}
	p.idle = nil
}
