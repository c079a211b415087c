package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/mdeiml/blubbel-server/frames"
)

// connect opens a connection to the relay, in the way its address says.
func (o Options) connect(ctx context.Context, a Address) (net.Conn, error) {
	conn, err := o.dial(ctx, a)
	if err != nil || !a.WebSocket {
		return conn, err
	}
	return openWebSocket(ctx, conn, a)
}

// dial opens what all is sent over, with TLS if the address says so.
func (o Options) dial(ctx context.Context, a Address) (net.Conn, error) {
	dial := o.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", a.HostPort)
	if err != nil || !a.TLS {
		return conn, err
	}
	secured := tls.Client(conn, o.tls(a))
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

func (o Options) tls(a Address) *tls.Config {
	host, _, _ := net.SplitHostPort(a.HostPort) // it was checked
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    o.RootCAs,
		ServerName: host,
		// Any certificate will do for a relay that is known by its id: it signs this very channel (see [link.greet]), but in a WebSocket.
		InsecureSkipVerify: a.Pinned && !a.WebSocket, //nolint:gosec // only with a pin, which is stronger
	}
	if a.WebSocket {
		config.NextProtos = []string{"http/1.1"}
	}
	return config
}

// bindingOf returns what proofs are tied to on a connection: with TLS, that very channel.
func bindingOf(ctx context.Context, conn net.Conn) (b frames.Binding, err error) {
	secured, ok := conn.(*tls.Conn)
	if !ok {
		return b, nil
	}
	if err := secured.HandshakeContext(ctx); err != nil {
		return b, err
	}
	state := secured.ConnectionState()
	if state.Version != tls.VersionTLS13 {
		return b, errors.New("client: a relay is spoken to over TLS 1.3")
	}
	exported, err := state.ExportKeyingMaterial(frames.ExporterLabel, nil, len(b.Value))
	if err != nil {
		return b, err
	}
	return frames.Binding{Exported: true, Value: [len(b.Value)]byte(exported)}, nil
}
