package listener

import (
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// Protocol is what clients may ask for by ALPN (RFC 7301). Who asks for nothing is served as well; who asks for others only is
// refused with no_application_protocol, as the RFC has it: they have come to the wrong port, and are told at once.
const Protocol = "blubbel/1"

// What a client's certificate may be.
const (
	mostCertificates = 4 // itself and its issuers, at which nobody looks
	leastClientBits  = 1024
	mostClientBits   = 4096
	clientExponent   = 65537
)

// signersPerCore is how many signatures of handshakes may be made at once, for each core.
const signersPerCore = 4

// Source is where the certificates of a relay come from.
type Source interface {
	// Certificate returns the one for a handshake. It is called by many at once.
	Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// TLSConfig returns how to speak TLS with certificates from a source.
//
// TLS is 1.3. Clients may show a certificate, whoever issued it, and whenever: only its key counts, and that the client has its
// private half. So there are no session tickets, with which a client would come back without showing it again.
func TLSConfig(from Source) *tls.Config {
	seats := make(chan struct{}, signersPerCore*runtime.GOMAXPROCS(0))
	config := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{Protocol},
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		VerifyConnection:       judgeClient,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			certificate, err := from.Certificate(hello)
			if err != nil {
				return nil, err
			}
			return seated(certificate, seats)
		},
	}
	if acme, ok := from.(*ACME); ok {
		config.GetConfigForClient = acme.challenged
	}
	return config
}

// WebTLSConfig returns how to speak TLS below WebSocket, with the same certificates. Browsers ask for HTTP by ALPN, and would ask their
// users for a certificate if we asked for one.
func WebTLSConfig(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos, config.ClientAuth, config.VerifyConnection = []string{"http/1.1"}, tls.NoClientCert, nil
	return config
}

// judgeClient refuses certificates that cost much to look at, or prove little. crypto/tls calls it when it has read the
// certificates, and before it verifies the client's signature: there is a test for that.
func judgeClient(state tls.ConnectionState) error {
	chain := state.PeerCertificates
	if len(chain) > mostCertificates {
		return fmt.Errorf("the client shows %d certificates; at most %d are looked at", len(chain), mostCertificates)
	}
	if len(chain) == 0 {
		return nil
	}
	key, ok := chain[0].PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil // the others that crypto/tls takes are of a fixed size
	}
	if bits := key.N.BitLen(); bits < leastClientBits || bits > mostClientBits {
		return fmt.Errorf("the client's RSA key has %d bits; it may have from %d to %d", bits, leastClientBits, mostClientBits)
	}
	if key.E != clientExponent {
		return fmt.Errorf("the client's RSA key has the exponent %d, not %d", key.E, clientExponent)
	}
	return nil
}

// seated returns a certificate whose key takes a seat while it signs.
func seated(certificate *tls.Certificate, seats chan struct{}) (*tls.Certificate, error) {
	key, ok := certificate.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the certificate's key cannot sign")
	}
	c := *certificate
	c.PrivateKey = signer{key, seats}
	return &c, nil
}

// signer is a key that takes a seat while it signs, so that a flood of handshakes does not take all the cores at once. Nobody who
// has one waits for the network.
type signer struct {
	crypto.Signer
	seats chan struct{}
}

// Sign implements crypto.Signer.
func (s signer) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.seats <- struct{}{}
	defer func() { <-s.seats }()
	return s.Signer.Sign(random, digest, opts)
}
