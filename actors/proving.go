package actors

import (
	"runtime"
	"sync"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// proving is the job to look at a proof of possession, and to remember a valid one. It may wait: for its address's rate, for others'
// proofs, for the disk. Meanwhile the connection is not read. It ends when its connection quits, at the latest when the time to log in is
// over; but for while the store does not return, for which nobody waits.
type proving struct {
	shared   *Shared
	login    *Login
	greeting *greeting     // nil if TLS has proved it already
	proof    frames.Prove  // its own memory
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

// overdue says that the time of a login is over whose proof is still being looked at.
type overdue struct {
	quiet
	login *Login
}

// abandon implements abandoner.
func (m proved) abandon() bool { m.login.shared.tell(m.login.Connection, m.crash); return false }

// verifications is how many signatures are verified at once: what a flood of them may take from the others.
func verifications() chan struct{} { return make(chan struct{}, 2*runtime.GOMAXPROCS(0)) }

func (p *proving) run(*worker) {
	done := sync.OnceFunc(p.shared.running.Done)
	defer done()
	m, returned := proved{login: p.login, code: frames.Internal}, false
	defer func() {
		if crashed := recover(); crashed != nil || !returned { // in a store or a list of the host's
			m.crash = NewCrash(crashed)
		}
		p.shared.send(p.login.Connection, m)
	}()
	code, gone := p.judge()
	if code == 0 && !gone {
		done() // a disk may hang
		code = p.shared.pin(p.login.fingerprint())
	}
	m.code, m.gone, returned = code, gone, true
}

// judge says whether the login may be, as far as that can be known without remembering it.
func (p *proving) judge() (code frames.Code, gone bool) {
	if p.greeting != nil {
		switch valid, gone := p.valid(); {
		case gone:
			return 0, true
		case !valid:
			return frames.ProofInvalid, false
		}
	}
	if !p.shared.Trust.allows(p.login.fingerprint()) {
		return frames.NotAllowed, false
	}
	return 0, false
}

// valid looks at the proof when its turn has come. All that may be wrong with it takes the same way.
func (p *proving) valid() (valid, gone bool) {
	if wait, callOff := p.login.address.proveIn(time.Now()); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.quits:
			callOff()
			return false, true
		}
	}
	select {
	case p.shared.verifying <- struct{}{}:
		defer func() { <-p.shared.verifying }()
	case <-p.quits:
		return false, true
	}
	return p.greeting.provable && p.shared.Limits().Keys.Check(p.proof.Key) == nil && p.greeting.Proven(p.proof), false
}
