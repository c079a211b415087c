package listener

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

// year is how long a certificate lives that we sign ourselves.
const year = 365 * 24 * time.Hour

// SelfSigned is a certificate made in memory, which nobody trusts: it is for clients that know the relay by its id.
type SelfSigned struct {
	names   []string
	current atomic.Pointer[tls.Certificate]
	expiry
}

// NewSelfSigned makes a certificate for names and IP addresses.
func NewSelfSigned(log *logrus.Entry, names ...string) (*SelfSigned, error) {
	s := &SelfSigned{names: names, expiry: expiry{log: log, advice: "send SIGHUP, or restart the relay: that makes another"}}
	return s, s.Reload()
}

// Certificate implements Source.
func (s *SelfSigned) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	certificate := s.current.Load()
	s.watch(certificate)
	return certificate, nil
}

// Reload makes another.
func (s *SelfSigned) Reload() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "blubbel-server"},
		NotBefore:   now.Add(-time.Hour), // for clients whose clock is slow
		NotAfter:    now.Add(year),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range s.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	s.current.Store(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf})
	return nil
}
