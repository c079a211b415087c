package listener

import (
	"crypto/tls"
	"net"
)

// What lies between a connection as it was accepted and the first byte of a client's: layers, each of which is put around the one
// below by a listener around its listener: the header of a proxy, TLS, WebSocket, in this order. A layer reads and writes nothing when
// a connection is accepted. It agrees with the client in its handshake, which whoever reads asks for, or else at the first Read.

// handshaker is a layer. Its handshake has those below it shake hands first.
type handshaker interface{ Handshake() error }

func shakeHands(conn net.Conn) error {
	if layer, ok := conn.(handshaker); ok {
		return layer.Handshake()
	}
	return nil
}

// innermost returns the connection below all layers.
func innermost(conn net.Conn) net.Conn {
	for range mostLayers {
		layer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = layer.NetConn()
	}
	return conn
}

// mostLayers is more than there are, unless a connection of others says that it is below itself.
const mostLayers = 8

// Transport is how clients speak on a listener: tcp, tls, ws, wss or unix; on those of others, what the address says.
func Transport(ln net.Listener) string {
	if layer, ok := ln.(interface{ Transport() string }); ok {
		return layer.Transport()
	}
	return ln.Addr().Network()
}

// TLS returns a listener whose clients speak TLS.
func TLS(ln net.Listener, config *tls.Config) net.Listener { return overTLS{ln, config} }

type overTLS struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener.
func (ln overTLS) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(conn, ln.config), nil
}

// Transport is tls.
func (overTLS) Transport() string { return "tls" }

// Misunderstanding is why a handshake failed with a client that says something else than it should. Nothing of what it says is in
// it, so it may be logged.
type Misunderstanding struct {
	text string
	conn net.Conn
	told bool
}

// Error says what it is.
func (m *Misunderstanding) Error() string { return m.text }

// Parting returns what is left of the connection to take leave over, and what the client is still to be told, if it was not.
func (m *Misunderstanding) Parting() (conn net.Conn, text string) {
	if m.told {
		return m.conn, ""
	}
	return m.conn, m.text
}

// behind is where a connection comes from of which only the proxy is known. It is no address of a client's.
type behind struct{ net.Addr }

// String says so.
func (b behind) String() string { return "behind " + b.Addr.String() }
