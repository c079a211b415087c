package client

import (
	"context"
	"crypto/x509"
	"math"
	"net"
	"time"
)

// Options say how to speak with a relay. The zero value says Hello, proves who logs in, and does not connect again.
type Options struct {
	// Unproven logs in without a proof, as the clients of the first relay did: it says no Hello, and there are no pings, no
	// presence and no ended sessions. Whoever knows the key could do the same. It is for relays that know nothing else.
	Unproven bool
	// NoPresence asks not to be told whether peers are connected. Peers are not told of us then, either.
	NoPresence bool
	// RootCAs are who may vouch for the certificate of a tls:// or wss:// address; nil: those of the system.
	RootCAs *x509.CertPool
	// Reconnect is for how long to try to connect again, from the moment on when a connection breaks; 0: not at all.
	// [Forever] never gives up. Only a client made by Dial can, and only after it was logged in once.
	Reconnect time.Duration
	// DialContext connects, where that takes more than TCP, such as a proxy; nil: TCP. TLS is still up to the client.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Forever is the longest Reconnect.
const Forever time.Duration = math.MaxInt64
