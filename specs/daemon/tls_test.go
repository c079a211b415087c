package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// encrypted is where a daemon says that it listens for TLS.
var encrypted = regexp.MustCompile(`(?:tls|blubbels)://(?:[^@,]*@)?([^,]+)`)

// startTLS starts a daemon that listens for TLS as well, and returns where.
func startTLS(t *testing.T, args ...string) (d *daemon, address string) {
	t.Helper()
	d = start(t, append([]string{"--listen", "tls://127.0.0.1:0"}, args...)...)
	found := encrypted.FindStringSubmatch(d.address)
	if found == nil {
		t.Fatalf("it listens on %s", d.address)
	}
	return d, found[1]
}

// caller is a client that says frames over TLS, as one of 2020 behind a TLS library would.
type caller struct {
	*tls.Conn
	key frames.Key
}

func call(t *testing.T, address string, config *tls.Config) (*caller, error) {
	t.Helper()
	config = config.Clone()
	config.InsecureSkipVerify = true
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &caller{conn, freshKey()}, conn.SetDeadline(time.Now().Add(2 * patience))
}

// logsIn is call, and a login.
func logsIn(t *testing.T, address string) *caller {
	t.Helper()
	c, err := call(t, address, &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c.says(t, frames.Login{Key: c.key})
	c.hears(t, frames.LoginAccepted{})
	return c
}

func (c *caller) says(t *testing.T, f frames.Frame) {
	t.Helper()
	if _, err := c.Write(f.Append(nil)); err != nil {
		t.Fatal(err)
	}
}

func (c *caller) hears(t *testing.T, want frames.Frame) {
	t.Helper()
	raw, err := frames.Read(c, frames.MaxPayload+frames.MaxGrowth)
	if err != nil {
		t.Fatal(err)
	}
	got, err := frames.DefaultKeys().Decode(frames.FromRelay, raw)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("heard %+v, %v; want %+v", got, err, want)
	}
}

// meet opens a session between two.
func meet(t *testing.T, alice, bob *caller) {
	t.Helper()
	alice.says(t, frames.StartSession{Peer: bob.key, Sealed: []byte("hello")})
	bob.hears(t, frames.StartSession{Peer: alice.key, Sealed: []byte("hello")})
	bob.says(t, frames.AcceptSession{Peer: alice.key, Sealed: []byte("yes")})
	alice.hears(t, frames.AcceptSession{Peer: bob.key, Sealed: []byte("yes")})
	chat(t, alice, bob)
}

// chat lets both say something, more than a TLS record holds.
func chat(t *testing.T, alice, bob *caller) {
	t.Helper()
	for range 10 {
		alice.says(t, frames.Message{Peer: bob.key, Body: noise[:40<<10]})
		bob.hears(t, frames.Message{Peer: alice.key, Body: noise[:40<<10]})
		bob.says(t, frames.Message{Peer: alice.key, Body: []byte("I see")})
		alice.hears(t, frames.Message{Peer: bob.key, Body: []byte("I see")})
	}
}

func TestChatOverTLS(t *testing.T) {
	d, address := startTLS(t, "--tls-self-signed")
	alice, bob := logsIn(t, address), logsIn(t, address)
	meet(t, alice, bob)
	if _, err := call(t, address, &tls.Config{MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("it speaks TLS 1.2")
	}
	if leaf := alice.ConnectionState().PeerCertificates[0]; leaf.VerifyHostname("127.0.0.1") != nil {
		t.Errorf("its certificate is for %v", leaf.IPAddresses)
	}
	d.signals(t, syscall.SIGTERM)
	d.says(t, "relay stopped")
	if code := d.ends(t, drainTime+patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Whoever takes one port for the other is closed, and hangs not.
func TestPortsMixedUp(t *testing.T) {
	d, address := startTLS(t, "--tls-self-signed")
	plain, err := connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.conn.Close() }()
	if _, err := plain.conn.Write(plain.login(plain.key)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, plain.conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("who speaks no TLS is left hanging")
	}
	at, _, _ := strings.Cut(d.address, ",")
	var record tls.RecordHeaderError
	if _, err := call(t, at, &tls.Config{}); !errors.As(err, &record) {
		t.Errorf("who speaks TLS where there is none sees %v", err)
	}
}

// certificates are a folder with cert.pem and key.pem.
type certificates string

func (c certificates) flags() []string {
	return []string{"--tls-cert", filepath.Join(string(c), "cert.pem"), "--tls-key", filepath.Join(string(c), "key.pem")}
}

// put makes a new pair. Its number tells it from others.
func (c certificates) put(t *testing.T, number int64) {
	t.Helper()
	c.putUntil(t, number, time.Now().Add(2400*time.Hour))
}

// putUntil is put, of a pair that is valid until then.
func (c certificates) putUntil(t *testing.T, number int64, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(number), NotBefore: until.Add(-2401 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	c.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

func (c certificates) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(c), name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestHangupReadsTheCertificateAgain(t *testing.T) {
	files := certificates(t.TempDir())
	files.put(t, 1)
	d, address := startTLS(t, files.flags()...)
	alice, bob := logsIn(t, address), logsIn(t, address)
	meet(t, alice, bob)
	shows := func(want int64) {
		t.Helper()
		c := logsIn(t, address)
		if is := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); is != want {
			t.Errorf("it shows number %d, want %d", is, want)
		}
		_ = c.Close()
	}
	for number := range int64(5) {
		files.put(t, 2+number)
		d.signals(t, syscall.SIGHUP)
		d.says(t, "SIGHUP: reloaded")
		shows(2 + number)
		chat(t, alice, bob)
	}
	files.write(t, "key.pem", []byte("nonsense"))
	d.signals(t, syscall.SIGHUP)
	if why := fmt.Sprint(d.says(t, "SIGHUP: cannot be used; the old one stays")["error"]); !strings.Contains(why, "key.pem is not PEM") {
		t.Error(why)
	}
	shows(6)
	chat(t, alice, bob)
}

// Who runs it without certificates, and hangs up, does not end it either.
func TestHangupEndsNothing(t *testing.T) {
	d := start(t)
	alice := d.joins(t)
	if err := errors.Join(alice.say(said{typ: frames.TypeLogin}), alice.next()); err != nil {
		t.Fatal(err)
	}
	d.signals(t, syscall.SIGHUP)
	d.says(t, "SIGHUP: nothing has changed")
	bob := d.joins(t)
	if err := errors.Join(bob.say(said{typ: frames.TypeLogin}), bob.next(), bob.heardLast(frames.TypeLogin, 0)); err != nil {
		t.Error(err)
	}
	d.signals(t, syscall.SIGTERM)
	d.says(t, "relay stopped")
	if code := d.ends(t, drainTime+patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
