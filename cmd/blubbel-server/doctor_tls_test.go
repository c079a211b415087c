package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certified is a certificate with its key.
type certified struct {
	tls.Certificate
	signer *ecdsa.PrivateKey
}

// certify makes a certificate until then, issued by another or by itself.
func certify(t *testing.T, by *certified, until time.Time, names ...string) *certified {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	number, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: number.String()}, DNSNames: names,
		NotBefore: until.Add(-90 * 24 * time.Hour), NotAfter: until, BasicConstraintsValid: true, IsCA: len(names) == 0,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if template.NotBefore.After(noon) {
		template.NotBefore = noon
	}
	issuer, signer, chain := template, key, [][]byte(nil)
	if by != nil {
		issuer, signer, chain = by.Leaf, by.signer, by.Certificate.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &certified{tls.Certificate{Certificate: append([][]byte{der}, chain...), PrivateKey: key, Leaf: leaf}, key}
}

// put writes the certificate and its key into files.
func (c *certified) put(t *testing.T, certificate, key string) {
	t.Helper()
	text := ""
	for _, der := range c.Certificate.Certificate {
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	replace(t, certificate, text)
	der, err := x509.MarshalPKCS8PrivateKey(c.signer)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// addresses are some, as the setting has them.
func addresses(t *testing.T, texts ...string) (list []address) {
	t.Helper()
	for _, text := range texts {
		list = append(list, at(t, text))
	}
	return list
}

// noon is when certificates are looked at.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func inDays(n int) time.Time { return noon.Add(time.Duration(n) * 24 * time.Hour) }

func TestPairs(t *testing.T) {
	root := certify(t, nil, inDays(1000))
	between := certify(t, root, inDays(1000))
	good := certify(t, between, inDays(60), "relay.test", "www.relay.test")
	short := *good
	short.Certificate.Certificate = short.Certificate.Certificate[:1]
	const (
		renew = "; renew it, and see why what should have renewed it has not"
		valid = "ok       certificate: it is for relay.test, www.relay.test, and expires in 60 days, on 2027-01-22"
	)
	for _, c := range []struct {
		name string
		of   *certified
		pair pair
		want []string
	}{
		{"good", good, pair{}, []string{valid}},
		{"shown", good, pair{shown: good.Leaf}, []string{valid}},
		{"others may not read its key", good, pair{mode: 0o640}, []string{valid}},
		{"expires later", certify(t, between, inDays(15), "a.test"), pair{}, []string{"ok       certificate: it is for a.test, and expires in 15 days, on 2026-12-08"}},
		{"expires soon", certify(t, between, inDays(14), "a.test"), pair{}, []string{"warning  certificate: it is for a.test, and expires in 14 days, on 2026-12-07" + renew}},
		{"without its issuer", &short, pair{}, []string{valid, "warning  certificate: clients do not trust it (certificate signed by unknown authority), " +
			"so only those come in whose address has the relay's id; put the certificates of its issuers behind it in its file, or give clients the blubbels:// address that the log shows"}},
		{"for everybody", good, pair{mode: 0o644, key: "k.pem"}, []string{valid, "warning  certificate: everybody on this machine can read its key; forbid it with: chmod o= k.pem"}},
		{"where it belongs", good, pair{listen: addresses(t, "tls://www.relay.test:1", "tls://192.0.2.1:1", "tls://:1", "tls://localhost:1", "other.test:1")}, []string{valid}},
		{"elsewhere", good, pair{listen: addresses(t, "tls://other.test:1")}, []string{
			valid, "warning  certificate: it is not for other.test, where --listen says that it is shown; get one for that name, too",
		}},
		{"another is shown", good, pair{shown: between.Leaf}, []string{
			valid, "warning  certificate: the relay shows another than the one in the file; send it SIGHUP, and look at its log",
		}},
		{"of no name", certify(t, root, inDays(60)), pair{}, []string{"ok       certificate: it is for no name at all, and expires in 60 days, on 2027-01-22"}},
		{"none", good, pair{err: errors.New("the TLS certificate in c.pem expired on 2026-11-22; renew it")}, []string{
			"wrong    certificate: the TLS certificate in c.pem expired on 2026-11-22; renew it",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.pair.chain, c.pair.now, c.pair.roots = &c.of.Certificate, noon, x509.NewCertPool()
			c.pair.roots.AddCert(root.Leaf)
			says(t, checkPair(c.pair), c.want...)
		})
	}
}

func TestPairsAreRead(t *testing.T) {
	t.Chdir(t.TempDir())
	e := examination{options: options{certificates: certificates{TLSCert: "cert.pem", TLSKey: "key.pem"}}, now: time.Now()}
	says(t, e.encrypted(t.Context()), "wrong    certificate: cannot read the TLS certificate or its key: open cert.pem: no such file or directory")
	own := certify(t, nil, e.now.Add(90*24*time.Hour), "relay.test")
	own.put(t, "cert.pem", "key.pem")
	if err := os.Chmod("key.pem", 0o604); err != nil {
		t.Fatal(err)
	}
	found := e.encrypted(t.Context())
	if len(found) != 3 || found[0].Mark != isOK || found[1].Found != "everybody on this machine can read its key" || !strings.HasPrefix(found[2].Found, "clients do not trust it") {
		t.Errorf("%+v", found)
	}
	certify(t, nil, e.now.Add(90*24*time.Hour), "relay.test").put(t, "other.pem", "key.pem")
	if found := e.encrypted(t.Context()); len(found) != 1 || found[0].Mark != isWrong || !strings.Contains(found[0].Found, "are not a TLS certificate and its key") {
		t.Errorf("%+v", found)
	}
}

func TestCertificatesMadeAtStart(t *testing.T) {
	const note = "note     certificate: it is made at each start, and clients need the relay's blubbels:// address; "
	says(t, checkSelfSigned(false, false, nil, noon), note+"the log shows it when the relay is ready")
	says(t, checkSelfSigned(true, false, certify(t, nil, inDays(10), "localhost").Leaf, noon),
		note+"it has the identity above, as in blubbels://ID@host:port, with the name that they reach you by",
		"warning  certificate: it is for localhost, and expires in 10 days, on 2026-12-03; send the relay SIGHUP, or restart it: that makes another")
}

func TestBrowsersDoNotTakeCertificatesMadeAtStart(t *testing.T) {
	says(t, checkSelfSigned(false, true, nil, noon)[1:], "warning  certificate: browsers do not take one that the relay has made itself, so they cannot connect by wss://; "+
		"get one with --acme, or give --tls-cert")
}

func TestIssuers(t *testing.T) {
	const (
		found = "ok       ACME: the issuer finds the relay on port 443 or 80, if nothing outside of this machine is in the way"
		asks  = "warning  ACME: the issuer asks on port 443, where the relay does not listen; " +
			"listen on port 443, or have the router forward it to the port of tls:// or wss://; or give --acme-http :80"
	)
	says(t, checkIssuer(addresses(t, "0.0.0.0:80", "tls://:443"), "", ""), found)
	says(t, checkIssuer(addresses(t, "tls://:8443"), "0.0.0.0:80", ""), found)
	says(t, checkIssuer(addresses(t, "tls://:8443", "0.0.0.0:443"), "0.0.0.0:8080", ""), asks)
	says(t, checkIssuer(addresses(t, "tls://:8443"), "", "https://192.0.2.1/"))
}

func TestDomains(t *testing.T) {
	kept := certify(t, nil, inDays(40), "relay.test").Leaf
	old := certify(t, nil, inDays(3), "relay.test").Leaf
	expired := certify(t, nil, inDays(-1), "relay.test").Leaf
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
	const (
		ours  = "ok       domain relay.test: it is at an address of this machine"
		valid = "ok       certificate for relay.test: it is for relay.test, and expires in 40 days, on 2027-01-02"
	)
	for _, c := range []struct {
		domain
		want []string
	}{
		{domain{has: []netip.Addr{there, netip.MustParseAddr("::ffff:192.0.2.1")}, kept: kept}, []string{ours, valid}},
		{domain{has: []netip.Addr{there}, kept: kept}, []string{
			"note     domain relay.test: it is at 198.51.100.1, which this machine itself does not have; " +
				"that is right behind a router that forwards to it; otherwise set it with who keeps the domain", valid,
		}},
		{domain{err: &net.DNSError{Err: "no such host", Name: "relay.test"}, kept: kept}, []string{
			"warning  domain relay.test: it cannot be looked up (lookup relay.test: no such host); look whether it is spelt right, and whether this machine is online", valid,
		}},
		{domain{has: []netip.Addr{here}, keptAs: fs.ErrNotExist}, []string{
			ours, "note     certificate for relay.test: there is none yet; the relay gets it when it runs",
		}},
		{domain{has: []netip.Addr{here}, keptAs: errors.New("tls: no PEM")}, []string{
			ours, "warning  certificate for relay.test: it cannot be read (tls: no PEM); " +
				"run doctor as the user that the relay runs as; if that is this one, remove the file, and the relay gets another",
		}},
		{domain{has: []netip.Addr{here}, kept: old}, []string{
			ours, "warning  certificate for relay.test: it is for relay.test, and expires in 3 days, on 2026-11-26; " +
				"the relay should have renewed it: look at its log, and whether it runs",
		}},
		{domain{has: []netip.Addr{here}, kept: expired}, []string{
			ours, "wrong    certificate for relay.test: it is for relay.test, and expired on 2026-11-22; " +
				"the relay should have renewed it: look at its log, and whether it runs",
		}},
	} {
		c.name, c.ours, c.now = "relay.test", []netip.Addr{here}, noon
		says(t, checkDomain(c.domain), c.want...)
	}
}

// What a relay was brought by ACME is found where it keeps that, though nobody can be asked about the domain.
func TestDomainsAreLookedAt(t *testing.T) {
	folder := t.TempDir()
	e := examination{options: options{
		listening: listening{Listen: addresses(t, "tls://:443")}, certificates: certificates{ACME: []string{"relay.invalid"}}, stateFolder: stateFolder{folder},
	}, now: time.Now()}
	text := func() string {
		var b strings.Builder
		for _, f := range e.encrypted(t.Context()) {
			page{}.write(&b, f)
		}
		return b.String()
	}
	if is := text(); !strings.Contains(is, "domain relay.invalid: it cannot be looked up") || !strings.Contains(is, "there is none yet") {
		t.Error(is)
	}
	if err := os.Mkdir(acmeFolder(folder), 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(acmeFolder(folder), "relay.invalid")
	certify(t, nil, e.now.Add(41*24*time.Hour+time.Minute), "relay.invalid").put(t, name, name+".key")
	certificate, _ := os.ReadFile(name)
	key, _ := os.ReadFile(name + ".key")
	replace(t, name, string(key)+string(certificate))
	if is := text(); !strings.Contains(is, "it is for relay.invalid, and expires in 41 days") {
		t.Error(is)
	}
	if len(ownAddresses()) == 0 {
		t.Error("this machine has no address")
	}
}
