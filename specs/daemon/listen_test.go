package daemon

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pires/go-proxyproto"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// everywhere has a daemon listen in every way there is, and returns how clients reach it in each. Each connection begins with what greet
// writes.
func everywhere(t *testing.T, greet func(net.Conn) error, args ...string) (d *daemon, ways map[string]way) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "relay.sock")
	d = start(t, append([]string{
		"--listen", "tls://127.0.0.1:0", "--listen", "ws://127.0.0.1:0/chat", "--listen", "wss://localhost:0",
		"--listen", "unix://" + socket, "--tls-self-signed",
	}, args...)...)
	ways = map[string]way{}
	for _, address := range d.invites {
		scheme, _, _ := strings.Cut(address, "://")
		ways[scheme] = way{address, client.Options{DialContext: greeting(greet, "", "")}}
	}
	if len(ways) != 4 || strings.Count(d.address, ",") != 4 || !strings.HasSuffix(d.address, ",unix://"+socket) {
		t.Fatalf("it listens on %s, and invites to %v", d.address, d.invites)
	}
	ways["unix"] = way{d.invites[0], client.Options{DialContext: greeting(greet, "unix", socket)}}
	wss := ways["wss"]
	wss.RootCAs = wss.roots(t)
	ways["wss"] = wss
	return d, ways
}

// way is how to reach a relay.
type way struct {
	address string
	client.Options
}

// dialer is how a client connects.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// greeting dials, and greets; elsewhere than the client asks for, if that is said.
func greeting(greet func(net.Conn) error, network, address string) dialer {
	return func(ctx context.Context, n, a string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, cmp.Or(network, n), cmp.Or(address, a))
		if err != nil {
			return nil, err
		}
		return conn, greet(conn)
	}
}

// unsaid is no greeting.
func unsaid(net.Conn) error { return nil }

// roots are whom to trust about a relay that has made its certificate itself: that one.
func (w way) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	a, err := client.ParseAddress(w.address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := w.DialContext(t.Context(), "tcp", a.HostPort)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	encrypted := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if err := encrypted.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(encrypted.ConnectionState().PeerCertificates[0])
	return pool
}

// comes logs somebody in who is somebody new.
func (w way) comes(ctx context.Context, t *testing.T) (*client.Client, frames.Key) {
	t.Helper()
	self, err := client.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(ctx, w.address, w.Options)
	if err != nil {
		t.Fatalf("%s: %v", w.address, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(ctx, self); err != nil {
		t.Fatalf("%s: %v", w.address, err)
	}
	if r := c.Relay(); !r.Signed || !strings.Contains(w.address, r.ID.String()) {
		t.Errorf("%s is %v", w.address, r.ID)
	}
	return c, self.Key()
}

func TestClientsOfEveryTransportTalkToEachOther(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d, ways := everywhere(t, unsaid)
	order := []string{"blubbel", "blubbels", "ws", "wss", "unix"}
	for i, name := range order {
		t.Run(name, func(t *testing.T) {
			alice, _ := ways[name].comes(ctx, t)
			bob, bobs := ways[order[(i+1)%len(order)]].comes(ctx, t)
			converse(ctx, t, alice, bob, bobs)
			if _, err := alice.Ping(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	d.signals(t, syscall.SIGTERM)
	d.says(t, "relay stopped")
	if code := d.ends(t, drainTime+patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// converse has Alice say a lot to Bob, and end it: he must have got all of it.
func converse(ctx context.Context, t *testing.T, alice, bob *client.Client, bobs frames.Key) {
	t.Helper()
	heard := make(chan int)
	go func() { // ends with the session
		n := 0
		defer func() { heard <- n }()
		for event, err := range bob.Events(ctx) {
			if request, ok := event.(client.Requested); ok && err == nil {
				session, err := bob.AcceptSession(ctx, request.Peer)
				if err != nil {
					return
				}
				for text, err := range session.Messages(ctx) {
					if err == nil {
						n += len(text)
					}
				}
				return
			}
		}
	}()
	session, err := alice.StartSession(ctx, bobs)
	if err != nil {
		t.Fatal(err)
	}
	const size, times = 15_000, 20
	for range times {
		err = errors.Join(err, session.Send(ctx, noise[:size]))
	}
	if err = errors.Join(err, session.End(ctx, "that is all")); err != nil {
		t.Error(err)
	}
	if n := <-heard; n != size*times {
		t.Errorf("%d bytes of %d came", n, size*times)
	}
}

// gets asks by HTTP, and returns the code and the words of the answer.
func gets(t *testing.T, address string, header http.Header) (code int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusSwitchingProtocols { // there are no words but a WebSocket
		return answer.StatusCode, ""
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer.StatusCode, string(body)
}

// upgrade is the header of a page that opens a WebSocket.
func upgrade(more ...string) http.Header {
	header := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	for _, line := range more {
		name, value, _ := strings.Cut(line, ": ")
		header.Set(name, value)
	}
	return header
}

// startWeb starts a daemon that listens for WebSockets as well, and returns where, as a URL of HTTP.
func startWeb(t *testing.T, args ...string) (d *daemon, address string) {
	t.Helper()
	d = start(t, append([]string{"--listen", "ws://127.0.0.1:0/chat"}, args...)...)
	_, at, _ := strings.Cut(d.address, "ws://")
	return d, "http://" + at
}

func TestWhatABrowserSees(t *testing.T) {
	_, at := startWeb(t, "--ws-origin", "https://*.example.org")
	for _, c := range []struct {
		path   string
		header http.Header
		code   int
	}{
		{"", nil, http.StatusUpgradeRequired},
		{"/more", nil, http.StatusNotFound},
		{"", upgrade("Origin: https://evil.test"), http.StatusForbidden},
		{"", upgrade("Origin: http://chat.example.org"), http.StatusForbidden},
		{"", upgrade("Origin: https://chat.example.org"), http.StatusSwitchingProtocols},
		{"", upgrade("Origin: " + strings.TrimSuffix(at, "/chat")), http.StatusSwitchingProtocols},
		{"", upgrade(), http.StatusSwitchingProtocols},
	} {
		code, text := gets(t, at+c.path, c.header)
		if code != c.code || code != http.StatusSwitchingProtocols && strings.Count(text, "\n") != 1 {
			t.Errorf("%s %v: %d, %q", c.path, c.header, code, text)
		}
	}
}

// isKnown waits until the daemon knows where a client comes from.
func (d *daemon) isKnown(t *testing.T, want string) {
	t.Helper()
	if is := d.says(t, "the client of a proxy is known")["remote"]; is != want {
		t.Errorf("the client comes from %v, not %s", is, want)
	}
}

func TestAProxyStandsInFrontOfEveryTransport(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, relay := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 8000}
	greet := func(conn net.Conn) error {
		_, err := proxyproto.HeaderProxyFromAddrs(2, client, relay).WriteTo(conn)
		return err
	}
	d, ways := everywhere(t, greet, "--log-level", "debug", "--proxy-from", "127.0.0.0/8", "--proxy-from", "::1", "--proxy-from", "unix")
	d.isKnown(t, client.String()) // who looks at the certificate
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			w.comes(ctx, t)
			d.isKnown(t, client.String())
		})
	}
}

func TestAProxyOfHTTPSaysWhoTheClientIs(t *testing.T) {
	d, at := startWeb(t, "--log-level", "debug", "--forwarded-from", "127.0.0.1", "--forwarded-from", "198.51.100.0/24")
	if code, _ := gets(t, at, upgrade("X-Forwarded-For: 203.0.113.9, 192.0.2.1, 198.51.100.3")); code != http.StatusSwitchingProtocols {
		t.Errorf("answered with %d", code)
	}
	d.isKnown(t, "192.0.2.1:0")
	if code, text := gets(t, at, upgrade()); code != http.StatusBadRequest || !strings.Contains(text, "X-Forwarded-For") {
		t.Errorf("who does not say is answered with %d, %q", code, text)
	}
}

// A socket that a relay has left behind keeps no other from taking its place; one that is in use does.
func TestAUnixSocketSurvivesAKill(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "relay.sock")
	flags := []string{"--listen", "unix://" + socket, "--unix-mode", "0600"}
	d := start(t, flags...)
	_ = d.process.Kill()
	d.ends(t, patience)
	if _, err := os.Lstat(socket); err != nil {
		t.Fatalf("it was removed: %v", err)
	}
	d = start(t, flags...)
	if info, err := os.Lstat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	d.signals(t, syscall.SIGTERM)
	d.ends(t, drainTime+patience)
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}
