package listener_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mdeiml/blubbel-server/listener"
)

// The kernel has to be asked what it will do: to wait for it would take minutes.
func TestServeHasTheKernelNoticeClientsThatVanish(t *testing.T) {
	settings := listener.TCP{KeepAlive: 61 * time.Second, Interval: 16 * time.Second, Probes: 5, UserTimeout: 62 * time.Second}
	for name, around := range map[string]func(net.Listener) net.Listener{
		"TCP": func(ln net.Listener) net.Listener { return ln },
		"TLS": func(ln net.Listener) net.Listener { return tls.NewListener(ln, &tls.Config{}) },
		"WebSocket over TLS, by a proxy": func(ln net.Listener) net.Listener {
			return everywhere(listener.TLS(behindProxies(t)(ln), &tls.Config{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			accepted := make(chan net.Conn, 1)
			go func() { // ends when the listener is closed
				_ = listener.Serve(t.Context(), around(inner), func() listener.TCP { return settings }, silent(), func(conn net.Conn) { accepted <- conn })
			}()
			client, err := net.Dial("tcp", inner.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			conn := <-accepted
			defer func() { _ = conn.Close() }()
			for outer, ok := conn.(interface{ NetConn() net.Conn }); ok; outer, ok = conn.(interface{ NetConn() net.Conn }) {
				conn = outer.NetConn()
			}
			for _, c := range []struct {
				name                string
				level, option, want int
			}{
				{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
				{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 61},
				{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 16},
				{"TCP_KEEPCNT", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 5},
				{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 62_000},
			} {
				if got := option(t, conn.(*net.TCPConn), c.level, c.option); got != c.want {
					t.Errorf("%s is %d, want %d", c.name, got, c.want)
				}
			}
		})
	}
}

// option returns an option of a socket.
func option(t *testing.T, conn *net.TCPConn, level, name int) (value int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { value, failed = unix.GetsockoptInt(int(fd), level, name) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return value
}
