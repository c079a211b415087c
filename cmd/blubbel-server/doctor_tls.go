package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/listener"
)

// encrypted looks at the certificates of the listeners that speak TLS.
func (e *examination) encrypted(ctx context.Context) []finding {
	switch {
	case e.TLSCert != "":
		return e.certificateFiles()
	case e.TLSSelfSigned:
		web := slices.ContainsFunc(e.Listen, func(a address) bool { return a.scheme == "wss" })
		return checkSelfSigned(e.identity != nil, web, e.shownCertificate(), e.now)
	case len(e.ACME) > 0:
		return e.byACME(ctx)
	}
	return nil
}

// shownCertificate is the certificate that the relay shows, if it was seen.
func (e *examination) shownCertificate() *x509.Certificate {
	for _, v := range e.visits {
		if v.shows != nil && v.hello == nil {
			return v.shows
		}
	}
	return nil
}

// pair is a certificate with its key, as files have them.
type pair struct {
	err    error // why it cannot be used
	chain  *tls.Certificate
	key    string            // the file
	mode   fs.FileMode       // of the key
	shown  *x509.Certificate // by the relay, if it was seen
	listen []address
	roots  *x509.CertPool // whom clients trust; nil for the system's
	now    time.Time
}

func (e *examination) certificateFiles() []finding {
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	p := pair{key: e.TLSKey, shown: e.shownCertificate(), listen: e.Listen, now: e.now}
	files, err := listener.LoadFiles(e.TLSCert, e.TLSKey, logrus.NewEntry(silent))
	if err == nil {
		p.chain, err = files.Certificate(nil)
	}
	p.err = err
	if info, err := os.Stat(e.TLSKey); err == nil { // else it cannot be used, and that is said
		p.mode = info.Mode()
	}
	return checkPair(p)
}

const ofCertificate = "certificate"

func checkPair(p pair) []finding {
	if p.err != nil {
		return []finding{fault(ofCertificate, p.err)}
	}
	leaf := p.chain.Leaf
	found := []finding{checkExpiry(leaf, p.now, "renew it, and see why what should have renewed it has not")}
	warn := func(text, advice string) { found = append(found, finding{isWarning, ofCertificate, text, advice}) }
	if p.mode.Perm()&0o007 != 0 {
		warn("everybody on this machine can read its key", "forbid it with: chmod o= "+p.key)
	}
	if why := distrust(p); why != "" {
		warn("clients do not trust it ("+why+"), so only those come in whose address has the relay's id",
			"put the certificates of its issuers behind it in its file, or give clients the blubbels:// address that the log shows")
	}
	for _, a := range p.listen {
		if a.encrypted() && isName(a.host) && leaf.VerifyHostname(a.host) != nil {
			warn("it is not for "+a.host+", where --listen says that it is shown", "get one for that name, too")
		}
	}
	if p.shown != nil && !p.shown.Equal(leaf) {
		warn("the relay shows another than the one in the file", "send it SIGHUP, and look at its log")
	}
	return found
}

// isName reports whether a host is a name that a certificate may be for.
func isName(host string) bool { return strings.Contains(host, ".") && net.ParseIP(host) == nil }

// distrust says why clients do not trust a certificate.
func distrust(p pair) string {
	between := x509.NewCertPool()
	for _, der := range p.chain.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	_, err := p.chain.Leaf.Verify(x509.VerifyOptions{Roots: p.roots, Intermediates: between, CurrentTime: p.now})
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(err.Error(), "x509: ")
}

// checkExpiry says until when a certificate is valid.
func checkExpiry(leaf *x509.Certificate, now time.Time, advice string) finding {
	names := strings.Join(listener.Names(leaf), ", ")
	if names == "" {
		names = "no name at all"
	}
	text := "it is for " + names
	days := int(leaf.NotAfter.Sub(now) / (24 * time.Hour))
	switch until := leaf.NotAfter.Format(time.DateOnly); {
	case now.After(leaf.NotAfter):
		return finding{isWrong, ofCertificate, fmt.Sprintf("%s, and expired on %s", text, until), advice}
	case listener.ExpiresSoon(leaf, now):
		return finding{isWarning, ofCertificate, fmt.Sprintf("%s, and expires in %d days, on %s", text, days, until), advice}
	default:
		return finding{isOK, ofCertificate, fmt.Sprintf("%s, and expires in %d days, on %s", text, days, until), ""}
	}
}

func checkSelfSigned(known, web bool, shown *x509.Certificate, now time.Time) (found []finding) {
	advice := "the log shows it when the relay is ready"
	if known {
		advice = "it has the identity above, as in blubbels://ID@host:port, with the name that they reach you by"
	}
	found = []finding{{isNote, ofCertificate, "it is made at each start, and clients need the relay's blubbels:// address", advice}}
	if web {
		found = append(found, finding{
			isWarning, ofCertificate, "browsers do not take one that the relay has made itself, so they cannot connect by wss://", "get one with --acme, or give --tls-cert",
		})
	}
	if shown != nil {
		found = append(found, checkExpiry(shown, now, "send the relay SIGHUP, or restart it: that makes another"))
	}
	return found
}

// domain is what is known of a domain that certificates come for by ACME.
type domain struct {
	name   string
	has    []netip.Addr
	err    error             // why it is not known what it has
	ours   []netip.Addr      // addresses of this machine
	kept   *x509.Certificate // from the last time
	keptAs error             // why there is none
	now    time.Time
}

// lookUpTime is how long looking up a domain may take.
const lookUpTime = 5 * time.Second

func (e *examination) byACME(ctx context.Context) []finding {
	found := checkIssuer(e.Listen, e.ACMEHTTP, e.ACMEDirectory)
	for _, name := range e.ACME {
		d := domain{name: name, ours: ownAddresses(), now: e.now}
		looking, cancel := context.WithTimeout(ctx, lookUpTime)
		d.has, d.err = net.DefaultResolver.LookupNetIP(looking, "ip", name)
		cancel()
		text, err := os.ReadFile(filepath.Join(acmeFolder(e.State), name)) //nolint:gosec // the operator says where
		if err == nil {
			var both tls.Certificate
			both, err = tls.X509KeyPair(text, text) // autocert keeps both in one file
			d.kept = both.Leaf
		}
		d.keptAs = err
		found = append(found, checkDomain(d)...)
	}
	return found
}

// ownAddresses are those of this machine.
func ownAddresses() (list []netip.Addr) {
	networks, _ := net.InterfaceAddrs()
	for _, network := range networks {
		if prefix, err := netip.ParsePrefix(network.String()); err == nil {
			list = append(list, prefix.Addr().Unmap())
		}
	}
	return list
}

// checkIssuer looks whether who issues certificates can ask us: that is port 443, or 80, but for private ones.
func checkIssuer(where []address, http, directory string) []finding {
	isAsked := func(a address) bool { return a.encrypted() && a.port == "443" }
	switch {
	case directory != "":
		return nil
	case slices.ContainsFunc(where, isAsked) || strings.HasSuffix(http, ":80"):
		return []finding{{isOK, "ACME", "the issuer finds the relay on port 443 or 80, if nothing outside of this machine is in the way", ""}}
	}
	return []finding{{
		isWarning, "ACME", "the issuer asks on port 443, where the relay does not listen",
		"listen on port 443, or have the router forward it to the port of tls:// or wss://; or give --acme-http :80",
	}}
}

func checkDomain(d domain) (found []finding) {
	what := "domain " + d.name
	isOurs := func(a netip.Addr) bool { return slices.Contains(d.ours, a.Unmap()) }
	switch {
	case d.err != nil:
		found = append(found, finding{isWarning, what, fmt.Sprintf("it cannot be looked up (%v)", d.err), "look whether it is spelt right, and whether this machine is online"})
	case !slices.ContainsFunc(d.has, isOurs):
		found = append(found, finding{isNote, what, fmt.Sprintf("it is at %v, which this machine itself does not have", d.has[0]), "that is right behind a router that forwards to it; otherwise set it with who keeps the domain"})
	default:
		found = append(found, finding{isOK, what, "it is at an address of this machine", ""})
	}
	what = "certificate for " + d.name
	switch {
	case errors.Is(d.keptAs, fs.ErrNotExist):
		return append(found, finding{isNote, what, "there is none yet; the relay gets it when it runs", ""})
	case d.keptAs != nil:
		return append(found, finding{isWarning, what, fmt.Sprintf("it cannot be read (%v)", d.keptAs), "run doctor as the user that the relay runs as; if that is this one, remove the file, and the relay gets another"})
	}
	f := checkExpiry(d.kept, d.now, "the relay should have renewed it: look at its log, and whether it runs")
	f.What = what
	return append(found, f)
}
