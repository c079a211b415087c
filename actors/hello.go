package actors

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"net"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// greeting is what a connection's Hello led to.
type greeting struct {
	frames.Greeting
	provable bool // there are nonces, and the channel is known; else no proof is valid
	presence bool // the client wants to know who of its peers is there
}

// featurePresence is the bit of element 1 that asks for Presence.
const featurePresence = 1 << 0

// software is what the relay says it is.
const software = "blubbel-server"

// greet makes the Welcome for a Hello with this payload, over this connection, which has these limits.
func (s *Shared) greet(hello frames.Hello, payload []byte, conn net.Conn, limits *Limits) (frames.Welcome, *greeting) {
	channel, known := channelOf(conn)
	id := s.Trust.Identity.Public().(ed25519.PublicKey)
	w := frames.Welcome{Elements: frames.Elements{
		Features:     hello.Features & featurePresence,
		RelayID:      id,
		MaxPayload:   uint32(limits.Payload),                                        //nolint:gosec // at most 64 KiB
		PingInterval: uint32((limits.PingInterval + time.Second - 1) / time.Second), //nolint:gosec // nobody sets a century
		Software:     software,
	}}
	g := &greeting{provable: known && hello.Nonce != nil, presence: w.Features&featurePresence != 0}
	if g.provable {
		w.Nonce = make([]byte, frames.NonceSize)
		_, _ = rand.Read(w.Nonce) // never fails
		w = w.Sign(payload, channel, s.Trust.Identity)
	}
	g.Greeting = frames.NewGreeting(payload, w.Append(nil)[frames.HeaderSize:], channel)
	return w, g
}

// secured is a connection over TLS.
type secured interface {
	Handshake() error
	ConnectionState() tls.ConnectionState
}

// channelOf returns what ties a proof to a connection. It is not known of versions of TLS that export nothing that is its own.
func channelOf(conn net.Conn) (channel frames.Binding, known bool) {
	s, ok := conn.(secured)
	if !ok {
		return channel, true
	}
	state := s.ConnectionState()
	if state.Version < tls.VersionTLS13 {
		return channel, false
	}
	value, err := state.ExportKeyingMaterial(frames.ExporterLabel, nil, len(channel.Value))
	if err != nil {
		return channel, false
	}
	channel.Exported = true
	copy(channel.Value[:], value)
	return channel, true
}

// certified reports whether the client has shown a certificate of this key in TLS, which proves possession. Who has signed it, and for how
// long, says nothing about that. In a resumed session it has shown none.
func certified(conn net.Conn, key frames.Key) bool {
	s, ok := conn.(secured)
	if !ok {
		return false
	}
	state := s.ConnectionState()
	certificates := state.PeerCertificates
	return len(certificates) > 0 && !state.DidResume && string(certificates[0].RawSubjectPublicKeyInfo) == string(key)
}
