package listener_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/mdeiml/blubbel-server/listener"
)

// asks is a request, as it should be, with lines of its header changed or added, or left out where there is nothing behind the colon.
func asks(first string, changes ...string) string {
	header := map[string]string{
		"Host": "relay.test", "Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	}
	for _, change := range changes {
		name, value, _ := strings.Cut(change, ":")
		header[name] = strings.TrimSpace(value)
	}
	text := first + "\r\n"
	for name, value := range header {
		if value != "" {
			text += name + ": " + value + "\r\n"
		}
	}
	return text + "\r\n"
}

const get = "GET /chat HTTP/1.1"

// leaving is why a handshake failed, and what is left of the connection.
type leaving interface {
	error
	Parting() (conn net.Conn, text string)
}

// answers has a listener at /chat answer a request, which may be nil if the answer was none of HTTP, and returns how the handshake ended.
func answers(t *testing.T, web listener.Web, request string) (*http.Response, string, error) {
	t.Helper()
	client, far := tcp(t)
	web.Path = "/chat"
	server := wrap(t, far, func(ln net.Listener) net.Listener { return listener.WebSocket(ln, web) })
	shaken := make(chan error, 1)
	go func() { // ends with the handshake
		err := server.(interface{ Handshake() error }).Handshake()
		if err != nil {
			_ = server.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn).CloseWrite()
		}
		shaken <- err
	}()
	_ = client.SetDeadline(time.Now().Add(patience))
	if _, err := client.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(client), &http.Request{Method: method})
	if err != nil {
		return nil, "", <-shaken
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response, "", <-shaken
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response, string(body), <-shaken
}

func TestOnlyAWebSocketIsOpened(t *testing.T) {
	for _, c := range []struct {
		name, request string
		code          int
		says          string
	}{
		{"as it should be", asks(get), 101, ""},
		{"with several words where one is asked for", asks(get, "Connection: keep-alive, upgrade", "Upgrade: WebSocket"), 101, ""},
		{"with an extension", asks(get, "Sec-WebSocket-Extensions: permessage-deflate"), 101, ""},
		{"with a query", asks("GET /chat?x=1 HTTP/1.1"), 101, ""},
		{"as to a proxy", asks("GET http://relay.test/chat HTTP/1.1"), 101, ""},
		{"at another path", asks("GET / HTTP/1.1"), 404, "there is nothing at this path"},
		{"below the path", asks("GET /chat/ HTTP/1.1"), 404, "there is nothing"},
		{"at another path, without an upgrade", asks("GET /favicon.ico HTTP/1.1", "Upgrade:", "Connection:"), 404, "there is nothing"},
		{"to connect", asks("CONNECT relay.test:443 HTTP/1.1"), 404, "there is nothing"},
		{"by a browser that was typed into", asks(get, "Upgrade:", "Connection: keep-alive"), 426, "this is a relay for messengers, which speak WebSocket"},
		{"without an upgrade, but for the word", asks(get, "Upgrade:"), 426, "this is a relay"},
		{"to upgrade to something else", asks(get, "Upgrade: h2c"), 426, "this is a relay"},
		{"for the header only", asks("HEAD /chat HTTP/1.1", "Upgrade:"), 426, ""},
		{"to post", asks("POST /chat HTTP/1.1"), 405, "Method Not Allowed"},
		{"in an older version of WebSocket", asks(get, "Sec-WebSocket-Version: 8"), 400, "no request to open a WebSocket"},
		{"without a key", asks(get, "Sec-WebSocket-Key:"), 400, "no request to open a WebSocket"},
		{"with half a key", asks(get, "Sec-WebSocket-Key: dGhl"), 400, "no request to open a WebSocket"},
		{"without a host", asks(get, "Host:"), 400, "no request to open a WebSocket"},
		{"in an older version of HTTP", asks("GET /chat HTTP/1.0"), 505, "only HTTP/1.1 is spoken here"},
		{"in a newer one", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "only HTTP/1.1"},
		{"in no version", "GET /chat\r\n\r\n", 400, "no request"},
		{"in nonsense", "Hello, is anybody there?\n", 400, "no request"},
		{"with nonsense in the header", "GET /chat HTTP/1.1\r\nno colon\r\n\r\n", 400, "no request"},
		{"with a header that is too large", asks(get, "X-Long: "+strings.Repeat("x", 8<<10)), 431, "too large"},
		{"with a first line that does not end", "GET /" + strings.Repeat("x", 9<<10), 431, "too large"},
		{"in many lines", "GET /chat HTTP/1.1\r\n" + strings.Repeat("X: x\r\n", 2000), 431, "too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, body, err := answers(t, listener.Web{}, c.request)
			if response == nil || response.StatusCode != c.code || !strings.Contains(body, c.says) {
				t.Fatalf("%+v: %q (%v)", response, body, err)
			}
			if c.code == http.StatusSwitchingProtocols {
				if err != nil || response.Header.Get("Sec-WebSocket-Extensions") != "" {
					t.Errorf("%v, %v", response.Header, err)
				}
				return
			}
			if strings.Count(body, "\n") > 1 || !response.Close || response.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%q, %v", body, response.Header)
			}
			var why leaving
			if !errors.As(err, &why) || strings.Contains(err.Error(), "Hello") {
				t.Fatal(err)
			}
			if conn, text := why.Parting(); conn == nil || text != "" {
				t.Errorf("it is told once more: %s", text)
			}
		})
	}
}

// The version is told to those who have another, and what to upgrade to.
func TestARefusalSaysWhatWouldDo(t *testing.T) {
	response, _, _ := answers(t, listener.Web{}, asks(get, "Sec-WebSocket-Version: 8"))
	if response.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Error(response.Header)
	}
	response, _, _ = answers(t, listener.Web{}, asks(get, "Upgrade:"))
	if response.Header.Get("Upgrade") != "websocket" {
		t.Error(response.Header)
	}
}

// What speaks no HTTP at all is to be told in its own language, by whoever knows that.
func TestWhoSpeaksNoHTTPIsHandedBack(t *testing.T) {
	for _, first := range []string{"\x10\x00", "\x01", "\x16\x03\x01\x02\x00", "\xff"} {
		_, _, err := answers(t, listener.Web{}, first)
		var why leaving
		if !errors.As(err, &why) {
			t.Fatal(err)
		}
		if conn, text := why.Parting(); conn == nil || !strings.Contains(text, "speaks WebSocket") {
			t.Errorf("%q: %v, %q", first, conn, text)
		}
	}
}

// Who takes one port for the other is told in the language they speak.
func TestWhoSpeaksHTTPWithoutTLSIsToldSo(t *testing.T) {
	config := listener.WebTLSConfig(listener.TLSConfig(&fixed{valid(t, ecdsaKey(t), 1)}))
	client, far := tcp(t)
	server := wrap(t, far, func(ln net.Listener) net.Listener { return everywhere(listener.TLS(ln, config)) })
	if _, err := client.Write([]byte(asks(get))); err != nil {
		t.Fatal(err)
	}
	err := server.(interface{ Handshake() error }).Handshake()
	var why leaving
	if !errors.As(err, &why) {
		t.Fatal(err)
	}
	if conn, text := why.Parting(); conn == nil || text != "" {
		t.Errorf("%v, %q", conn, text)
	}
	response, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, response.ContentLength))
	if err != nil || response.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "begins with wss://") {
		t.Errorf("%d: %q, %v", response.StatusCode, body, err)
	}
}

// Pages of other hosts may connect only if they are named. Programs name none.
func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		origins, origin string
		may             bool
	}{
		{"", "", true},
		{"", "https://relay.test", true},
		{"", "http://RELAY.test", true},
		{"", "https://relay.test:8443", false},
		{"", "https://evil.test", false},
		{"", "https://relay.test.evil.test", false},
		{"", "null", false},
		{"", "nonsense %%", false},
		{"chat.test", "https://chat.test", true},
		{"chat.test", "http://chat.test", true},
		{"chat.test", "https://chat.test:1", false},
		{"https://chat.test", "https://chat.test", true},
		{"https://chat.test", "http://chat.test", false},
		{"*.chat.test other.test", "https://a.chat.test", true},
		{"*.chat.test other.test", "https://other.test", true},
		{"*.chat.test other.test", "https://chat.test", false},
		{"*.chat.test", "https://relay.test", true},
	} {
		response, body, _ := answers(t, listener.Web{Origins: strings.Fields(c.origins)}, asks(get, "Origin: "+c.origin))
		want := http.StatusForbidden
		if c.may {
			want = http.StatusSwitchingProtocols
		}
		if response.StatusCode != want {
			t.Errorf("with %q, %q is answered with %d", c.origins, c.origin, response.StatusCode)
		}
		if !c.may && body != "pages of this origin may not connect to this relay, unless its operator allows it\n" {
			t.Error(body)
		}
	}
}

// Whom a proxy asks for is believed from proxies only, and only what they have written themselves.
func TestForWhomAProxyForwards(t *testing.T) {
	const trusted = "127.0.0.0/8 10.0.0.0/8 2001:db8::/32"
	for _, c := range []struct{ trusted, header, from string }{
		{"10.0.0.0/8", "192.0.2.1", "127.0.0.1"},
		{"unix", "192.0.2.1", "127.0.0.1"},
		{"", "192.0.2.1", "127.0.0.1"},
		{trusted, "192.0.2.1", "192.0.2.1"},
		{trusted, "192.0.2.1:4711", "192.0.2.1"},
		{trusted, "2001:db9::1", "2001:db9::1"},
		{trusted, "[2001:db9::1]", "2001:db9::1"},
		{trusted, "[2001:db9::1]:4711", "2001:db9::1"},
		{trusted, "::ffff:192.0.2.1", "192.0.2.1"},
		{trusted, "2001:db9::1%eth0", "2001:db9::1"},
		{trusted, "198.51.100.1, 192.0.2.1, 10.1.2.3,10.1.2.4", "192.0.2.1"},
		{trusted, "nonsense, 192.0.2.1", "192.0.2.1"},
		{trusted, "198.51.100.1, 192.0.2.1, 2001:db8::1", "192.0.2.1"},
		{trusted, "10.9.9.9, 10.1.2.3", "10.9.9.9"},
		{trusted, "", ""},
		{trusted, "unknown", ""},
		{trusted, "192.0.2.1, unknown", ""},
		{trusted, "192.0.2.1,", ""},
		{trusted, "192.0.2.1 10.0.0.1", ""},
	} {
		web := listener.Web{Path: "/chat", ForwardedFrom: networks(t, c.trusted)}
		client, far := tcp(t)
		server := wrap(t, far, func(ln net.Listener) net.Listener { return listener.WebSocket(ln, web) })
		if _, known := server.RemoteAddr().(*net.TCPAddr); known == strings.HasPrefix(c.trusted, "127.") {
			t.Errorf("%q: before it is told, it comes from %v", c.trusted, server.RemoteAddr())
		}
		if _, err := client.Write([]byte(asks(get, "X-Forwarded-For: "+c.header))); err != nil {
			t.Fatal(err)
		}
		err := server.(interface{ Handshake() error }).Handshake()
		if (err == nil) != (c.from != "") {
			t.Errorf("%q: %v", c.header, err)
		}
		if addr, known := server.RemoteAddr().(*net.TCPAddr); known != (c.from != "") || known && addr.IP.String() != c.from {
			t.Errorf("%q: %v, want %s", c.header, server.RemoteAddr(), c.from)
		}
	}
	lines := strings.Replace(asks(get, "X-Forwarded-For: 192.0.2.1"), "\r\n\r\n", "\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n", 1)
	response, _, err := answers(t, listener.Web{ForwardedFrom: networks(t, trusted)}, lines)
	if err != nil {
		t.Errorf("on two lines: %v, %v", response, err)
	}
}

// played is a connection on which a client says something and leaves, and hears nothing.
type played struct {
	net.Conn
	says io.Reader
}

func (p played) Read(b []byte) (int, error)     { return p.says.Read(b) }
func (played) Write(b []byte) (int, error)      { return len(b), nil }
func (played) Close() error                     { return nil }
func (played) SetReadDeadline(time.Time) error  { return nil }
func (played) SetWriteDeadline(time.Time) error { return nil }
func (played) RemoteAddr() net.Addr             { return &net.UnixAddr{Net: "unix"} }

// FuzzUpgrade has a client say anything: it ends, and nothing comes out that is longer than what went in.
func FuzzUpgrade(f *testing.F) {
	masked := func(header ...byte) string { return string(header) + "\x00\x00\x00\x00" }
	for _, s := range []string{
		asks(get), asks("GET / HTTP/1.1"), asks("PUT /chat HTTP/1.0"), "\x10\x00\x00\x00\x00", "\x16\x03\x01",
		asks(get) + masked(0x82, 0x83) + "abc" + masked(0x88, 0x80),
		asks(get) + masked(0x81, 0x81) + "a",
		asks(get) + masked(0x02, 0x81) + "a" + masked(0x89, 0x80) + masked(0x80, 0x81) + "b",
		asks(get) + masked(0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		asks(get, "X-Forwarded-For: 192.0.2.1, 10.0.0.1"),
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + asks(get),
	} {
		f.Add([]byte(s))
	}
	web := listener.Web{Path: "/chat", Origins: []string{"*.test"}, ForwardedFrom: networks(f, "unix 10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, said []byte) {
		for _, proxies := range []string{"", "unix"} {
			conn := wrap(t, played{says: bytes.NewReader(said)}, func(ln net.Listener) net.Listener {
				return listener.WebSocket(listener.Proxied(ln, networks(t, proxies)), web)
			})
			heard, err := io.Copy(io.Discard, conn)
			if heard > int64(len(said)) {
				t.Errorf("heard %d bytes, %v", heard, err)
			}
			_ = conn.RemoteAddr().String()
			_ = conn.Close()
		}
	})
}

// What a client says along with its request is not lost.
func TestMessagesMayFollowTheRequestAtOnce(t *testing.T) {
	said := asks(get) + "\x82\x83\x00\x00\x00\x00abc\x82\x82\x00\x00\x00\x00de\x88\x80\x00\x00\x00\x00"
	conn := wrap(t, played{says: strings.NewReader(said)}, func(ln net.Listener) net.Listener {
		return listener.WebSocket(ln, listener.Web{Path: "/chat"})
	})
	if text, err := io.ReadAll(conn); err != nil || string(text) != "abcde" {
		t.Errorf("%q, %v", text, err)
	}
}

// A client whose compression is turned down speaks without.
func TestNothingIsCompressed(t *testing.T) {
	near, far := tcp(t)
	server := wrap(t, far, everywhere)
	go func() { _, _ = io.Copy(server, server) }() // ends with the connection
	ws, response, err := over(t.Context(), near, http.Header{"Sec-WebSocket-Extensions": {"permessage-deflate"}})
	if err != nil || response.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatal(response, err)
	}
	sends(t, ws, websocket.MessageBinary, bytes.Repeat([]byte("a"), 1000))
	if _, text, err := ws.Read(t.Context()); err != nil || len(text) != 1000 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
