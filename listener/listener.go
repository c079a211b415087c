// Package listener accepts connections, and hands them over. It knows no protocol.
package listener

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/sirupsen/logrus"
)

// How long to wait after accepting failed: the first time, and at most.
const (
	firstPause = 5 * time.Millisecond
	longest    = time.Second
)

// Serve accepts connections from ln and hands each to welcome, until the context ends; then it returns nil. Welcome must not
// block. Faults that pass, such as a lack of file descriptors, are logged and waited out, for at most a second at a time.
// Any other is returned. Either way ln is closed.
func Serve(ctx context.Context, ln net.Listener, tcp func() TCP, log *logrus.Entry, welcome func(net.Conn)) error {
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })()
	defer func() { _ = ln.Close() }()
	log = log.WithField("listen", ln.Addr().String())
	pause := firstPause
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = firstPause
			tcp().tune(conn)
			welcome(conn)
		case ctx.Err() != nil:
			return nil
		case !passing(err):
			return err
		default:
			log.WithError(err).WithField("retry", pause.String()).Warn("cannot accept connections at the moment")
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, longest)
		}
	}
}

// passing reports whether accepting may work again later. Temporary is deprecated in general, for nobody can tell what it
// means, but of accepting it says just this, and net/http asks it as well.
func passing(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}
