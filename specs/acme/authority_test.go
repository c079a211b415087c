package acme

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// authority is an ACME server. Who asks it waits until it is told where to look whether domains are theirs.
type authority struct {
	*httptest.Server
	root   string       // a file with the certificate of its own HTTPS
	asked  atomic.Int64 // requests
	opened chan http.Handler
	issuer *ca.CAImpl
	names  string // its DNS server
	lives  uint64 // seconds that a certificate lives; 0 for 90 days
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0")
	a := &authority{opened: make(chan http.Handler, 1), names: allNamesAreHere(t), root: filepath.Join(t.TempDir(), "root.pem")}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		select {
		case handler := <-a.opened:
			a.opened <- handler
			handler.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	a.StartTLS()
	t.Cleanup(a.Close)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	if err := os.WriteFile(a.root, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// looks tells it where to look: at the address of a tls:// listener, and at one of HTTP. It is to be called once.
func (a *authority) looks(t *testing.T, tls, http string) {
	t.Helper()
	port := func(address string) int {
		_, text, _ := net.SplitHostPort(address)
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	quiet := log.New(io.Discard, "", 0) // os.Stderr to see what it thinks
	store := db.NewMemoryStore()
	a.issuer = ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: a.lives}})
	looker := va.New(quiet, port(http), port(tls), false, a.names, store)
	front := wfe.New(quiet, store, looker, a.issuer, []string{"relay.test"}, false, false, 0, 0)
	a.opened <- front.Handler()
}

// roots are whom to trust about what it issues.
func (a *authority) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.issuer.GetRootCert(0).PEM())
	return pool
}

func (a *authority) flags() []string {
	return []string{"--acme-directory", a.URL + wfe.DirectoryPath, "--acme-ca", a.root}
}

// allNamesAreHere starts a DNS server that knows every name, and says that it is this machine.
func allNamesAreHere(t *testing.T) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		if name := question.Question[0]; name.Qtype == dns.TypeA {
			answer.Answer = append(answer.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: name.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1),
			})
		}
		_ = w.WriteMsg(answer)
	})}
	go func() { _ = server.ActivateAndServe() }() // ends with the test
	t.Cleanup(func() { _ = server.Shutdown() })
	return ln.Addr().String()
}

// nowhere is an address where nobody listens.
func nowhere(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	return ln.Addr().String()
}
