package actors

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"slices"
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

// shakeHands has the connection agree with the client first, within the time to log in: it does not like to be interrupted. On the way it
// may turn out where the client comes from, and that nobody from there may come in.
func (r *reader) shakeHands() (refusal *frames.Refusal, err error) {
	if _, ok := r.conn.(layered); !ok || r.shaken {
		return nil, nil
	}
	r.shaken = true
	_ = r.conn.SetWriteDeadline(r.loginBy)
	r.arm(r.loginBy)
	refusal, err = r.agree()
	if r.rings(err) {
		return r.late(), err
	}
	if err != nil {
		r.part(err)
	}
	_ = r.conn.SetWriteDeadline(time.Time{})
	return refusal, err
}

// agree shakes hands layer by layer, the innermost first, so that the client's address is known as soon as a proxy has told it.
func (r *reader) agree() (*frames.Refusal, error) {
	all := layers(r.conn)
	for i, conn := range slices.Backward(all) {
		layer, ok := conn.(layered)
		if !ok {
			continue
		}
		if err := layer.Handshake(); err != nil {
			return nil, cmp.Or(all[0].(layered).Handshake(), err) // the outermost knows best what it means
		}
		if answersACME(conn) {
			return nil, errChallenge
		}
		switch refusal := r.arrive(); {
		case refusal != nil && i > 0:
			return nil, errTurnedAway // to say so would take the handshakes that are left
		case refusal != nil:
			return refusal, nil
		}
	}
	return nil, nil
}

var (
	errChallenge  = errors.New("the challenge is answered")
	errTurnedAway = errors.New("turned away")
)

// layers are a connection, what that is put around, and so on.
func layers(conn net.Conn) []net.Conn {
	all := []net.Conn{conn}
	for range mostLayers {
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = outer.NetConn()
		all = append(all, conn)
	}
	return all
}

// mostLayers is more than there are, unless a connection of the host's says that it is put around itself.
const mostLayers = 8

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
