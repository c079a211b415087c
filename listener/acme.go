package listener

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// How long to wait after a certificate could not be had: at first, and at most. For the first minute autocert would not ask again.
const (
	firstRetry = 65 * time.Second
	lastRetry  = time.Hour
)

// Authority is who issues certificates by ACME (RFC 8555), and to whom.
type Authority struct {
	Directory string         // its URL; empty for Let's Encrypt
	Roots     *x509.CertPool // whom to trust about that; nil for the operating system's
	Email     string         // where it may write to, or empty
	Domains   []string       // each gets a certificate of its own; who asks for none of them gets the first one's
	Folder    string         // where the keys, the certificates and the account are kept
}

// ACME gets certificates from an authority, and renews them. It proves that the domains are ours by tls-alpn-01 (RFC 8737) on the
// listeners whose TLSConfig is made from it, and if these fail by http-01, if it is served.
type ACME struct {
	authority Authority
	manager   *autocert.Manager
	there     map[string]*atomic.Bool // by domain: whether it has a certificate
	expiry
}

// NewACME makes the folder, and looks what is in it. Whoever calls it accepts the authority's terms of service.
func NewACME(authority Authority, log *logrus.Entry) (*ACME, error) {
	if authority.Directory == "" {
		authority.Directory = autocert.DefaultACMEDirectory
	}
	if err := authority.Validate(); err != nil {
		return nil, err
	}
	if err := authority.prepare(); err != nil {
		return nil, fmt.Errorf("cannot keep certificates: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() // it is one: nobody here replaces it
	transport.TLSClientConfig = &tls.Config{RootCAs: authority.Roots, MinVersion: tls.VersionTLS12}
	a := &ACME{
		authority: authority,
		manager: &autocert.Manager{
			Cache:      autocert.DirCache(authority.Folder),
			HostPolicy: autocert.HostWhitelist(authority.Domains...),
			Client: &acme.Client{
				DirectoryURL: authority.Directory,
				HTTPClient:   &http.Client{Transport: transport, Timeout: 30 * time.Second},
				UserAgent:    "blubbel-server",
			},
			Email: authority.Email,
		},
		there:  map[string]*atomic.Bool{},
		expiry: expiry{log: log, advice: "it is renewed by itself, so that has failed for days: look whether " + reachable},
	}
	a.manager.Prompt = func(terms string) bool {
		log.WithFields(logrus.Fields{"directory": authority.Directory, "terms": terms}).
			Info("the terms of service of the ACME server are accepted, as --acme says")
		return true
	}
	for _, domain := range authority.Domains {
		a.there[domain] = new(atomic.Bool)
		a.there[domain].Store(a.kept(domain))
	}
	return a, nil
}

// reachable is what the authority needs.
const reachable = "the ACME server can be reached from here, and can itself reach port 443 of the domain, or 80 with --acme-http"

// domains are those that one can have a certificate for: names in lower case, with a dot in it, and no number at the end.
var domains = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Validate says what cannot work, as far as one sees that before anybody is asked.
func (a Authority) Validate() error {
	if len(a.Domains) == 0 {
		return errors.New("there is no domain to get a certificate for")
	}
	for _, domain := range a.Domains {
		if !domains.MatchString(domain) {
			return fmt.Errorf("%q is no domain that one can have a certificate for; give it such as relay.example.org, others than Latin letters as xn--", domain)
		}
	}
	if u, err := url.Parse(a.Directory); a.Directory != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return fmt.Errorf("%q is no directory of an ACME server; give its URL, beginning with https://", a.Directory)
	}
	return nil
}

// prepare makes the folder, and tries whether it can be written: whoever cannot keep what the authority issues soon gets no more.
func (a Authority) prepare() error {
	if err := os.MkdirAll(a.Folder, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(a.Folder, 0o700); err != nil { //nolint:gosec // a folder has to be entered
		return err
	}
	file, err := os.CreateTemp(a.Folder, "try-")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// kept reports whether there is a certificate in the folder that can be used, so that it is used from the first handshake on.
func (a *ACME) kept(domain string) bool {
	text, err := os.ReadFile(filepath.Join(a.authority.Folder, domain)) //nolint:gosec // the operator names the folder
	if err != nil {
		return false
	}
	pair, err := tls.X509KeyPair(text, text) // autocert keeps both in one file
	now := time.Now()
	return err == nil && now.After(pair.Leaf.NotBefore) && now.Before(pair.Leaf.NotAfter)
}

// Run gets the certificates that are not there yet, until it has all, or the context ends. The listeners must be there already.
func (a *ACME) Run(ctx context.Context) {
	for _, domain := range a.authority.Domains {
		go a.obtain(ctx, domain) // ends when it has it, or with ctx; in the middle of asking, a few minutes later
	}
}

func (a *ACME) obtain(ctx context.Context, domain string) {
	log := a.log.WithField("domain", domain)
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		certificate, err := a.manager.GetCertificate(hello(domain))
		if err == nil {
			a.there[domain].Store(true)
			log.WithField("until", certificate.Leaf.NotAfter.Format(time.RFC3339)).Info("there is a TLS certificate by ACME")
			return
		}
		if ctx.Err() != nil {
			return
		}
		log.WithError(err).WithFields(logrus.Fields{"retry": pause.String(), "advice": "look whether " + reachable}).
			Warn("cannot get a TLS certificate; until there is one nobody can connect by TLS")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// hello is what autocert has to be told about a client. It would get a second certificate, an RSA one, for clients that say they
// need one; all that speak TLS 1.3 know the curve.
func hello(domain string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{ServerName: domain, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
}

// Certificate implements Source. Nobody waits for the authority in it.
func (a *ACME) Certificate(client *tls.ClientHelloInfo) (*tls.Certificate, error) {
	domain := a.domain(client.ServerName)
	if !a.there[domain].Load() {
		return nil, fmt.Errorf("there is no certificate for %s yet", domain)
	}
	certificate, err := a.manager.GetCertificate(hello(domain))
	if err != nil {
		return nil, err
	}
	a.watch(certificate)
	return certificate, nil
}

// domain returns which of our domains a client means. One that gives an address names none, and may know the relay by its id.
func (a *ACME) domain(name string) string {
	if name = strings.ToLower(name); a.there[name] != nil {
		return name
	}
	return a.authority.Domains[0]
}

// challenged lets the authority see by tls-alpn-01 that a domain is ours. It shows no certificate, and says nothing.
func (a *ACME) challenged(client *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(client.SupportedProtos) != 1 || client.SupportedProtos[0] != acme.ALPNProto {
		return nil, nil //nolint:nilnil // that is how crypto/tls is told to go on as it is
	}
	if a.there[client.ServerName] == nil {
		return nil, fmt.Errorf("%q is asked for by %s, and is not ours", client.ServerName, acme.ALPNProto)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{acme.ALPNProto}, SessionTicketsDisabled: true,
		GetCertificate: a.manager.GetCertificate,
	}, nil
}

// The http-01 server is for a few requests of the authority; whoever else comes is to cost nothing.
const (
	httpClients = 64
	httpTime    = 10 * time.Second
	httpHeader  = 4 << 10 // bytes
)

// ServeHTTP01 answers what the authority asks by http-01, and nothing else, until the context ends.
func (a *ACME) ServeHTTP01(ctx context.Context, ln net.Listener) error {
	var clients atomic.Int64
	server := &http.Server{
		Handler: withoutPort(a.manager.HTTPHandler(http.NotFoundHandler())), ReadTimeout: httpTime, WriteTimeout: httpTime, MaxHeaderBytes: httpHeader,
		ErrorLog: stdlog.New(io.Discard, "", 0), // strangers do not write our log
		ConnState: func(conn net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				if clients.Add(1) > httpClients {
					_ = conn.Close()
				}
			case http.StateClosed, http.StateHijacked:
				clients.Add(-1)
			case http.StateActive, http.StateIdle:
			}
		},
	}
	server.SetKeepAlivesEnabled(false)
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(ln); ctx.Err() == nil {
		return err
	}
	return nil
}

// withoutPort hides the port from autocert, which else would not know the domain: private authorities may ask on another than 80.
func withoutPort(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = host
		}
		next.ServeHTTP(w, r)
	})
}
