package listener_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/nettest"

	"github.com/mdeiml/blubbel-server/listener"
)

// handed is a listener that hands over the connections it is given.
type handed chan net.Conn

func (h handed) Accept() (net.Conn, error) {
	conn, ok := <-h
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (handed) Close() error   { return nil }
func (handed) Addr() net.Addr { return &net.UnixAddr{Name: "handed", Net: "handed"} }

// wrap puts around a connection what a listener does.
func wrap(t testing.TB, conn net.Conn, around func(net.Listener) net.Listener) net.Conn {
	t.Helper()
	h := make(handed, 1)
	h <- conn
	conn, err := around(h).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// everywhere opens WebSockets at /.
func everywhere(ln net.Listener) net.Listener {
	return listener.WebSocket(ln, listener.Web{Path: "/"})
}

// tcp returns both ends of a TCP connection.
func tcp(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client, server
}

// over opens a WebSocket as a client, over a connection that is there.
func over(ctx context.Context, conn net.Conn, header http.Header) (*websocket.Conn, *http.Response, error) {
	dial := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	return websocket.Dial(ctx, "ws://relay.test/", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}}, HTTPHeader: header,
	})
}

// opens opens a WebSocket between the ends of a connection.
func opens(t testing.TB, ends func(testing.TB) (client, server net.Conn)) (client *websocket.Conn, server net.Conn) {
	t.Helper()
	near, far := ends(t)
	server = wrap(t, far, everywhere)
	shaken := make(chan error, 1)
	go func() { shaken <- server.(interface{ Handshake() error }).Handshake() }() // ends with the handshake
	client, _, err := over(t.Context(), near, nil)
	if err := errors.Join(err, <-shaken); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.CloseNow() })
	client.SetReadLimit(-1)
	return client, server
}

// sends sends a message.
func sends(t testing.TB, c *websocket.Conn, kind websocket.MessageType, text []byte) {
	t.Helper()
	if err := c.Write(t.Context(), kind, text); err != nil {
		t.Fatal(err)
	}
}

// hears reads so much.
func hears(t testing.TB, c net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("heard %.100q, %v; want %.100q", got[:n], err, want)
	}
}

// endsWith reads to the end.
func endsWith(t testing.TB, c net.Conn, want error) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, want) {
		t.Fatalf("heard %d bytes, %v; want %v", n, err, want)
	}
}

// isClosed expects that the relay closes a WebSocket with this status.
func isClosed(t testing.TB, c *websocket.Conn, want websocket.StatusCode) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, text, err := c.Read(ctx); websocket.CloseStatus(err) != want {
		t.Fatalf("heard %q, %v; want status %d", text, err, want)
	}
}

func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(b) // never fails
	return b
}

// TestAWebSocketIsAConnection has the library of Go's network look whether it behaves as one, from either end. Of the tests, two go on
// to write after a deadline has come in the middle of a write, which here is the end of writing, as in TLS: they get a pipe.
func TestAWebSocketIsAConnection(t *testing.T) {
	const future, concurrent = 9, 11 // TestFutureTimeout and ConcurrentMethods, in the order of the library's
	pair := func() (server, client net.Conn, stop func(), err error) {
		ws, server := opens(t, tcp)
		client, theirs := net.Pipe() // for what the library's client has no deadlines
		stream := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
		go func() { // ends with the stream
			_, _ = io.Copy(theirs, stream)
			_ = theirs.Close()
		}()
		go func() { // ends with the pipe
			_, _ = io.Copy(stream, theirs)
			_ = ws.Close(websocket.StatusNormalClosure, "")
		}()
		return server, client, func() { _, _ = server.Close(), client.Close() }, nil
	}
	t.Run("relay", func(t *testing.T) {
		calls := 0
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			if calls++; calls == future || calls == concurrent {
				one, other := net.Pipe()
				return one, other, func() { _, _ = one.Close(), other.Close() }, nil
			}
			return pair()
		})
	})
	t.Run("client", func(t *testing.T) {
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			server, client, stop, err := pair()
			return client, server, stop, err
		})
	})
}

// Frames may be cut into messages anyhow, with pings in between, and while deadlines ring all the time.
func TestDeadlinesLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := opens(t, pipe)
		want := noise(300_000)
		go func() { // ends when all is sent
			for left := want; len(left) > 0; {
				<-time.After(time.Millisecond)
				part := left[:min(len(left), rand.IntN(40_000))]
				w, err := client.Writer(context.Background(), websocket.MessageBinary)
				for err == nil && len(part) > 0 { // a message in parts
					n := min(len(part), 1+rand.IntN(30_000))
					_, err = w.Write(part[:n])
					part, left = part[n:], left[n:]
				}
				if err = errors.Join(err, w.Close()); err != nil {
					t.Error(err)
					return
				}
			}
			_ = client.Close(websocket.StatusNormalClosure, "")
		}()
		var got bytes.Buffer
		rung := 0
		b := make([]byte, 7000)
		for {
			deadline := time.Now().Add(time.Duration(rand.IntN(700)) * time.Microsecond)
			if rand.IntN(3) == 0 {
				deadline = time.Unix(1, 0) // has come when there is something to read as well
			}
			_ = server.SetReadDeadline(deadline)
			n, err := server.Read(b)
			got.Write(b[:n])
			if errors.Is(err, io.EOF) {
				break
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				rung++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got.Bytes(), want) || rung < 10 {
			t.Errorf("%d bytes of %d came, or others; %d deadlines rang", got.Len(), len(want), rung)
		}
	})
}

// pipe returns both ends of a connection within a bubble of time.
func pipe(t testing.TB) (client, server net.Conn) {
	client, server = net.Pipe()
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

func TestAReadIsInterrupted(t *testing.T) {
	for what, does := range map[string]struct {
		act  func(net.Conn)
		want error
	}{
		"by a deadline in the past":          {func(c net.Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"by a deadline that has become near": {func(c net.Conn) { _ = c.SetReadDeadline(time.Now().Add(time.Second)) }, os.ErrDeadlineExceeded},
		"by Close":                           {func(c net.Conn) { _ = c.Close() }, net.ErrClosed},
	} {
		for when, begins := range map[string]func(testing.TB) net.Conn{
			"in the handshake": func(t testing.TB) net.Conn {
				_, far := pipe(t)
				return wrap(t, far, everywhere)
			},
			"after it": func(t testing.TB) net.Conn {
				_, server := opens(t, pipe)
				return server
			},
		} {
			t.Run(what+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := begins(t)
					_ = server.SetReadDeadline(time.Now().Add(time.Hour))
					interrupted := make(chan error)
					go func() {
						_, err := server.Read(make([]byte, 1))
						interrupted <- err
					}()
					synctest.Wait()
					began := time.Now()
					does.act(server)
					if err := <-interrupted; !errors.Is(err, does.want) && !errors.Is(err, io.ErrClosedPipe) {
						t.Error(err)
					}
					if took := time.Since(began); took > time.Second {
						t.Errorf("after %v", took)
					}
				})
			})
		}
	}
}

// What is not read is not taken, however long a message is.
func TestALongMessageWaitsForItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := opens(t, pipe)
		want := noise(1 << 20)
		sent := make(chan error, 1)
		go func() { sent <- client.Write(context.Background(), websocket.MessageBinary, want) }()
		<-time.After(time.Hour)
		if len(sent) > 0 {
			t.Error("all of it was taken, and nothing read")
		}
		hears(t, server, want)
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

func TestPingsAreAnswered(t *testing.T) {
	client, server := opens(t, tcp)
	client.CloseRead(t.Context())
	for range 3 {
		if err := client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		sends(t, client, websocket.MessageBinary, []byte("ping"))
		hears(t, server, []byte("ping"))
	}
}

// Whoever sends what is in no message, of which the relay never hears, is answered for a while, and then closed. Time stands still meanwhile.
func TestAFloodOfChaffIsEnded(t *testing.T) {
	const empty = "\x80\x00\x00\x00\x00" // the length, and a mask
	for name, c := range map[string]struct{ first, then string }{
		"pings":                {"", "\x89" + empty},
		"pongs":                {"", "\x8a\xfd\x00\x00\x00\x00" + strings.Repeat("x", 125)},
		"empty messages":       {"", "\x82" + empty},
		"a message of nothing": {"\x02" + empty, "\x00" + empty},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := pipe(t)
				_, server := opens(t, func(testing.TB) (net.Conn, net.Conn) { return near, far })
				heard, sent := make(chan int64, 1), make(chan struct{})
				go func() { // ends with the connection
					n, _ := io.Copy(io.Discard, near)
					heard <- n
				}()
				go func() { // ends when 6 MB or more are sent, or with the connection
					defer close(sent)
					_, err := near.Write([]byte(c.first))
					flood := []byte(strings.Repeat(c.then, 10_000))
					for n := 0; n < 100 && err == nil; n++ {
						_, err = near.Write(flood)
					}
					_ = near.Close()
				}()
				if n, err := server.Read(make([]byte, 1)); n > 0 || err == nil || !strings.Contains(err.Error(), "a flood") {
					t.Errorf("%d bytes, %v", n, err)
				}
				_ = server.Close()
				<-sent
				if n := <-heard; n > 10_000 { // a pong has two
					t.Errorf("%d bytes were answered", n)
				}
			})
		})
	}
}

// Who cuts what they say into single bytes does nothing wrong.
func TestManySmallMessagesAreNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := opens(t, pipe)
		go func() { _, _ = io.Copy(server, server) }() // ends with the connection
		for i := range 50_000 {
			sends(t, client, websocket.MessageBinary, []byte{byte(i)})
			if _, text, err := client.Read(t.Context()); err != nil || len(text) != 1 || text[0] != byte(i) {
				t.Fatal(text, err)
			}
		}
	})
}

func TestATextMessageIsRefused(t *testing.T) {
	client, server := opens(t, tcp)
	sends(t, client, websocket.MessageBinary, []byte("one"))
	sends(t, client, websocket.MessageText, []byte("two"))
	hears(t, server, []byte("one"))
	isClosed(t, client, websocket.StatusUnsupportedData)
	if _, err := server.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("it ends with %v", err)
	}
}

func TestHowAWebSocketEnds(t *testing.T) {
	t.Run("well, by the client", func(t *testing.T) {
		for _, status := range []websocket.StatusCode{websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd, 4000} {
			client, server := opens(t, tcp)
			sends(t, client, websocket.MessageBinary, []byte("bye"))
			go func() { _ = client.Close(status, "") }() // ends when it is answered
			hears(t, server, []byte("bye"))
			endsWith(t, server, io.EOF)
			if err := server.Close(); err != nil {
				t.Errorf("%d: %v", status, err)
			}
		}
	})
	t.Run("badly, by the client", func(t *testing.T) {
		client, server := opens(t, tcp)
		_ = client.CloseNow()
		endsWith(t, server, io.ErrUnexpectedEOF)
	})
	t.Run("well, by the relay", func(t *testing.T) {
		client, server := opens(t, tcp)
		_, err := server.Write([]byte("bye"))
		go func() { _ = server.(interface{ CloseWrite() error }).CloseWrite() }() // ends when it is answered
		kind, text, err2 := client.Read(t.Context())
		if err := errors.Join(err, err2); err != nil || kind != websocket.MessageBinary || string(text) != "bye" {
			t.Errorf("%v %q, %v", kind, text, err)
		}
		isClosed(t, client, websocket.StatusNormalClosure)
		endsWith(t, server, io.EOF)
		if _, err := server.Write([]byte("more")); err == nil {
			t.Error("it writes on")
		}
	})
	t.Run("at once, by the relay", func(t *testing.T) {
		client, server := opens(t, tcp)
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		isClosed(t, client, websocket.StatusGoingAway)
		endsWith(t, server, net.ErrClosed)
		if err := server.Close(); err == nil {
			t.Error("it is closed twice")
		}
	})
}

// A client that takes nothing does not hold up whoever closes, whether something is being written to it or not.
func TestCloseDoesNotWaitForTheClient(t *testing.T) {
	for name, begins := range map[string]func(net.Conn){
		"at rest":      func(net.Conn) {},
		"in a message": func(server net.Conn) { _, _ = server.Write(noise(100)) },
		"in a close":   func(server net.Conn) { _ = server.(interface{ CloseWrite() error }).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, server := opens(t, pipe)
				begun := make(chan struct{})
				go func() {
					defer close(begun)
					begins(server)
				}()
				synctest.Wait()
				began := time.Now()
				_ = server.Close()
				if took := time.Since(began); took > 100*time.Millisecond {
					t.Errorf("it takes %v", took)
				}
				<-begun
				if took := time.Since(began); took > 100*time.Millisecond {
					t.Errorf("who wrote waits for %v", took)
				}
			})
		})
	}
}

// Who takes bytes and answers nothing is waited for only by who says so, and not for ever.
func TestWhoDoesNotAnswerACloseIsWaitedForOnlySoLong(t *testing.T) {
	for most, closes := range map[time.Duration]func(net.Conn){
		10 * time.Second: func(server net.Conn) { _ = server.(interface{ CloseWrite() error }).CloseWrite() },
		0:                func(server net.Conn) { _ = server.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := pipe(t)
			_, server := opens(t, func(testing.TB) (net.Conn, net.Conn) { return near, far })
			go func() { _, _ = io.Copy(io.Discard, near) }() // ends with the connection
			began := time.Now()
			closes(server)
			if took := time.Since(began); took > most {
				t.Errorf("it is waited for %v", took)
			}
		})
	}
}

// Browsers speak HTTP inside TLS, and are not asked for a certificate. What a client proves cannot be tied to TLS, so the connection
// does not say that it is there.
func TestWebSocketOverTLSIsForBrowsers(t *testing.T) {
	config := listener.WebTLSConfig(listener.TLSConfig(&fixed{valid(t, ecdsaKey(t), 1)}))
	near, far := tcp(t)
	asked := make(chan struct{}, 1)
	browser := tls.Client(near, &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"http/1.1"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked <- struct{}{}
			return new(tls.Certificate), nil
		},
	})
	wss := func(ln net.Listener) net.Listener { return everywhere(listener.TLS(ln, config)) }
	server := wrap(t, far, wss)
	go func() { _, _ = io.Copy(server, server) }() // ends with the connection
	ws, _, err := over(t.Context(), browser, http.Header{"Origin": {"https://relay.test"}})
	if err != nil {
		t.Fatal(err)
	}
	sends(t, ws, websocket.MessageBinary, []byte("over TLS"))
	if _, text, err := ws.Read(t.Context()); err != nil || string(text) != "over TLS" {
		t.Errorf("%q, %v", text, err)
	}
	if protocol := browser.ConnectionState().NegotiatedProtocol; protocol != "http/1.1" {
		t.Errorf("it speaks %q", protocol)
	}
	if len(asked) > 0 {
		t.Error("it asks for a certificate")
	}
	if _, ok := server.(interface{ ConnectionState() tls.ConnectionState }); ok {
		t.Error("it says that it is TLS")
	}
	if _, ok := server.(interface{ NetConn() net.Conn }).NetConn().(*tls.Conn); !ok {
		t.Error("it does not say what it is put around")
	}
}

// An ACME server asks a wss:// listener as any other, and gets no HTTP.
func TestTheChallengeOfACMEIsAnsweredBelowWebSocket(t *testing.T) {
	config := listener.WebTLSConfig(listener.TLSConfig(&fixed{valid(t, ecdsaKey(t), 1)}))
	challenged := config.Clone()
	challenged.NextProtos = []string{"acme-tls/1"}
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return challenged, nil }
	near, far := tcp(t)
	server := wrap(t, far, func(ln net.Listener) net.Listener { return everywhere(listener.TLS(ln, config)) })
	looked := make(chan error, 1)
	go func() {
		looked <- tls.Client(near, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"acme-tls/1"}}).Handshake()
		_ = near.Close()
	}()
	if err := server.(interface{ Handshake() error }).Handshake(); err == nil {
		t.Error("it goes on")
	}
	if err := <-looked; err != nil {
		t.Error(err)
	}
}

func TestTransport(t *testing.T) {
	inner, config := handed(nil), &tls.Config{}
	unix, err := listener.Unix(t.Context(), t.TempDir()+"/s", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close() }()
	overTCP, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = overTCP.Close() }()
	proxied := func(ln net.Listener) net.Listener { return listener.Proxied(ln, networks(t, "unix")) }
	for _, c := range []struct {
		ln   net.Listener
		want string
	}{
		{inner, "handed"},
		{overTCP, "tcp"},
		{unix, "unix"},
		{proxied(unix), "unix"},
		{listener.TLS(overTCP, config), "tls"},
		{listener.TLS(proxied(overTCP), config), "tls"},
		{everywhere(overTCP), "ws"},
		{everywhere(proxied(overTCP)), "ws"},
		{everywhere(listener.TLS(proxied(overTCP), config)), "wss"},
	} {
		if is := listener.Transport(c.ln); is != c.want {
			t.Errorf("%T is %q, want %q", c.ln, is, c.want)
		}
	}
}
