package client

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// Refused is an Error of the relay, with the request it answers (docs/protocol.md, Error).
type Refused struct {
	Code    frames.Code
	Request frames.Type // 0 if it answers none
	Peer    frames.Key  // whom the request was for; nil for a Login, and if it answers none
	Text    string      // the relay's words: show them as text, they may hold anything
}

// Error names the request and the code, and says in our words what it means; in the relay's, quoted, where it knows more.
func (r *Refused) Error() string {
	text := r.Code.Text()
	atTheDoor := r.Code == frames.Limit && (r.Request == 0 || r.Request == frames.TypeLogin || r.Request == frames.TypeProve) ||
		r.Code == frames.Unsupported && r.Request == 0
	if text == "" || atTheDoor { // a code of a later version; too many connections, of one kind or another; or no TLS
		text = strconv.Quote(r.Text)
	}
	if r.Request == 0 {
		return fmt.Sprintf("the relay closes the connection: %s, %s", r.Code, text)
	}
	return fmt.Sprintf("the relay refused %s: %s, %s", r.Request, r.Code, text)
}

// IsRefused reports whether err is an Error of the relay with this code.
func IsRefused(err error, code frames.Code) bool {
	var refused *Refused
	return errors.As(err, &refused) && refused.Code == code
}

// Ended is how a session ends that one side has ended.
type Ended struct {
	ByPeer bool
	Reason string // the peer's words, or ours; may be empty, and may hold anything
}

// Error says who ended it.
func (e *Ended) Error() string {
	if e.ByPeer {
		return "the peer has ended the session"
	}
	return "the session was ended here"
}

// Noticed is why the peer gave a session up, as the peer says.
type Noticed struct{ Err error }

// Error says what the peer noticed.
func (n *Noticed) Error() string { return "the peer gave the session up: " + n.Err.Error() }

// Unwrap returns what the peer noticed, one of the errors of package e2e.
func (n *Noticed) Unwrap() error { return n.Err }

// What may go wrong besides. What package e2e finds wrong with keys, requests and records are its own errors.
var (
	// ErrClosed: Close was called.
	ErrClosed = errors.New("client: closed")
	// ErrDisconnected: the connection to the relay ended without a word.
	ErrDisconnected = errors.New("the connection to the relay is lost")
	// ErrNoAnswer: the relay has not answered our pings.
	ErrNoAnswer = fmt.Errorf("%w: the relay does not answer any more", ErrDisconnected)
	// ErrRelay: the relay sent what no relay may send.
	ErrRelay = errors.New("this is no relay, or a broken one")
	// ErrOldRelay: the relay knows neither Hello nor proofs. Options.Unproven logs in without, if that is what you want.
	ErrOldRelay = errors.New("this is an older relay, which takes no proof of who logs in; " +
		"to log in without one has to be asked for (Options.Unproven)")
	// ErrNoHello: Options.Unproven says no Hello, so the relay takes no pings, and proves nothing.
	ErrNoHello = errors.New("client: this needs a Hello, which Options.Unproven does without")
	// ErrNotLoggedIn: Login first.
	ErrNotLoggedIn = errors.New("client: not logged in")
	// ErrLoggedIn: one login for each connection.
	ErrLoggedIn = errors.New("client: logged in already, or about to")
	// ErrNoRequest: this user has not asked, or has asked and taken it back.
	ErrNoRequest = errors.New("client: this user has not asked for a session")
	// ErrGivenUp: GiveUp was called, or the context of AcceptSession ended.
	ErrGivenUp = errors.New("the session was given up")
	// ErrTooLong: a text has at most MaxText bytes.
	ErrTooLong = fmt.Errorf("client: a text has at most %d bytes", MaxText)
	// ErrSilent: the peer's client should have confirmed something, and has not.
	ErrSilent = errors.New("the peer's client does not answer: it is gone, or the relay keeps back what is said")
	// ErrReplaced: the peer has started anew, as after a crash.
	ErrReplaced = errors.New("the peer has begun a new session")
	// ErrSessionLost: the connection broke, and when it was there again the relay had no such session any more: the peer has
	// ended it meanwhile, or the relay was restarted, or one of the two logins was not proven.
	ErrSessionLost = errors.New("the session has not outlived the break of the connection")
	// ErrStale: a request's time is far from ours: the relay has kept it, or a clock is wrong.
	ErrStale = fmt.Errorf("the request is not from this hour: the relay kept it, or one of the two clocks is wrong")
	// ErrRepeated: a request that was seen before.
	ErrRepeated = errors.New("this request was seen before: the relay, or somebody on the way, sends it again")
	// ErrUnasked: an acceptance, or a message, that belongs to nothing we know of. It may have been on its way for long.
	ErrUnasked = errors.New("it belongs to no session and no request of ours")
	// ErrContradiction: the relay said that it refused what it delivered.
	ErrContradiction = errors.New("the relay refused a message and delivered it all the same")
)

// Tampering reports whether err says that the relay, or somebody on the way, did what no honest relay does: changed,
// mixed up, repeated or kept back what was sent.
func Tampering(err error) bool {
	return e2e.Broken(err) || errors.Is(err, ErrContradiction) || errors.Is(err, ErrRepeated)
}
