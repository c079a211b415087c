package actors

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
)

// layered is a connection that has to agree with its client on how to speak before anything can be said: TLS, WebSocket, or one on which
// a proxy says first who the client is.
type layered interface{ Handshake() error }

// misunderstanding is the error of a handshake with a client that said something else than it should. It holds none of that.
type misunderstanding interface {
	error
	// Parting returns what is left of the connection, and what the client is still to be told over it, if it was not.
	Parting() (conn net.Conn, text string)
}

// shakeHands has the connection agree with the client first, within the time to log in: it does not like to be interrupted. Then it may turn
// out where the client comes from, and that nobody from there may come in.
func (r *reader) shakeHands() (refusal *frames.Refusal, err error) {
	conn, ok := r.conn.(layered)
	if !ok || r.shaken {
		return nil, nil
	}
	r.shaken = true
	_ = r.conn.SetWriteDeadline(r.loginBy)
	r.arm(r.loginBy)
	switch err = conn.Handshake(); {
	case r.rings(err):
		return r.late(), err
	case err != nil:
		r.part(err)
	case answersACME(r.conn):
		err = errChallenge
	default:
		refusal = r.arrive()
	}
	_ = r.conn.SetWriteDeadline(time.Time{})
	return refusal, err
}

// arrive has the connection count for the address that it comes from, if that was not known before.
func (r *reader) arrive() *frames.Refusal {
	arrived, text := r.entry.arrive(r.conn)
	if arrived && r.shared.debugs() {
		r.log().WithField("remote", printable(r.conn.RemoteAddr().String())).Debug("the client of a proxy is known")
	}
	if text != "" {
		return &frames.Refusal{Code: frames.Limit, Text: text}
	}
	return nil
}

func (r *reader) log() *logrus.Entry { return r.shared.Log.WithField("connection", r.connection.Id) }

// part tells a client why the handshake failed, if it can be told.
func (r *reader) part(why error) {
	var conn net.Conn
	var text string
	plain, misunderstood := tls.RecordHeaderError{}, misunderstanding(nil)
	switch {
	case errors.As(why, &misunderstood):
		conn, text = misunderstood.Parting()
		if r.shared.debugs() {
			r.log().WithField("why", misunderstood.Error()).Debug("the handshake failed")
		}
	case errors.As(why, &plain):
		conn, text = plain.Conn, "this port speaks TLS, which you do not"
	}
	if conn == nil {
		return
	}
	var word []byte
	if text != "" {
		word = frames.Error{Code: frames.Unsupported, Text: text}.Append(nil)
	}
	takeLeave(conn, word, func() int64 { return 0 })
}

// answersACME reports whether an ACME server has asked by ALPN. It looks at the certificate, and has nothing to say (RFC 8737, 3).
func answersACME(conn net.Conn) bool {
	s, ok := conn.(secured)
	return ok && s.ConnectionState().NegotiatedProtocol == "acme-tls/1"
}

var errChallenge = errors.New("the challenge is answered")
