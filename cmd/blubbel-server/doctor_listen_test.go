package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
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
	running, stopped := expected{true, 7, us, false}, expected{false, 0, us, false}
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
		{visit{}, stopped, "ok       listen 192.0.2.1:1: it is free for the relay"},
		{visit{}, running, "wrong    listen 192.0.2.1:1: nobody listens there, though the relay runs; it was started with other settings, or has just begun to stop: restart it"},
		{
			visit{away: refused, bind: inUse, holder: nginx},
			stopped,
			"wrong    listen 192.0.2.1:1: cannot listen on 192.0.2.1:1: another program does (nginx, process 812); choose another with --listen",
		},
		{
			visit{away: context.DeadlineExceeded, bind: inUse, holder: nginx},
			running,
			"wrong    listen 192.0.2.1:1: cannot listen on 192.0.2.1:1: another program does (nginx, process 812), which accepts nobody within 5s; choose another with --listen",
		},
		{
			visit{away: refused, bind: syscall.EACCES},
			stopped,
			"wrong    listen 192.0.2.1:1: cannot listen on 192.0.2.1:1: not permitted; ports below 1024 need privileges, choose another with --listen, " +
				"or allow it (AmbientCapabilities=CAP_NET_BIND_SERVICE in a unit of systemd, or setcap cap_net_bind_service=+ep for the program)",
		},
		{
			visit{bind: syscall.EADDRNOTAVAIL},
			stopped,
			"wrong    listen 192.0.2.1:1: this machine does not have that address; choose one that it has, or 0.0.0.0 or [::] for all",
		},
		{visit{away: refused, bind: errors.New("no")}, stopped, "wrong    listen 192.0.2.1:1: cannot listen on 192.0.2.1:1: no"},
		{visit{bind: inUse, hello: client.ErrRelay, holder: nginx}, stopped, "wrong    listen 192.0.2.1:1: another program listens there (nginx, process 812)" + stop},
		{visit{bind: inUse, hello: client.ErrRelay}, running, "wrong    listen 192.0.2.1:1: another program listens there" + stop},
		{visit{bind: inUse, plain: io.EOF, holder: nginx}, running, "wrong    listen 192.0.2.1:1: another program listens there (nginx, process 812)" + stop},
		{visit{bind: inUse, hello: client.ErrOldRelay}, running, "wrong    listen 192.0.2.1:1: an older relay listens there" + stop},
		{visit{bind: inUse, plain: io.EOF, holder: ours}, running, "wrong    listen 192.0.2.1:1: the relay does not speak TLS there, or has no certificate (EOF)" + look},
		{visit{bind: inUse, hello: client.ErrDisconnected, holder: ours}, running, "wrong    listen 192.0.2.1:1: the relay does not answer as it should (the connection to the relay is lost)" + look},
		{
			visit{bind: inUse, hello: context.DeadlineExceeded, holder: nginx},
			running,
			"wrong    listen 192.0.2.1:1: whoever listens there (nginx, process 812) does not answer within 5s" + stop,
		},
		{
			visit{bind: inUse, hello: context.DeadlineExceeded, holder: ours},
			running,
			"wrong    listen 192.0.2.1:1: the relay does not answer within 5s; look at its log, and what keeps the machine busy; restart it if it hangs",
		},
		{
			visit{bind: inUse, hello: &client.Refused{Code: frames.Limit, Text: "full"}, holder: ours},
			running,
			`warning  listen 192.0.2.1:1: a relay listens there, and turns us away (the relay closes the connection: LIMIT, "full"); so it does with its users: look at its log, and at its limits`,
		},
		{
			visit{bind: inUse, hello: &client.Refused{Code: frames.Unsupported, Text: "TLS"}, holder: nginx},
			stopped,
			`wrong    listen 192.0.2.1:1: a relay listens there (nginx, process 812), and refuses us (the relay closes the connection: UNSUPPORTED, "TLS"); look whether that is the one with these settings`,
		},
		{visit{bind: inUse, relay: ofUs, took: 123456 * time.Nanosecond}, running, "ok       listen 192.0.2.1:1: the relay answers within 120µs"},
		{visit{bind: inUse, relay: ofUs, took: 1234567 * time.Microsecond}, running, "warning  listen 192.0.2.1:1: the relay answers, but takes 1.235s; look what keeps the machine busy"},
		{visit{bind: inUse}, running, "wrong    listen 192.0.2.1:1: another relay answers, which is " + frames.RelayID{}.String() + "; stop it, or name the state folder with which it was started"},
		{
			visit{bind: inUse, relay: ofUs},
			expected{true, 7, nil, false},
			"note     listen 192.0.2.1:1: a relay answers, which is " + ofUs.ID.String() + "; whether it is this one is not known; see the identity above",
		},
	} {
		c.address = address{scheme: "tcp", host: "192.0.2.1", port: "1"}
		says(t, checkListener(c.visit, c.expected), c.want)
	}
	says(t, checkListener(visit{address: at(t, "tls://[::]:0")}, stopped),
		"note     listen tls://[::]:0: a free port is taken at each start, so nobody can be asked there; clients need one that stays")
	says(t, checkListener(visit{address: at(t, "127.0.0.1:1")}, stopped), "ok       listen 127.0.0.1:1: it is free for the relay",
		"note     listen 127.0.0.1:1: only this machine can connect there; that is right behind a proxy; for others, listen on 0.0.0.0, [::], or an address of this machine")
}

func TestWhereAListenerIsReached(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:8000": "127.0.0.1:8000", "0.0.0.0:8000": "127.0.0.1:8000", ":8000": "localhost:8000", "[::]:8000": "localhost:8000",
		"[::1]:8000": "[::1]:8000", "relay.test:443": "relay.test:443",
	} {
		if network, is := fromHere(at(t, text)); network != "tcp" || is != want {
			t.Errorf("%s is reached at %s, want %s", text, is, want)
		}
	}
	if network, is := fromHere(at(t, "unix:///run/a")); network != "unix" || is != "/run/a" {
		t.Error(network, is)
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
			v := (&examination{}).visit(t.Context(), at(t, c.scheme+ln.Addr().String()))
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
	closed := at(t, ln.Addr().String())
	_ = ln.Close()
	if v := (&examination{}).visit(t.Context(), closed); v.bind != nil || v.away != nil {
		t.Errorf("%+v", v)
	}
	if v := (&examination{}).visit(t.Context(), at(t, "192.0.2.1:1")); !errors.Is(v.bind, syscall.EADDRNOTAVAIL) || v.away != nil {
		t.Errorf("%+v", v)
	}
}

func TestSocketsOfUnix(t *testing.T) {
	folder := t.TempDir()
	a := at(t, "unix://"+filepath.Join(folder, "s"))
	try := func() error { return tryListen(t.Context(), a) }
	if err := try(); err != nil {
		t.Error("nothing is there:", err)
	}
	ln, err := net.Listen("unix", a.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := try(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error("somebody listens:", err)
	}
	if h := holderOf(a); h.pid != os.Getpid() && runtime.GOOS == "linux" {
		t.Errorf("it is %+v", h)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	if err := try(); err != nil {
		t.Error("nobody listens any more:", err)
	}
	if _, err := os.Lstat(a.path); err != nil {
		t.Error("it was removed")
	}
	_ = os.Remove(a.path)
	replace(t, a.path, "")
	says(t, checkListener(visit{address: a, bind: try()}, expected{}),
		"wrong    listen "+a.String()+": cannot listen on "+a.String()+": "+a.path+" is there, and is no socket; remove it, or choose another path")
	a.path = filepath.Join(folder, "nowhere", "s")
	if err := try(); !errors.Is(err, fs.ErrNotExist) {
		t.Error("there is no folder:", err)
	}
	says(t, checkListener(visit{address: a, bind: try()}, expected{}),
		"warning  listen "+a.String()+": the folder of the socket is not there (stat "+filepath.Dir(a.path)+": no such file or directory); "+
			"make it, unless what starts the relay does, as RuntimeDirectory= in a unit of systemd")
	says(t, checkListener(visit{address: a, bind: syscall.EACCES, away: syscall.EACCES}, expected{running: true}),
		"note     listen "+a.String()+": we may not connect to the relay's socket; run doctor as the user that the relay runs as, or as one that --unix-mode lets in")
}
