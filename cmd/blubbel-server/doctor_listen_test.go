package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

func TestListeners(t *testing.T) {
	us := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	nginx, ours := holder{812, "nginx"}, holder{7, "blubbel-server"}
	running, stopped := expected{true, 7, us}, expected{false, 0, us}
	ofUs, refused, inUse := client.Relay{ID: relayID(us), Signed: true}, syscall.ECONNREFUSED, syscall.EADDRINUSE
	const (
		stop = "; stop it; or choose another address with --listen"
		look = "; look at its log; if --listen has changed, restart it"
	)
	for _, c := range []struct {
		visit
		expected
		want string
	}{
		{visit{}, stopped, "ok       listen A: it is free for the relay"},
		{visit{}, running, "wrong    listen A: nobody listens there, though the relay runs; it was started with other settings, or has just begun to stop: restart it"},
		{
			visit{away: refused, bind: inUse, holder: nginx}, stopped,
			"wrong    listen A: cannot listen on A: another program does (nginx, process 812); choose another with --listen",
		},
		{
			visit{away: context.DeadlineExceeded, bind: inUse, holder: nginx}, running,
			"wrong    listen A: cannot listen on A: another program does (nginx, process 812), which accepts nobody within 5s; choose another with --listen",
		},
		{
			visit{away: refused, bind: syscall.EACCES}, stopped,
			"wrong    listen A: cannot listen on A: not permitted; ports below 1024 need privileges, choose another with --listen, " +
				"or allow it (AmbientCapabilities=CAP_NET_BIND_SERVICE in a unit of systemd, or setcap cap_net_bind_service=+ep for the program)",
		},
		{
			visit{bind: syscall.EADDRNOTAVAIL}, stopped,
			"wrong    listen A: this machine does not have that address; choose one that it has, or 0.0.0.0 or [::] for all",
		},
		{visit{away: refused, bind: errors.New("no")}, stopped, "wrong    listen A: cannot listen on A: no"},
		{visit{bind: inUse, hello: client.ErrRelay, holder: nginx}, stopped, "wrong    listen A: another program listens there (nginx, process 812)" + stop},
		{visit{bind: inUse, hello: client.ErrRelay}, running, "wrong    listen A: another program listens there" + stop},
		{visit{bind: inUse, plain: io.EOF, holder: nginx}, running, "wrong    listen A: another program listens there (nginx, process 812)" + stop},
		{visit{bind: inUse, hello: client.ErrOldRelay}, running, "wrong    listen A: an older relay listens there" + stop},
		{visit{bind: inUse, plain: io.EOF, holder: ours}, running, "wrong    listen A: the relay does not speak TLS there, or has no certificate (EOF)" + look},
		{visit{bind: inUse, hello: client.ErrDisconnected, holder: ours}, running, "wrong    listen A: the relay does not answer as it should (the connection to the relay is lost)" + look},
		{
			visit{bind: inUse, hello: context.DeadlineExceeded, holder: nginx}, running,
			"wrong    listen A: whoever listens there (nginx, process 812) does not answer within 5s; if it is the relay, look at its log; if not, choose another address with --listen",
		},
		{
			visit{bind: inUse, hello: &client.Refused{Code: frames.Limit, Text: "full"}, holder: ours}, running,
			`warning  listen A: a relay listens there, and turns us away (the relay closes the connection: LIMIT, "full"); so it does with its users: look at its log, and at its limits`,
		},
		{
			visit{bind: inUse, hello: &client.Refused{Code: frames.Unsupported, Text: "TLS"}, holder: nginx}, stopped,
			`wrong    listen A: a relay listens there (nginx, process 812), and refuses us (the relay closes the connection: UNSUPPORTED, "TLS"); look whether that is the one with these settings`,
		},
		{visit{bind: inUse, relay: ofUs, took: 123456 * time.Nanosecond}, running, "ok       listen A: the relay answers within 120µs"},
		{visit{bind: inUse, relay: ofUs, took: 1234567 * time.Microsecond}, running, "warning  listen A: the relay answers, but takes 1.235s; look what keeps the machine busy"},
		{visit{bind: inUse}, running, "wrong    listen A: another relay answers, which is " + frames.RelayID{}.String() + "; stop it, or name the state folder with which it was started"},
		{
			visit{bind: inUse, relay: ofUs}, expected{true, 7, nil},
			"note     listen A: a relay answers, which is " + ofUs.ID.String() + "; whether it is this one is not known; see the identity above",
		},
	} {
		c.address = "A"
		says(t, checkListener(c.visit, c.expected), c.want)
	}
	says(t, checkListener(visit{address: "tls://[::]:0"}, stopped),
		"note     listen tls://[::]:0: a free port is taken at each start, so nobody can be asked there; clients need one that stays")
	says(t, checkListener(visit{address: "127.0.0.1:1"}, stopped), "ok       listen 127.0.0.1:1: it is free for the relay",
		"note     listen 127.0.0.1:1: only this machine can connect there; that is right behind a proxy; for others, listen on 0.0.0.0, [::], or an address of this machine")
}

func TestWhereAListenerIsReached(t *testing.T) {
	for at, want := range map[string]string{
		"127.0.0.1:8000": "127.0.0.1:8000", "0.0.0.0:8000": "127.0.0.1:8000", ":8000": "localhost:8000", "[::]:8000": "localhost:8000",
		"[::1]:8000": "[::1]:8000", "relay.test:443": "relay.test:443",
	} {
		if is := fromHere(at); is != want {
			t.Errorf("%s is reached at %s, want %s", at, is, want)
		}
	}
}

// A visit to programs that are no relay ends, and finds out who that is.
func TestVisitsToStrangers(t *testing.T) {
	for name, c := range map[string]struct {
		answers func(net.Conn)
		scheme  string
		want    func(visit) error
		is      error
	}{
		"who closes":           {func(conn net.Conn) { _ = conn.Close() }, "", func(v visit) error { return v.hello }, client.ErrDisconnected},
		"who speaks HTTP":      {func(conn net.Conn) { _, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, "", func(v visit) error { return v.hello }, client.ErrRelay},
		"who closes, TLS":      {func(conn net.Conn) { _ = conn.Close() }, "tls://", func(v visit) error { return v.plain }, io.EOF},
		"who speaks HTTP, TLS": {func(conn net.Conn) { _, _ = conn.Write([]byte("HTTP/1.1 400\r\n")) }, "tls://", func(v visit) error { return v.plain }, tls.RecordHeaderError{}},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ln.Close() }()
			go func() { // ends with the listener
				for conn, err := ln.Accept(); err == nil; conn, err = ln.Accept() {
					_, _ = conn.Read(make([]byte, 64<<10)) // all, lest closing it is a reset
					c.answers(conn)
				}
			}()
			v := (&examination{}).visit(t.Context(), address(c.scheme+ln.Addr().String()))
			var record tls.RecordHeaderError
			if is := c.want(v); !errors.Is(is, c.is) && !(errors.As(c.is, &record) && errors.As(is, &record)) {
				t.Errorf("%v, want %v: %+v", is, c.is, v)
			}
			if v.holder.pid != os.Getpid() && runtime.GOOS == "linux" {
				t.Errorf("it is %+v", v.holder)
			}
		})
	}
}

func TestVisitsToNobody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := address(ln.Addr().String())
	_ = ln.Close()
	if v := (&examination{}).visit(t.Context(), at); v.bind != nil || v.away != nil {
		t.Errorf("%+v", v)
	}
	if v := (&examination{}).visit(t.Context(), "192.0.2.1:1"); !errors.Is(v.bind, syscall.EADDRNOTAVAIL) || v.away != nil {
		t.Errorf("%+v", v)
	}
}
