package actors

import (
	"runtime"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// proving is the job to look at a proof of possession, and to remember a valid one. It may wait: for its address's rate, for others'
// proofs, for the disk. Meanwhile the connection is not read.
type proving struct {
	shared   *Shared
	login    *Login
	greeting *greeting     // nil if TLS has proved it already
	proof    frames.Prove  // its own memory
	deadline time.Time     // of the login; zero for none
	quits    chan struct{} // closed when the connection is to end
}

// proved is the outcome. From a proving job.
type proved struct {
	quiet
	login *Login
	code  frames.Code // 0 if it is valid
	gone  bool        // the connection is about to end: nobody needs the outcome
	crash *Crash
}

// abandon implements abandoner.
func (m proved) abandon() bool { m.login.shared.tell(m.login.Connection, m.crash); return false }

// verifications is how many signatures are verified at once: what a flood of them may take from the others.
func verifications() chan struct{} { return make(chan struct{}, 2*runtime.GOMAXPROCS(0)) }

func (p *proving) run(*worker) {
	defer p.shared.running.Done()
	m, returned := proved{login: p.login, code: frames.Internal}, false
	defer func() {
		if crashed := recover(); crashed != nil || !returned { // in a store or a list of the host's
			m.crash = NewCrash(crashed)
		}
		p.shared.send(p.login.Connection, m)
	}()
	m.code, m.gone = p.judge()
	returned = true
}

// judge says what becomes of the login.
func (p *proving) judge() (code frames.Code, gone bool) {
	if p.greeting != nil {
		done, ok := p.turn()
		if !ok {
			return frames.Timeout, isClosed(p.quits)
		}
		valid := p.valid()
		done()
		if !valid {
			return frames.ProofInvalid, false
		}
	}
	key := p.login.fingerprint()
	if !p.shared.Trust.allows(key) {
		return frames.NotAllowed, false
	}
	return p.shared.pin(key), false
}

// valid looks at the proof. All that may be wrong with it takes the same way.
func (p *proving) valid() bool {
	return p.greeting.provable && p.shared.Keys.Check(p.proof.Key) == nil && p.greeting.Proven(p.proof)
}

// turn waits until the proof may be looked at; false if there is no time left for that. Who has had its turn says when it is done.
func (p *proving) turn() (done func(), ok bool) {
	var end <-chan time.Time
	if !p.deadline.IsZero() {
		timer := time.NewTimer(time.Until(p.deadline))
		defer timer.Stop()
		end = timer.C
	}
	if wait := p.login.address.proveIn(time.Now()); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-end:
			return nil, false
		case <-p.quits:
			return nil, false
		}
	}
	select {
	case p.shared.verifying <- struct{}{}:
		return func() { <-p.shared.verifying }, true
	case <-end:
	case <-p.quits:
	}
	return nil, false
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
