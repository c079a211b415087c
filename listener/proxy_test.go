package listener_test

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/pires/go-proxyproto"

	"github.com/mdeiml/blubbel-server/listener"
)

// header is the PROXY header, in a version, of a client who came from an address.
func header(t testing.TB, version byte, from string) string {
	t.Helper()
	client, err := net.ResolveTCPAddr("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	relay := &net.TCPAddr{IP: client.IP, Port: 8000}
	text, err := proxyproto.HeaderProxyFromAddrs(version, client, relay).Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// second is a header of version 2: its command, family, and what follows.
func second(command, family byte, rest string) string {
	b := append([]byte(signature), 0x20|command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(rest)))) + rest
}

// behindProxies trusts those who connect from this machine.
func behindProxies(t testing.TB) func(net.Listener) net.Listener {
	return func(ln net.Listener) net.Listener { return listener.Proxied(ln, networks(t, "127.0.0.0/8 unix")) }
}

func TestAProxySaysWhoTheClientIs(t *testing.T) {
	const addresses = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x10\x00\x1f\x40"
	for _, c := range []struct{ name, header, from string }{
		{"IPv4", header(t, 1, "192.0.2.1:4711"), "192.0.2.1:4711"},
		{"IPv6", header(t, 1, "[2001:db8::1]:4711"), "[2001:db8::1]:4711"},
		{"IPv4, in version 2", header(t, 2, "192.0.2.1:4711"), "192.0.2.1:4711"},
		{"IPv6, in version 2", header(t, 2, "[2001:db8::1]:4711"), "[2001:db8::1]:4711"},
		{"with more behind the addresses", second(1, 0x11, addresses+"\x04\x00\x03abc"), "192.0.2.1:4096"},
		{"an unknown one", "PROXY UNKNOWN\r\n", ""},
		{"an unknown one with addresses", "PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", ""},
		{"none, as for a health check", second(0, 0, ""), ""},
		{"none, whatever the address", second(0, 0x11, addresses), ""},
		{"none, with more", second(0, 0, "\x04\x00\x03abc"), ""},
		{"of another kind", second(1, 0x31, string(make([]byte, 216))), ""},
		{"of a kind without a name", second(1, 0, ""), ""},
		{"by UDP", second(1, 0x12, addresses), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, far := tcp(t)
			conn := wrap(t, far, behindProxies(t))
			if _, known := conn.RemoteAddr().(*net.TCPAddr); known || conn.RemoteAddr().String() != "behind "+far.RemoteAddr().String() {
				t.Errorf("before it is told, it comes from %v", conn.RemoteAddr())
			}
			if _, err := client.Write([]byte(c.header + "PROXY and so on")); err != nil {
				t.Fatal(err)
			}
			if err := conn.(interface{ Handshake() error }).Handshake(); err != nil {
				t.Fatal(err)
			}
			addr, known := conn.RemoteAddr().(*net.TCPAddr)
			if known != (c.from != "") || known && addr.String() != c.from {
				t.Errorf("it comes from %v", conn.RemoteAddr())
			}
			hears(t, conn.(interface{ Bare() net.Conn }).Bare(), []byte("PROXY"))
			hears(t, conn, []byte(" and so on"))
			if _, err := conn.Write([]byte("yes")); err != nil {
				t.Fatal(err)
			}
			hears(t, client, []byte("yes"))
		})
	}
}

func TestWhatIsNoHeaderIsAMistake(t *testing.T) {
	for name, said := range map[string]string{
		"a frame":                 "\x10\x00\x00\x00\x05hello, hello",
		"HTTP":                    "GET / HTTP/1.1\r\n",
		"TLS":                     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abc",
		"an address that is none": "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
		"another address":         "PROXY TCP4 ::1 ::1 1 2\r\n",
		"too few words":           "PROXY TCP4 192.0.2.1\r\n",
		"no end in sight":         "PROXY TCP4 " + strings.Repeat("1", 200),
		"a line's other end":      "PROXY UNKNOWN\n",
		"half a signature":        signature[:11] + "\x00\x21\x11\x00\x00",
		"an unknown version":      signature + "\x31\x11\x00\x00",
		"an unknown command":      second(2, 0x11, "\xc0\x00\x02\x01\xc0\x00\x02\x02\x10\x00\x1f\x40"),
		"an unknown family":       second(1, 0x55, "\xc0\x00\x02\x01\xc0\x00\x02\x02\x10\x00\x1f\x40"),
		"half an address":         second(1, 0x11, "\xc0\x00\x02\x01"),
		"too much":                signature + "\x21\x11\x10\x01",
	} {
		t.Run(name, func(t *testing.T) {
			client, far := tcp(t)
			conn := wrap(t, far, behindProxies(t))
			if _, err := client.Write([]byte(said)); err != nil {
				t.Fatal(err)
			}
			_, err := conn.Read(make([]byte, 1))
			var why leaving
			if !errors.As(err, &why) {
				t.Fatal(err)
			}
			if left, text := why.Parting(); left == nil || !strings.Contains(text, "begin with a PROXY header") {
				t.Errorf("%v, %q", left, text)
			}
			if _, again := conn.Read(make([]byte, 1)); !errors.Is(again, err) {
				t.Errorf("then %v", again)
			}
		})
	}
}

// Whoever is no proxy cannot say who they are, and costs nothing.
func TestOthersThanProxiesAreTakenAsTheyAre(t *testing.T) {
	client, far := tcp(t)
	conn := wrap(t, far, func(ln net.Listener) net.Listener { return listener.Proxied(ln, networks(t, "192.0.2.0/24 unix")) })
	if conn != far {
		t.Errorf("it is a %T", conn)
	}
	said := header(t, 1, "192.0.2.1:4711")
	if _, err := client.Write([]byte(said)); err != nil {
		t.Fatal(err)
	}
	hears(t, conn, []byte(said))
	ln := handed(nil)
	if listener.Proxied(ln, nil) == nil || listener.Transport(listener.Proxied(ln, nil)) != "handed" {
		t.Error("without proxies there is something around it")
	}
}

// Half a header ends with the deadline, or with the connection.
func TestHalfAHeaderIsNotWaitedForForEver(t *testing.T) {
	whole := header(t, 2, "[2001:db8::1]:4711")
	for _, half := range []string{"", "P", "PROXY TCP4 ", "PROXY TCP4 192.0.2.1", whole[:5], whole[:12], whole[:15], whole[:20]} {
		synctest.Test(t, func(t *testing.T) {
			near, far := pipe(t)
			conn := wrap(t, far, func(ln net.Listener) net.Listener { return listener.Proxied(fromUnix{ln}, networks(t, "unix")) })
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			go func() { _, _ = near.Write([]byte(half)) }()
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%q: %v", half, err)
			}
		})
		client, far := tcp(t)
		conn := wrap(t, far, behindProxies(t))
		if _, err := client.Write([]byte(half)); err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
		if err := conn.(interface{ Handshake() error }).Handshake(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", half, err)
		}
	}
}

// fromUnix is a listener whose connections say that they come from a Unix socket.
type fromUnix struct{ net.Listener }

func (ln fromUnix) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	return unixConn{conn}, err
}

type unixConn struct{ net.Conn }

func (unixConn) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// The header stands before the handshake of TLS, and before the request of a WebSocket.
func TestAProxyStandsInFrontOfEveryTransport(t *testing.T) {
	config := listener.TLSConfig(&fixed{valid(t, ecdsaKey(t), 1)})
	encrypted := func(conn net.Conn, protocol string) net.Conn {
		return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	}
	web := func(conn net.Conn) net.Conn {
		ws, _, err := over(t.Context(), conn, http.Header{"X-Forwarded-For": {"198.51.100.7"}})
		if err != nil {
			t.Error(err)
			return conn
		}
		return websocket.NetConn(t.Context(), ws, websocket.MessageBinary)
	}
	proxied := behindProxies(t)
	for name, c := range map[string]struct {
		around func(net.Listener) net.Listener
		dial   func(net.Conn) net.Conn
	}{
		"tcp": {proxied, func(conn net.Conn) net.Conn { return conn }},
		"tls": {
			func(ln net.Listener) net.Listener { return listener.TLS(proxied(ln), config) },
			func(conn net.Conn) net.Conn { return encrypted(conn, listener.Protocol) },
		},
		"ws": {func(ln net.Listener) net.Listener { return everywhere(proxied(ln)) }, web},
		"wss": {
			func(ln net.Listener) net.Listener {
				return everywhere(listener.TLS(proxied(ln), listener.WebTLSConfig(config)))
			},
			func(conn net.Conn) net.Conn { return web(encrypted(conn, "http/1.1")) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := tcp(t)
			conn := wrap(t, far, c.around)
			go func() { _, _ = io.Copy(conn, conn) }() // ends with the connection
			if _, err := near.Write([]byte(header(t, 2, "192.0.2.1:4711"))); err != nil {
				t.Fatal(err)
			}
			client := c.dial(near)
			if _, err := client.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			hears(t, client, []byte("hello"))
			if from := conn.RemoteAddr().String(); from != "192.0.2.1:4711" {
				t.Errorf("it comes from %s", from)
			}
		})
	}
}

// A proxy of TCP may stand before one of HTTP: each says for whom, and is believed if it is known.
func TestProxiesBehindEachOther(t *testing.T) {
	for trusted, want := range map[string]string{"10.0.0.1": "198.51.100.7:0", "10.0.0.2": "10.0.0.1:4711"} {
		near, far := tcp(t)
		proxied := behindProxies(t)
		conn := wrap(t, far, func(ln net.Listener) net.Listener {
			return listener.WebSocket(proxied(ln), listener.Web{Path: "/chat", ForwardedFrom: networks(t, trusted)})
		})
		said := header(t, 1, "10.0.0.1:4711") + asks(get, "X-Forwarded-For: 198.51.100.7")
		if _, err := near.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		if err := conn.(interface{ Handshake() error }).Handshake(); err != nil {
			t.Fatal(err)
		}
		if from := conn.RemoteAddr().String(); from != want {
			t.Errorf("it comes from %s, want %s", from, want)
		}
	}
}

// FuzzHeader has a proxy say anything: what is behind a header is there, byte for byte.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		header(f, 1, "192.0.2.1:4711"), header(f, 2, "192.0.2.1:4711"), header(f, 1, "[2001:db8::1]:4711"),
		header(f, 2, "[2001:db8::1]:4711"), "PROXY UNKNOWN\r\n", second(0, 0, ""), second(1, 0, ""), signature, "PROXY",
	} {
		f.Add([]byte(s + "and so on"))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		conn := wrap(t, played{says: strings.NewReader(string(said))}, behindProxies(t))
		err := conn.(interface{ Handshake() error }).Handshake()
		_ = conn.RemoteAddr().String()
		rest, readErr := io.ReadAll(conn)
		switch {
		case err == nil && (readErr != nil || !strings.HasSuffix(string(said), string(rest)) || len(rest) == len(said)):
			t.Errorf("%q is left, %v", rest, readErr)
		case err != nil && (readErr == nil && !errors.Is(err, io.EOF) || len(rest) > 0):
			t.Errorf("%v, and then %q, %v", err, rest, readErr)
		}
	})
}
