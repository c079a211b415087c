package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailure     = 1   // a file, a key
	exitUsage       = 2   // the command line
	exitRelay       = 3   // the relay cannot be reached, refuses, or is gone
	exitAway        = 4   // the friend is away, or does not accept
	exitTampering   = 5   // the relay, or somebody on the way, changed, repeated or kept back what was sent
	exitUnconfirmed = 6   // the session ended before the friend's client had confirmed everything
	exitInterrupted = 130 // Ctrl-C
)

// coded is an error with an exit code.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

func withCode(code int, err error) error { return coded{error: err, code: code} }

var errInterrupted = withCode(exitInterrupted, errors.New("interrupted"))

func exitCode(err error) int {
	var c coded
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &c):
		return c.code
	}
	return exitFailure
}

// unconfirmed adds to err how many messages the friend's client has not confirmed, if there are any.
func unconfirmed(session *client.Session, err error) error {
	n := session.Unconfirmed()
	switch {
	case n == 0:
		return err
	case err == nil:
		return withCode(exitUnconfirmed, fmt.Errorf("not confirmed, and perhaps not received: your last messages (%d)", n))
	}
	return withCode(exitCode(err), fmt.Errorf("%w; not confirmed, and perhaps not received: your last messages (%d)", err, n))
}

// explain says in words that a person can act on why it ended with a friend of this name, with an exit code.
func explain(err error, friend string) error {
	var refused *client.Refused
	switch {
	case err == nil:
		return nil
	case client.Tampering(err):
		return withCode(exitTampering, fmt.Errorf("do not trust this relay, or the network: %w", err))
	case errors.As(err, &refused):
		return explainRefusal(refused, friend)
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return withCode(exitAway, fmt.Errorf("%s did not answer in time", friend))
	}
	if e := explainSession(err, friend); e != nil {
		return e
	}
	if e := explainRelay(err); e != nil {
		return e
	}
	return err
}

// explainSession explains how a session with a friend ended; nil if err is about something else.
func explainSession(err error, friend string) error {
	var ended *client.Ended
	var left *client.Left
	text := ""
	switch {
	case errors.As(err, &ended):
		text = hasEnded(ended.Reason, friend)
	case errors.As(err, &left) && left.Disconnected():
		text = fmt.Sprintf("%s has left: the connection has ended, says the relay", friend)
	case errors.As(err, &left):
		text = hasEnded(left.Reason, friend) + ", says the relay"
	case errors.Is(err, client.ErrGivenUp):
		text = fmt.Sprintf("the program of %s could not go on", friend)
	case errors.Is(err, client.ErrSilent):
		text = fmt.Sprintf("%s does not answer any more: gone, or kept from us by the relay", friend)
	case errors.Is(err, client.ErrReplaced):
		text = fmt.Sprintf("%s has begun a new session", friend)
	case errors.Is(err, client.ErrSessionLost):
		text = fmt.Sprintf("while we were away, %s has left, or the relay has forgotten the session", friend)
	default:
		return nil
	}
	return withCode(exitUnconfirmed, errors.New(text))
}

// explainRelay explains what is wrong with the relay, or with the way there; nil if err is about something else.
func explainRelay(err error) error {
	var wrong *client.WrongRelay
	switch {
	case errors.As(err, &wrong) && wrong.Forged:
		return withCode(exitTampering, fmt.Errorf("%w; nothing was told to it", err))
	case errors.As(err, &wrong):
		return withCode(exitRelay, fmt.Errorf("%w; nothing was told to it. If the relay has a new identity, ask for its new address", err))
	case errors.Is(err, client.ErrOldRelay):
		return withCode(exitRelay, errors.New("this is an older relay, which takes no proof that the key is yours; to log in without, say --unproven"))
	case errors.Is(err, client.ErrDisconnected):
		return withCode(exitRelay, errors.New("the connection to the relay is lost; try again when it is back"))
	case errors.Is(err, client.ErrRelay):
		return withCode(exitRelay, errors.New("what answers there is not a blubbel relay; check the address"))
	}
	return nil
}

// hasEnded says that a friend has ended the session, and the reason if there is one.
func hasEnded(reason, friend string) string {
	if reason == "" {
		return friend + " has ended the session"
	}
	return fmt.Sprintf("%s has ended the session: %s", friend, printable(reason))
}

// ending says that a friend has said its last.
func ending(session *client.Session, friend string) string {
	if ended := session.Farewell(); ended != nil {
		return hasEnded(ended.Reason, friend)
	}
	return hasEnded("", friend)
}

func explainRefusal(r *client.Refused, friend string) error {
	switch r.Code { //nolint:exhaustive // what else there is says enough by itself
	case frames.Unsupported:
		if r.Request == 0 {
			return withCode(exitRelay, fmt.Errorf("%w; with TLS the address begins with tls:// or blubbels://, in a WebSocket with ws:// or wss://", r))
		}
	case frames.Unavailable:
		return withCode(exitAway, fmt.Errorf("%s is away, or nobody has this key", friend))
	case frames.NoSession, frames.Offline:
		return withCode(exitUnconfirmed, fmt.Errorf("%s has left", friend))
	case frames.NoRequest:
		return withCode(exitAway, fmt.Errorf("%s has asked and is gone again", friend))
	case frames.KeyInUse:
		return withCode(exitRelay, errors.New("this key is connected already; end the other program, or wait up to three "+
			"minutes if its network is gone"))
	case frames.BadKey:
		return withCode(exitRelay, errors.New("this relay does not take your key"))
	case frames.ProofRequired:
		return withCode(exitRelay, errors.New("this relay wants a proof that the key is yours; leave out --unproven"))
	case frames.ProofInvalid:
		return withCode(exitRelay, errors.New("the relay does not take the proof that the key is yours: somebody in between changes "+
			"what is said, or the relay is at fault"))
	case frames.NotAllowed:
		return withCode(exitRelay, errors.New("this relay serves listed keys only, and yours is not among them; ask who runs it"))
	case frames.Replaced:
		return withCode(exitRelay, errors.New("you are logged in elsewhere now: another program has proved that it has your key"))
	case frames.ShuttingDown:
		return withCode(exitRelay, errors.New("the relay is shutting down; try again when it is back"))
	}
	return withCode(exitRelay, r)
}
