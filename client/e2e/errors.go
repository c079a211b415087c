package e2e

import "errors"

// What may be wrong with what a peer or the relay sent. Errors of this package wrap one of these and say more.
var (
	// ErrKey: this is no RSA key of 2048 to 4096 bits that the relay would take.
	ErrKey = errors.New("not a key of 2048 to 4096 bits")
	// ErrOwnKey: nobody talks to themselves.
	ErrOwnKey = errors.New("it is one's own key")
	// ErrUnsealable: it was not sealed for our key, or damaged on its way.
	ErrUnsealable = errors.New("it was not sealed for this key, or was changed on its way")
	// ErrMalformed: it is authentic as far as that can be told, and cannot be read.
	ErrMalformed = errors.New("it cannot be read")
	// ErrVersion: the other side speaks another version or suite. Like ErrMalformed it may come before any signature was
	// checked, so that a relay can cause it.
	ErrVersion = errors.New("the other side speaks another version of this protocol")
	// ErrWrongUser: it names other users than those the relay says it is between.
	ErrWrongUser = errors.New("it is not from and for those the relay says")
	// ErrGroup: the half of the key exchange is not an element of the group, or one that gives the secret away.
	ErrGroup = errors.New("the half of the key exchange is out of range")
	// ErrSignature: the signature is not that of the user named.
	ErrSignature = errors.New("the signature is wrong")
	// ErrConfirmation: the peer does not have the keys.
	ErrConfirmation = errors.New("the confirmation of the keys is wrong")
	// ErrWrongStart: an acceptance of another request than this one, perhaps of one that was given up.
	ErrWrongStart = errors.New("it answers another request")
	// ErrForged: a record was not made with the session's keys, or changed on its way.
	ErrForged = errors.New("it was forged, or changed on its way")
	// ErrReplayed: a record that had arrived before.
	ErrReplayed = errors.New("it arrived a second time")
	// ErrReordered: a record that arrived behind a later one.
	ErrReordered = errors.New("it arrived out of order")
	// ErrWithheld: more records are missing than can have been refused.
	ErrWithheld = errors.New("what came before it is missing")
	// ErrExhausted: the session has sealed as many records as it may. Start a new one.
	ErrExhausted = errors.New("the session is used up; start a new one")
)

// Broken reports whether err says that the relay, or somebody on the way, changed, mixed up, repeated or kept back what
// was sent.
func Broken(err error) bool {
	for _, e := range []error{
		ErrUnsealable, ErrWrongUser, ErrSignature, ErrConfirmation, ErrForged, ErrReplayed, ErrReordered, ErrWithheld,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
