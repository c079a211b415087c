package actors

import (
	"crypto/tls"
	"errors"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// shakeHands has TLS agree with the client first, within the time to log in: it does not like to be interrupted.
func (r *reader) shakeHands() (late *frames.Refusal, err error) {
	conn, ok := r.conn.(secured)
	if !ok || r.shaken {
		return nil, nil
	}
	r.shaken = true
	_ = r.conn.SetWriteDeadline(r.loginBy)
	r.arm(r.loginBy)
	plain := tls.RecordHeaderError{}
	switch err = conn.Handshake(); {
	case r.rings(err):
		return r.late(), err
	case errors.As(err, &plain) && plain.Conn != nil:
		word := frames.Error{Code: frames.Unsupported, Text: "this port speaks TLS, which you do not"}
		takeLeave(plain.Conn, word.Append(nil), func() int64 { return 0 })
	case err == nil && conn.ConnectionState().NegotiatedProtocol == acmeProtocol:
		return nil, errChallenge
	}
	_ = r.conn.SetWriteDeadline(time.Time{})
	return nil, err
}

// acmeProtocol is what an ACME server asks for by ALPN. It looks at the certificate, and has nothing to say (RFC 8737, 3).
const acmeProtocol = "acme-tls/1"

var errChallenge = errors.New("the challenge is answered")
