package frames

import "fmt"

// Code says why a frame was refused. It stands in an Error; docs/protocol.md has the table.
type Code uint16

// The codes. Those that close end the connection after the Error.
const (
	Malformed       Code = 1 // the payload cannot be read as its type's
	TooLarge        Code = 2 // closes: declared length over the limit
	Unsupported     Code = 3 // a type the relay does not take
	NotLoggedIn     Code = 4
	AlreadyLoggedIn Code = 5
	BadKey          Code = 6
	KeyInUse        Code = 7 // an unproven login of a key that is connected
	ProofRequired   Code = 8
	ProofInvalid    Code = 9  // closes
	Unavailable     Code = 10 // to strangers: unknown, away or no room
	NoRequest       Code = 11
	NoSession       Code = 12
	Offline         Code = 13 // the recipient left before the frame was written
	Busy            Code = 14 // the recipient does not keep up
	RateLimited     Code = 15
	Limit           Code = 16 // too many sessions or requests of the sender's own; for a Login, or for no frame: too many connections
	Timeout         Code = 17 // closes
	Replaced        Code = 18 // closes: a proven login of the same key took over
	ShuttingDown    Code = 19 // closes
	Internal        Code = 20 // the frame crashed its handler; number 0: the connection itself, which closes
	Quota           Code = 21
	Expired         Code = 22
	NotAllowed      Code = 23

	// LastCode is the highest code there is.
	LastCode = NotAllowed
)

// Closes reports whether the relay closes the connection after an Error of this code that answers a frame. It does so after a
// Login that is refused with Limit, too, and after every Error that answers none.
func (c Code) Closes() bool {
	switch c {
	case TooLarge, ProofInvalid, Timeout, Replaced, ShuttingDown:
		return true
	case Malformed, Unsupported, NotLoggedIn, AlreadyLoggedIn, BadKey, KeyInUse, ProofRequired, Unavailable, NoRequest,
		NoSession, Offline, Busy, RateLimited, Limit, Internal, Quota, Expired, NotAllowed:
		return false
	}
	return false
}

// String returns the code's name in the protocol, or its number.
func (c Code) String() string {
	name, _ := c.words()
	return name
}

// Text returns one sentence for people: what was wrong, and what to do where the sender can do something.
func (c Code) Text() string {
	_, text := c.words()
	return text
}

func (c Code) words() (name, text string) { //nolint:funlen // a table
	switch c {
	case Malformed:
		return "MALFORMED", "the payload cannot be read as its type's"
	case TooLarge:
		return "TOO_LARGE", "the payload is longer than is allowed here"
	case Unsupported:
		return "UNSUPPORTED", "this relay does not take frames of this type here"
	case NotLoggedIn:
		return "NOT_LOGGED_IN", "log in first"
	case AlreadyLoggedIn:
		return "ALREADY_LOGGED_IN", "this connection is logged in already"
	case BadKey:
		return "BAD_KEY", "this key cannot be used here"
	case KeyInUse:
		return "KEY_IN_USE", "this key is logged in on another connection"
	case ProofRequired:
		return "PROOF_REQUIRED", "log in with a proof that the key is yours"
	case ProofInvalid:
		return "PROOF_INVALID", "the proof is not valid"
	case Unavailable:
		return "UNAVAILABLE", "this user cannot be asked for a session now"
	case NoRequest:
		return "NO_REQUEST", "this user has not asked for a session"
	case NoSession:
		return "NO_SESSION", "there is no session with this user"
	case Offline:
		return "OFFLINE", "this user is not connected any more"
	case Busy:
		return "BUSY", "this user does not keep up; send again later"
	case RateLimited:
		return "RATE_LIMITED", "too many session requests; ask again later"
	case Limit:
		return "LIMIT", "you have too many sessions or pending requests"
	case Timeout:
		return "TIMEOUT", "this took too long"
	case Replaced:
		return "REPLACED", "this key has logged in on another connection, with a proof"
	case ShuttingDown:
		return "SHUTTING_DOWN", "the relay is shutting down"
	case Internal:
		return "INTERNAL", "the relay failed on this frame; it was not delivered"
	case Quota:
		return "QUOTA", "this user's mailbox is full"
	case Expired:
		return "EXPIRED", "the message was not fetched in time"
	case NotAllowed:
		return "NOT_ALLOWED", "this relay serves listed keys only"
	}
	return fmt.Sprintf("CODE_%d", uint16(c)), ""
}

// Refusal is the error for a frame that may not be: its code, and a text for people where the code's own does not say
// enough.
type Refusal struct {
	Code Code
	Text string
}

// Error returns the code's name and the text.
func (r *Refusal) Error() string { return r.Code.String() + ": " + r.Text }

func refuse(c Code, text string) error { return &Refusal{Code: c, Text: text} }
