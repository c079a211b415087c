package acme

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const issued = "there is a TLS certificate by ACME"

// shakes shakes hands with a daemon, and returns its certificate, having trusted only what the authority issues.
func (d *daemon) shakes(name string, roots *x509.CertPool) (*x509.Certificate, error) {
	config := &tls.Config{RootCAs: roots, ServerName: name}
	if name == "" { // as who gives an address; that the certificate is for it cannot be
		config.InsecureSkipVerify = true
	}
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", d.tls(), config)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0], nil
}

func TestCertificatesComeByTheListenerItself(t *testing.T) {
	for _, scheme := range []string{"tls", "wss"} {
		t.Run(scheme, func(t *testing.T) { comeByTheListener(t, scheme) })
	}
}

func comeByTheListener(t *testing.T, scheme string) {
	a, folder := newAuthority(t), t.TempDir()
	flags := append(a.flags(), "--acme", "relay.test", "--acme", "other.test", "--acme-email", "operator@relay.test")
	d := startOn(t, scheme, folder, flags...)
	if _, err := d.shakes("relay.test", nil); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("before there is a certificate: %v", err)
	}
	a.looks(t, d.tls(), nowhere(t))
	d.says(t, "the terms of service of the ACME server are accepted, as --acme says")
	d.says(t, issued)
	d.says(t, issued)
	d.serves(t, a)
	isKept(t, filepath.Join(folder, "blubbel-state", "acme"))
	d.stops(t)
	asked := a.asked.Load()
	again := startOn(t, scheme, folder, flags...)
	again.serves(t, a)
	again.stops(t)
	if more := a.asked.Load() - asked; more > 0 {
		t.Errorf("after a restart it asked %d times for what it has", more)
	}
}

// serves looks at what clients see.
func (d *daemon) serves(t *testing.T, a *authority) {
	t.Helper()
	roots := a.roots()
	for _, name := range []string{"relay.test", "other.test", "RELAY.test"} {
		if _, err := d.shakes(name, roots); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	leaf, err := d.shakes("", roots)
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf.VerifyHostname("relay.test"); err != nil {
		t.Error(err)
	}
	if _, err := tls.Dial("tcp", d.tls(), &tls.Config{
		ServerName: "relay.test", NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true,
	}); err == nil {
		t.Error("a challenge is answered that nobody has asked for")
	}
}

// isKept looks that nobody else can read what is kept.
func isKept(t *testing.T, folder string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if is := info.Mode().Perm(); is != want {
			t.Errorf("%s has the mode %v", path, is)
		}
		return nil
	})
	if err != nil || files < 3 { // two certificates and the account
		t.Errorf("%d files are kept, %v", files, err)
	}
}

func TestCertificatesAreRenewed(t *testing.T) {
	a := newAuthority(t)
	a.lives = 6 // of which two are left when it is renewed
	d := start(t, t.TempDir(), append(a.flags(), "--acme", "relay.test")...)
	a.looks(t, d.tls(), nowhere(t))
	d.says(t, issued)
	first, err := d.shakes("", nil)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		leaf, err := d.shakes("", nil)
		if err != nil {
			t.Fatal(err)
		}
		if leaf.SerialNumber.Cmp(first.SerialNumber) != 0 {
			return
		}
	}
	t.Error("it is still the first")
}

func TestCertificatesComeByHTTP(t *testing.T) {
	a, folder := newAuthority(t), t.TempDir()
	d := start(t, folder, append(a.flags(), "--acme", "relay.test", "--acme-http", "127.0.0.1:0")...)
	web := d.http
	a.looks(t, nowhere(t), web)
	d.says(t, issued)
	if _, err := d.shakes("relay.test", a.roots()); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"", "index.html", ".well-known/acme-challenge/made-up", ".well-known/acme-challenge/../../acme_account+key"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+web+"/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "relay.test"
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusNotFound || len(text) > 100 {
			t.Errorf("/%s: %s, %s", path, answer.Status, text)
		}
	}
}

func TestAnAuthorityThatIsAwayIsToldOnce(t *testing.T) {
	a, folder := newAuthority(t), t.TempDir()
	a.Close()
	d := start(t, folder, append(a.flags(), "--acme", "relay.test")...)
	said := d.says(t, "cannot get a TLS certificate; until there is one nobody can connect by TLS")
	if why, _ := said["error"].(string); !strings.Contains(why, "connection refused") || said["retry"] != "1m5s" || said["domain"] != "relay.test" {
		t.Errorf("it says %v", said)
	}
	for range 20 {
		if _, err := d.shakes("relay.test", nil); err == nil {
			t.Error("somebody could connect")
		}
	}
	conn, err := net.Dial("tcp", d.plain())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte{0x01, 0, 0, 0, 0}); err != nil { // a login without a key, which is answered
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(io.LimitReader(conn, 5)); err != nil || len(answer) < 5 || answer[0] != 0x05 {
		t.Errorf("without TLS it says %x, %v", answer, err)
	}
	for _, said := range d.stops(t) {
		if said["level"] == "warning" || said["level"] == "error" {
			t.Errorf("it says %v", said)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "blubbel-state", "acme")); err != nil {
		t.Error(err)
	}
}
