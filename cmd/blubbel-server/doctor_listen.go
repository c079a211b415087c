package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/listener"
)

// listening looks at each address where the relay is to listen: whether it does, or could.
func (e *examination) listening(ctx context.Context) (found []finding) {
	for _, a := range e.Listen {
		v := e.visit(ctx, a)
		e.visits = append(e.visits, v)
		found = append(found, checkListener(v, e.expected())...)
	}
	return found
}

// expected is who is expected at the addresses.
type expected struct {
	running  bool // for certain
	pid      int
	identity ed25519.PrivateKey // nil if it is not known, or
	isNew    bool               // if there is none yet
}

func (e *examination) expected() expected {
	return expected{e.process.held || e.status != nil, e.process.pid, e.identity, errors.Is(e.identityErr, fs.ErrNotExist)}
}

// visit is what was seen at an address where the relay is to listen. Errors are nil where all was well.
type visit struct {
	address address
	bind    error             // why nobody can listen there, as when somebody does. If nobody does there is nothing else to be seen
	away    error             // why nobody can connect there
	plain   error             // why whoever listens there speaks no TLS, where TLS should be
	hello   error             // why whoever listens there does not answer as a relay
	relay   client.Relay      // who does
	took    time.Duration     // to answer a Ping
	holder  holder            // who listens there
	shows   *x509.Certificate // where TLS is spoken
}

// holder is a process that listens somewhere.
type holder struct {
	pid  int // 0 if it is not known
	name string
}

// String names it, in brackets.
func (h holder) String() string {
	if h.pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s, process %d)", h.name, h.pid)
}

const (
	visitTime = 5 * time.Second // in all, at one address
	slow      = time.Second     // for an answer on the same machine
)

// visit goes there, as a client would.
func (e *examination) visit(ctx context.Context, a address) (v visit) {
	v.address = a
	if a.anyPort() {
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, visitTime)
	defer cancel()
	if v.bind = tryListen(ctx, a); v.bind == nil || !mayAnswer(v.bind) {
		return v
	}
	v.holder = holderOf(a)
	network, where := fromHere(a)
	conn, err := new(net.Dialer).DialContext(ctx, network, where)
	if v.away = err; err == nil {
		defer func() { _ = conn.Close() }()
		v.call(ctx, conn, e.ProxyFrom)
	}
	return v
}

// mayAnswer reports whether somebody may be there, as one cannot listen there for this reason.
func mayAnswer(why error) bool {
	return errors.Is(why, syscall.EADDRINUSE) || errors.Is(why, os.ErrPermission)
}

// call says Hello, and pings.
func (v *visit) call(ctx context.Context, conn net.Conn, proxies listener.Networks) {
	if proxies.Has(conn.LocalAddr()) {
		_, _ = io.WriteString(conn, "PROXY UNKNOWN\r\n") // if it cannot be written, what follows cannot either
	}
	if v.address.encrypted() {
		encrypted := tls.Client(conn, &tls.Config{
			MinVersion: tls.VersionTLS13, NextProtos: []string{v.address.alpn()},
			InsecureSkipVerify: true, //nolint:gosec // the relay proves who it is, and what it shows is looked at
		})
		if v.plain = encrypted.HandshakeContext(ctx); v.plain != nil {
			return
		}
		v.shows = encrypted.ConnectionState().PeerCertificates[0]
		conn = encrypted
	}
	if v.address.web() {
		if conn, v.hello = openWebSocket(ctx, conn, v.address); v.hello != nil {
			return
		}
	}
	c := client.New(conn, client.Options{NoPresence: true})
	defer func() { _ = c.Close() }()
	v.took, v.hello = c.Ping(ctx)
	v.relay = c.Relay()
}

// openWebSocket opens a WebSocket over a connection, as a proxy would that asks for us.
func openWebSocket(ctx context.Context, conn net.Conn, a address) (net.Conn, error) {
	a.scheme = "ws" // TLS is there already
	dial := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	ws, _, err := websocket.Dial(ctx, a.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}},
		HTTPHeader: http.Header{"X-Forwarded-For": {"127.0.0.1"}},
	})
	if err != nil {
		return nil, err
	}
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
}

// anyPort reports whether a port is to be chosen at each start.
func (a address) anyPort() bool {
	n, err := strconv.Atoi(a.port)
	return err == nil && n == 0
}

// alpn is what clients say there that they will speak, once there is TLS.
func (a address) alpn() string {
	if a.web() {
		return "http/1.1"
	}
	return listener.Protocol
}

// fromHere is where a listener can be reached on this machine.
func fromHere(a address) (network, where string) {
	if a.scheme == "unix" {
		return "unix", a.path
	}
	switch a.host {
	case "0.0.0.0":
		a.host = "127.0.0.1"
	case "", "::":
		a.host = "localhost"
	}
	return "tcp", a.hostPort()
}

// tryListen says why one cannot listen there.
func tryListen(ctx context.Context, a address) error {
	if a.scheme == "unix" {
		return tryUnix(ctx, a.path)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", a.hostPort())
	if err != nil {
		return err
	}
	return ln.Close()
}

// makeFolder is the advice about a socket whose folder is not there. Those in /run often are there only while a service runs.
const makeFolder = "make it, unless what starts the relay does, as RuntimeDirectory= in a unit of systemd"

// tryUnix says why one cannot listen on a Unix socket, without making it. One that nobody listens on would be replaced.
func tryUnix(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s is there, and is no socket; remove it, or choose another path", path)
	}
	if err == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err == nil {
			_ = conn.Close()
			return syscall.EADDRINUSE
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); err != nil {
		return err
	}
	return writable(folder)
}

func checkListener(v visit, at expected) []finding {
	what := "listen " + v.address.String()
	if v.address.anyPort() {
		return []finding{{isNote, what, "a free port is taken at each start, so nobody can be asked there", "clients need one that stays"}}
	}
	var f finding
	switch {
	case v.bind == nil:
		f = checkFree(at)
	case v.address.scheme == "unix" && errors.Is(v.away, os.ErrPermission) && at.running:
		f = finding{isNote, "", "we may not connect to the relay's socket", "run doctor as the user that the relay runs as, or as one that --unix-mode lets in"}
	case v.away != nil || !mayAnswer(v.bind):
		f = checkBind(v)
	case v.plain != nil || v.hello != nil:
		f = checkStranger(v, at)
	default:
		f = checkRelay(v, at)
	}
	f.What = what
	if v.address.scheme == "unix" || !onThisMachine(v.address.hostPort()) {
		return []finding{f}
	}
	return []finding{f, {
		isNote, what, "only this machine can connect there", "that is right behind a proxy; for others, listen on 0.0.0.0, [::], or an address of this machine",
	}}
}

// checkBind is for where nobody can connect, and nobody listen.
func checkBind(v visit) finding {
	f := fault("", advise(v.address, v.bind))
	f.Found += v.holder.String()
	switch {
	case errors.Is(v.bind, fs.ErrNotExist):
		return finding{isWarning, "", fmt.Sprintf("the folder of the socket is not there (%v)", v.bind), makeFolder}
	case errors.Is(v.away, context.DeadlineExceeded):
		f.Found += fmt.Sprintf(", which accepts nobody within %v", visitTime)
	case errors.Is(v.bind, syscall.EACCES) && v.address.scheme != "unix":
		f.Advice += ", or allow it (AmbientCapabilities=CAP_NET_BIND_SERVICE in a unit of systemd, or setcap cap_net_bind_service=+ep for the program)"
	case errors.Is(v.bind, syscall.EADDRNOTAVAIL):
		f.Found, f.Advice = "this machine does not have that address", "choose one that it has, or 0.0.0.0 or [::] for all"
	}
	return f
}

// checkFree is for where nobody listens.
func checkFree(at expected) finding {
	if at.running {
		return finding{isWrong, "", "nobody listens there, though the relay runs", "it was started with other settings, or has just begun to stop: restart it"}
	}
	return finding{isOK, "", "it is free for the relay", ""}
}

// checkStranger is for where somebody answers who does not do that as a relay should.
func checkStranger(v visit, at expected) finding {
	const look = "look at its log; if --listen has changed, restart it"
	const stop = "stop it; or choose another address with --listen"
	ours := at.pid != 0 && at.pid == v.holder.pid
	why := errors.Join(v.plain, v.hello)
	refused, isRelay := errors.AsType[*client.Refused](why)
	switch {
	case isRelay && refused.Code == frames.Limit:
		return finding{isWarning, "", fmt.Sprintf("a relay listens there, and turns us away (%v)", refused), "so it does with its users: look at its log, and at its limits"}
	case isRelay:
		return finding{isWrong, "", fmt.Sprintf("a relay listens there%v, and refuses us (%v)", v.holder, refused), "look whether that is the one with these settings"}
	case errors.Is(why, context.DeadlineExceeded) && ours:
		return finding{isWrong, "", fmt.Sprintf("the relay does not answer within %v", visitTime), "look at its log, and what keeps the machine busy; restart it if it hangs"}
	case errors.Is(why, context.DeadlineExceeded):
		return finding{isWrong, "", fmt.Sprintf("whoever listens there%v does not answer within %v", v.holder, visitTime), stop}
	case ours && v.plain != nil:
		return finding{isWrong, "", fmt.Sprintf("the relay does not speak TLS there, or has no certificate (%v)", why), look}
	case ours:
		return finding{isWrong, "", fmt.Sprintf("the relay does not answer as it should (%v)", why), look}
	case errors.Is(why, client.ErrOldRelay):
		return finding{isWrong, "", fmt.Sprintf("an older relay listens there%v", v.holder), stop}
	}
	return finding{isWrong, "", fmt.Sprintf("another program listens there%v", v.holder), stop}
}

// checkRelay is for where a relay answers.
func checkRelay(v visit, at expected) finding {
	switch is := v.relay.ID; {
	case at.identity == nil && !at.isNew:
		return finding{isNote, "", fmt.Sprintf("a relay answers, which is %v; whether it is this one is not known", is), "see the identity above"}
	case at.isNew || is != relayID(at.identity):
		return finding{isWrong, "", fmt.Sprintf("another relay answers, which is %v", is), "stop it, or name the state folder with which it was started"}
	case v.took > slow:
		return finding{isWarning, "", fmt.Sprintf("the relay answers, but takes %v", v.took.Round(time.Millisecond)), "look what keeps the machine busy"}
	}
	return finding{isOK, "", fmt.Sprintf("the relay answers within %v", v.took.Round(10*time.Microsecond)), ""}
}
