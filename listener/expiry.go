package listener

import (
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	// soon is when a certificate is about to expire; at the latest a sixth of its life before, for those that live for days.
	soon = 14 * 24 * time.Hour
	// again is when it is told again.
	again = 24 * time.Hour
)

// expiry tells when a certificate is about to expire.
type expiry struct {
	log    *logrus.Entry
	advice string // what to do about it

	mu   sync.Mutex
	told time.Time
}

// watch looks at a certificate that is in use.
func (e *expiry) watch(certificate *tls.Certificate) {
	leaf, now := certificate.Leaf, time.Now()
	if !ExpiresSoon(leaf, now) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.told) < again {
		return
	}
	e.told = now
	log := e.log.WithFields(logrus.Fields{"names": Names(leaf), "until": leaf.NotAfter.Format(time.RFC3339), "advice": e.advice})
	if !now.Before(leaf.NotAfter) {
		log.Warn("the TLS certificate has expired")
	} else {
		log.Warn("the TLS certificate expires soon")
	}
}

// ExpiresSoon reports whether a certificate is about to expire, or has expired.
func ExpiresSoon(leaf *x509.Certificate, now time.Time) bool {
	return leaf.NotAfter.Sub(now) <= min(soon, leaf.NotAfter.Sub(leaf.NotBefore)/6)
}

// Names are whom a certificate is for.
func Names(leaf *x509.Certificate) []string {
	list := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		list = append(list, ip.String())
	}
	return list
}
