package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/mdeiml/blubbel-server/frames"
)

// The exit codes.
const (
	exitOK          = 0
	exitFindings    = 1   // something was lost or bad, or the relay closed a connection
	exitUsage       = 2   // the command line: a flag, the process that --pid names, the file that --json names
	exitRelay       = 3   // the relay cannot be reached, does not speak the protocol, or does not let us in
	exitInterrupted = 130 // Ctrl-C
)

// coded is an error with an exit code.
type coded struct {
	error
	code int
}

func (c coded) Unwrap() error { return c.error }

func withCode(code int, format string, args ...any) error {
	return coded{error: fmt.Errorf(format, args...), code: code}
}

func exitCode(err error) int {
	var c coded
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &c):
		return c.code
	}
	return exitFindings
}

// refusal is an Error of the relay, as an error.
type refusal struct {
	Code frames.Code
	Text string
}

// Error returns the code's name and the text.
func (r *refusal) Error() string { return fmt.Sprintf("%v: %.120q", r.Code, r.Text) }

// explainDial says what to do about a relay that cannot be reached.
func explainDial(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return withCode(exitRelay, "so many connections are more open files than this process may have; see ulimit -n")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return withCode(exitRelay, "cannot connect from there, or no ports are left for it; see --sources (%w)", plain(err))
	}
	err = plain(err) // the rest says the line already
	return withCode(exitRelay, "cannot reach the relay at %s; is it running, and --relay right? (%w)", address, err)
}

// explainLogin says what to do about a relay that does not let us in.
func explainLogin(address string, err error) error {
	r, refused := errors.AsType[*refusal](err)
	_, explained := errors.AsType[coded](err)
	switch {
	case explained:
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return withCode(exitRelay, "what answers at %s says nothing to a login within %v; is --relay right?", address, answerTime)
	case !refused:
		return withCode(exitRelay, "what answers at %s is not a blubbel relay; check --relay (%w)", address, plain(err))
	}
	switch r.Code { //nolint:exhaustive // what else there is says enough by itself
	case frames.ProofRequired, frames.NotAllowed:
		return withCode(exitRelay, "the relay at %s lets in only keys that it knows or that prove themselves, and ours are made up (%w)", address, r)
	case frames.Limit:
		return withCode(exitRelay, "the relay at %s limits connections; start it with --rate-limits off (%w)", address, r)
	case frames.BadKey:
		return withCode(exitRelay, "the relay at %s does not take keys of this size; choose another with --key-bits (%w)", address, r)
	}
	return withCode(exitRelay, "the relay at %s refuses a login (%w)", address, r)
}

// explainSession says what to do about a session that does not come about.
func explainSession(err error) error {
	r, refused := errors.AsType[*refusal](err)
	switch {
	case !refused:
		return withCode(exitRelay, "no session comes about: %w", plain(err))
	case r.Code == frames.RateLimited, r.Code == frames.Unavailable:
		return withCode(exitRelay, "the relay limits requests for sessions; start it with --rate-limits off (%w)", r)
	case r.Code == frames.Limit:
		return withCode(exitRelay, "the relay allows one user fewer sessions than this needs; try with fewer users (%w)", r)
	}
	return withCode(exitRelay, "the relay refuses a session between two users that are logged in (%w)", r)
}

// plain leaves addresses out of a network error, which change from run to run.
func plain(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
