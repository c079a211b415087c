package specs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

// certificate makes one, signed by its own key.
func certificate(private any, public any) tls.Certificate {
	GinkgoHelper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nobody"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour), // nobody looks at it
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	Expect(err).NotTo(HaveOccurred())
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// serveTLS makes the relay listen for TLS, and whoever connects from now on connects so, with a certificate of their own if they have one.
func (r *relay) serveTLS(mine ...tls.Certificate) {
	GinkgoHelper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true,
		Certificates: []tls.Certificate{certificate(private, &private.PublicKey)},
	}
	r.serve(func(ln net.Listener) net.Listener { return tls.NewListener(ln, config) })
	address := r.address
	r.dial = func() (net.Conn, error) {
		return tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, Certificates: mine})
	}
}

var _ = Describe("Connecting by TLS", func() {
	It("logs in, proves, and talks", func(ctx SpecContext) {
		needsInside("the relay is to listen for TLS")
		r := startRelay()
		r.serveTLS()
		carol, dave := r.session(ctx)
		carol.says(message(dave, "over TLS"))
		Expect(dave.hears(ctx)).To(Equal(message(carol, "over TLS")))
		alice, bob := r.provenSession(ctx, wantsPresence)
		alice.says(message(bob.client, "proven"))
		Expect(bob.hears(ctx)).To(Equal(message(alice.client, "proven")))
	}, SpecTimeout(patience))

	It("takes a client's certificate of the login's key for a proof", func(ctx SpecContext) {
		needsInside("the relay is to listen for TLS")
		r, key := startRelay(), freshOwner()
		r.serveTLS(certificate(key, &key.PublicKey))
		squatter := r.connectAs(publicOf(freshOwner()))
		squatter.says(frames.Login{Key: squatter.key})
		Expect(squatter.hears(ctx)).To(Equal(frames.LoginAccepted{}), "unproven: it is another key's")
		alice := r.loginAs(ctx, publicOf(key))
		r.serve()
		mallory := r.connectAs(alice.key)
		mallory.says(frames.Login{Key: alice.key})
		mallory.isRefused(ctx, frames.TypeLogin, frames.ProofRequired)
	}, SpecTimeout(patience))

	It("tells a client that does not speak TLS", func(ctx SpecContext) {
		needsInside("the relay is to listen for TLS")
		r := startRelay()
		r.serveTLS()
		r.dial = dialTo(r.address)
		alice := r.connect()
		alice.says(frames.Login{Key: alice.key})
		Expect(alice.hears(ctx)).To(Equal(frames.Error{Code: frames.Unsupported, Text: "this port speaks TLS, which you do not"}))
		alice.isClosed(ctx)
	}, SpecTimeout(patience))

	It("does not take a proof that was made for another channel", func(ctx SpecContext) {
		needsInside("the relay is to listen for TLS")
		r := startRelay()
		r.serveTLS()
		alice := r.greets(ctx, freshOwner(), 0)
		alice.greeting.Channel = frames.Binding{}
		alice.says(alice.proof())
		alice.isRefused(ctx, frames.TypeProve, frames.ProofInvalid)
		alice.isClosed(ctx)
	}, SpecTimeout(patience))
})
