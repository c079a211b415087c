package listener_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/listener"
)

// The rest of ACME is tested in specs/acme, with a server of it.

// nobody is an authority that is not there.
func nobody(t *testing.T) listener.Authority {
	t.Helper()
	return listener.Authority{Directory: "https://127.0.0.1:1/", Domains: []string{"relay.test", "other.test"}, Folder: filepath.Join(t.TempDir(), "a", "b")}
}

// keep puts a certificate where it would be from an earlier run.
func keep(t *testing.T, folder string, c tls.Certificate) {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	_ = pem.Encode(&text, &pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(folder, "relay.test"), text.Bytes())
}

func TestACertificateThatIsKeptIsThereFromTheStart(t *testing.T) {
	a := nobody(t)
	keep(t, a.Folder, valid(t, ecdsaKey(t), 7))
	acme, err := listener.NewACME(a, silent())
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, acme)
	for _, name := range []string{"relay.test", "", "unknown.test"} {
		conn, err := s.dial(t, &tls.Config{ServerName: name})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if is := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); is != 7 {
			t.Errorf("%s: number %d", name, is)
		}
	}
	if _, err := s.dial(t, &tls.Config{ServerName: "other.test"}); !refused(err, "internal error") {
		t.Errorf("of the one that is not there: %v", err)
	}
}

func TestACertificateThatIsKeptAndHasExpiredIsNotUsed(t *testing.T) {
	a := nobody(t)
	keep(t, a.Folder, issue(t, ecdsaKey(t), 7, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)))
	acme, err := listener.NewACME(a, silent())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := acme.Certificate(&tls.ClientHelloInfo{ServerName: "relay.test"}); err == nil || !strings.Contains(err.Error(), "there is no certificate for relay.test yet") {
		t.Error(err)
	}
}

func TestAFolderThatCannotBeWrittenIsOneClearLine(t *testing.T) {
	a := nobody(t)
	replace(t, filepath.Dir(filepath.Dir(a.Folder))+"/a", nil)
	if _, err := listener.NewACME(a, silent()); err == nil || !strings.Contains(err.Error(), "cannot keep certificates: mkdir ") {
		t.Error(err)
	}
}

// The HTTP of ACME has room for a few; others are closed, and the first are answered all the same.
func TestACrowdAtTheHTTPOfACMEIsClosed(t *testing.T) {
	acme, err := listener.NewACME(nobody(t), silent())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = acme.ServeHTTP01(t.Context(), ln) }() // ends with the test
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(patience))
		return conn
	}
	first := dial()
	for range 63 {
		dial()
	}
	if n, err := dial().Read(make([]byte, 1)); n > 0 || err == nil || os.IsTimeout(err) {
		t.Errorf("one too many reads %d bytes, %v", n, err)
	}
	if _, err := first.Write([]byte("GET / HTTP/1.1\r\nHost: relay.test\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := first.Read(answer); err != nil || string(answer) != "HTTP/1.1 404" {
		t.Errorf("%q, %v", answer, err)
	}
}
