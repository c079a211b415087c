package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/mdeiml/blubbel-server/frames"
)

// web serves HTTP, at /echo a WebSocket that echoes, until the test's end.
func web(t *testing.T, start func(*httptest.Server)) (address string, roots *x509.CertPool) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		stream := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
		_, _ = io.Copy(stream, stream)
		_ = ws.CloseNow()
	})
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/echo", http.StatusFound) })
	mux.HandleFunc("/words", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not here,\x1b[2J my friend\nnor there", http.StatusForbidden)
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	start(server)
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	roots = x509.NewCertPool()
	if server.Certificate() != nil {
		roots.AddCert(server.Certificate())
	}
	return server.Listener.Addr().String(), roots
}

func reach(t *testing.T, address string, roots *x509.CertPool) (net.Conn, error) {
	t.Helper()
	a, err := ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel() // it is for the dialling only
	return Options{RootCAs: roots}.connect(ctx, a)
}

func TestAWebSocketIsAStream(t *testing.T) {
	for scheme, start := range map[string]func(*httptest.Server){"ws": (*httptest.Server).Start, "wss": (*httptest.Server).StartTLS} {
		address, roots := web(t, start)
		conn, err := reach(t, scheme+"://"+address+"/echo", roots)
		if err != nil {
			t.Fatal(err)
		}
		if binding, err := bindingOf(t.Context(), conn); err != nil || binding != (frames.Binding{}) {
			t.Errorf("%v, %v: nothing may be tied to it", binding, err)
		}
		const size = 100_000 // more than the library takes as one message, unless it is told
		go func() { _, _ = conn.Write(make([]byte, size)) }()
		if _, err := io.ReadFull(conn, make([]byte, size)); err != nil {
			t.Error(err)
		}
		go func() { _ = conn.(interface{ CloseWrite() error }).CloseWrite() }()
		if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		_ = conn.Close()
	}
}

// A relay that is named by its id as well must have its certificate: in a WebSocket, what it signs does not hold for the connection.
func TestAWebSocketOverTLSNeedsACertificate(t *testing.T) {
	address, _ := web(t, (*httptest.Server).StartTLS)
	for _, id := range []string{"", frames.RelayID{1}.String() + "@"} {
		var unverified *tls.CertificateVerificationError
		if _, err := reach(t, "wss://"+id+address+"/echo", nil); !errors.As(err, &unverified) {
			t.Error(err)
		}
	}
}

func TestWhatOpensNoWebSocketSaysWhatItIs(t *testing.T) {
	address, _ := web(t, (*httptest.Server).Start)
	for path, want := range map[string]string{
		"/":          `the answer is 404 Not Found, "404 page not found"`,
		"/elsewhere": `the answer is 302 Found, "<a href=\"/echo\">Found</a>."`,
		"/words":     `the answer is 403 Forbidden, "not here,\x1b[2J my friend"`,
	} {
		_, err := reach(t, "ws://"+address+path, nil)
		var no *NoWebSocket
		if !errors.As(err, &no) || err.Error() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() { // ends with the connection
		if conn, err := ln.Accept(); err == nil {
			_, _ = io.WriteString(conn, strings.Repeat("no HTTP", 1000))
			_ = conn.Close()
		}
	}()
	var no *NoWebSocket
	if _, err := reach(t, "ws://"+ln.Addr().String(), nil); !errors.As(err, &no) || no.Status != 0 || no.Err == nil {
		t.Error(err)
	}
}

// once is a listener with one connection.
type once struct {
	conn chan net.Conn
	over chan struct{}
}

func (o *once) Accept() (net.Conn, error) {
	select {
	case conn := <-o.conn:
		return conn, nil
	case <-o.over:
		return nil, net.ErrClosed
	}
}

func (o *once) Close() error { close(o.over); return nil }

func (*once) Addr() net.Addr { return &net.UnixAddr{} }

// A relay that reads nothing is not waited for when we close, also where we have waited for it until then.
func TestCloseEndsAWebSocketAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ln := &once{make(chan net.Conn, 1), make(chan struct{})}
		ln.conn <- far
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ws, err := websocket.Accept(w, r, nil); err == nil {
				<-ln.over
				_ = ws.CloseNow()
			}
		})}
		go func() { _ = server.Serve(ln) }() // ends when it is closed
		defer func() { _ = server.Close() }()
		conn, err := openWebSocket(t.Context(), near, Address{HostPort: "relay.test:80", WebSocket: true, Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		began, over := time.Now(), make(chan struct{})
		go func() {
			defer close(over)
			_ = conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		synctest.Wait()
		_ = conn.Close()
		<-over
		if took := time.Since(began); took > 0 {
			t.Errorf("it takes %v", took)
		}
	})
}
