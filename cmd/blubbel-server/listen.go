package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/listener"
)

// listening are the flags that say where to listen, and how.
type listening struct {
	Listen        []address          `help:"Where to listen: host:port, tcp://host:port, tls://host:port, ws://host:port/path, wss://host:port/path or unix:///path. May be given more than once. Port 0 chooses a free one." default:"127.0.0.1:8000" placeholder:"ADDRESS" sep:"none"`
	UnixMode      mode               `group:"listen" help:"Who may connect to the sockets of unix://, as chmod has it (${default})." default:"0660" placeholder:"MODE"`
	WSOrigin      []webOrigin        `name:"ws-origin" group:"listen" placeholder:"ORIGIN" sep:"none" help:"Pages of this origin may connect by WebSocket as well as those of the same host: a host, or with a scheme; * stands for anything but a slash. May be given more than once."`
	ProxyFrom     []listener.Network `group:"listen" placeholder:"NETWORK" sep:"none" help:"Connections from there are a proxy's, and begin with a PROXY header that says for whom: an address, a network such as 192.0.2.0/24, or unix. May be given more than once."`
	ForwardedFrom []listener.Network `group:"listen" placeholder:"NETWORK" sep:"none" help:"WebSockets from there are a proxy's, of HTTP, and say in X-Forwarded-For for whom. May be given more than once."`
}

// check looks whether the flags go together.
func (l listening) check() error {
	for i, at := range l.Listen {
		if at.port != "0" && slices.ContainsFunc(l.Listen[:i], at.collides) {
			return fmt.Errorf("--listen %s is where another --listen is; each needs a port, or a path, of its own", at)
		}
	}
	if slices.ContainsFunc(l.Listen, address.web) {
		return nil
	}
	switch {
	case len(l.WSOrigin) > 0:
		return errors.New("--ws-origin is for --listen ws:// and wss://, and there is neither")
	case len(l.ForwardedFrom) > 0:
		return errors.New("--forwarded-from is for --listen ws:// and wss://, and there is neither; for others there is --proxy-from")
	}
	return nil
}

// isOfListening reports whether a setting has to do with that.
func isOfListening(flag *kong.Flag) bool {
	return flag.Name == "listen" || flag.Group != nil && flag.Group.Key == "listen"
}

// entrance is a listener, and where it is to listen.
type entrance struct {
	net.Listener
	at address
}

// open opens all the listeners, or none, but for those that systemd has opened. The config is for those of TLS.
func (l listening) open(ctx context.Context, encrypted *tls.Config) (all []entrance, err error) {
	ready, err := inherit()
	if err != nil {
		return nil, err
	}
	for _, at := range l.Listen {
		ln := ready.take(at)
		if ln == nil {
			ln, err = l.bind(ctx, at)
		}
		if err != nil {
			closeAll(all)
			return nil, advise(at, err)
		}
		all = append(all, entrance{l.layer(ln, at, encrypted), at})
	}
	if err := ready.rest(); err != nil {
		closeAll(all)
		return nil, err
	}
	return all, nil
}

func closeAll(all []entrance) {
	for _, e := range all {
		_ = e.Close()
	}
}

func (l listening) bind(ctx context.Context, at address) (net.Listener, error) {
	if at.scheme == "unix" {
		return listener.Unix(ctx, at.path, fs.FileMode(l.UnixMode))
	}
	config := net.ListenConfig{KeepAlive: -1} // the relay sets it for each connection, and once is enough
	return config.Listen(ctx, "tcp", at.hostPort())
}

// layer puts around a listener what its address asks for.
func (l listening) layer(ln net.Listener, at address, encrypted *tls.Config) net.Listener {
	ln = listener.Proxied(ln, l.ProxyFrom)
	switch {
	case at.encrypted() && at.web():
		ln = listener.TLS(ln, listener.WebTLSConfig(encrypted))
	case at.encrypted():
		ln = listener.TLS(ln, encrypted)
	}
	if !at.web() {
		return ln
	}
	web := listener.Web{Path: at.path, ForwardedFrom: l.ForwardedFrom}
	for _, o := range l.WSOrigin {
		web.Origins = append(web.Origins, string(o))
	}
	return listener.WebSocket(ln, web)
}

// advise says what to do about an address that cannot be listened on.
func advise(at address, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another program does; choose another with --listen", at)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: this machine does not have that address; choose one of its own, or 0.0.0.0 or [::] for all, with --listen", at)
	case errors.Is(err, os.ErrNotExist) && at.scheme == "unix":
		return fmt.Errorf("cannot listen on %s: there is no such folder; make it, or choose another path with --listen", at)
	case errors.Is(err, os.ErrPermission) && at.scheme == "unix":
		return fmt.Errorf("cannot listen on %s: not permitted; choose a path in a folder that the relay may write to with --listen", at)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("cannot listen on %s: not permitted; ports below 1024 need privileges, choose another with --listen", at)
	case errors.Is(err, syscall.EINVAL) && at.scheme == "unix":
		return fmt.Errorf("cannot listen on %s: the path of a socket has about 100 bytes at most; choose a shorter one with --listen", at)
	}
	return fmt.Errorf("cannot listen on %s: %w", at, err)
}

// places are where the relay listens.
func places(all []entrance) (list []string) {
	for _, e := range all {
		list = append(list, e.place())
	}
	return list
}

// place is where it listens: the address it was given, with the port that there is.
func (e entrance) place() string {
	at := e.at
	if tcp, ok := e.Addr().(*net.TCPAddr); ok {
		at.host, at.port, _ = net.SplitHostPort(tcp.String()) // it is one
	}
	return at.String()
}

// invitations are the addresses that clients are to be given: with them they know the relay when they see it. The name is what the relay
// is called by others, for listeners that have none of their own.
func invitations(all []entrance, id frames.RelayID, name string) string {
	var list []string
	for _, e := range all {
		if e.at.scheme != "unix" {
			list = append(list, e.invitation(id, name))
		}
	}
	return strings.Join(list, " ")
}

func (e entrance) invitation(id frames.RelayID, name string) string {
	host, port, _ := net.SplitHostPort(e.Addr().String()) // it has both
	if !e.at.anywhere() {
		host = e.at.host
	} else {
		host = cmp.Or(name, host)
	}
	as := map[string]string{"tcp": "blubbel", "tls": "blubbels", "ws": "ws", "wss": "wss"}
	return fmt.Sprintf("%s://%v@%s%s", as[e.at.scheme], id, net.JoinHostPort(host, port), e.at.path)
}

// address is where to listen. The zero value is none.
type address struct{ scheme, host, port, path string }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *address) UnmarshalText(text []byte) error {
	scheme, rest, ok := strings.Cut(string(text), "://")
	if !ok {
		scheme, rest = "tcp", scheme
	}
	*a = address{scheme: scheme}
	switch scheme {
	case "tcp", "tls":
	case "ws", "wss":
		var err error
		if rest, err = a.cutPath(rest); err != nil {
			return err
		}
	case "unix":
		if a.path = rest; !path.IsAbs(rest) || strings.HasSuffix(rest, "/") || strings.ContainsAny(rest, "?#") {
			return fmt.Errorf("%q: give it as unix:///path, such as unix:///run/blubbel/relay.sock", text)
		}
		return nil
	default:
		return fmt.Errorf("%q: cannot listen on %s://, only on tcp://, tls://, ws://, wss:// and unix://", text, scheme)
	}
	var err error
	if a.host, a.port, err = net.SplitHostPort(rest); err != nil || strings.ContainsAny(a.host, "@/") {
		return fmt.Errorf("%q: give it as %s, such as %s", text, a.form(), a.example())
	}
	if _, err := strconv.ParseUint(a.port, 10, 16); err != nil {
		return fmt.Errorf("%q: a port is a number from 0 to 65535; give it as %s, such as %s", text, a.form(), a.example())
	}
	return nil
}

// cutPath takes the path off the address of a WebSocket.
func (a *address) cutPath(s string) (hostPort string, err error) {
	hostPort, rest, _ := strings.Cut(s, "/")
	u, err := url.Parse("/" + rest)
	if err != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", fmt.Errorf("%q: the path cannot be read, or something stands behind it", a.scheme+"://"+s)
	}
	a.path = u.Path
	return hostPort, nil
}

func (a *address) form() string {
	switch a.scheme {
	case "ws", "wss":
		return a.scheme + "://host:port/path"
	case "tls":
		return "tls://host:port"
	}
	return "host:port"
}

func (a *address) example() string {
	switch a.scheme {
	case "ws", "wss":
		return a.scheme + "://127.0.0.1:8080/"
	case "tls":
		return "tls://127.0.0.1:8443"
	}
	return "127.0.0.1:8000"
}

// String returns it as UnmarshalText reads it.
func (a address) String() string {
	switch {
	case a.scheme == "unix":
		return "unix://" + a.path
	case a.scheme == "tcp":
		return a.hostPort()
	case a.web():
		return a.scheme + "://" + a.hostPort() + (&url.URL{Path: a.path}).EscapedPath()
	}
	return a.scheme + "://" + a.hostPort()
}

func (a address) hostPort() string { return net.JoinHostPort(a.host, a.port) }

// collides reports whether both cannot be listened on.
func (a address) collides(with address) bool {
	if a.scheme == "unix" || with.scheme == "unix" {
		return a.scheme == with.scheme && a.path == with.path
	}
	return a.host == with.host && a.port == with.port
}

// encrypted reports whether TLS is to be spoken there.
func (a address) encrypted() bool { return a.scheme == "tls" || a.scheme == "wss" }

// web reports whether WebSocket is.
func (a address) web() bool { return a.scheme == "ws" || a.scheme == "wss" }

// anywhere reports whether it is on every address that this machine has, so that it says nothing of how others reach it.
func (a address) anywhere() bool {
	ip := net.ParseIP(a.host)
	return a.host == "" || ip != nil && ip.IsUnspecified()
}

// mode is who may do what with a file.
type mode fs.FileMode

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n > uint64(fs.ModePerm) {
		return fmt.Errorf("%q: give it as for chmod, such as 0660", text)
	}
	*m = mode(n)
	return nil
}

// String returns it as UnmarshalText reads it.
func (m mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// webOrigin is a pattern of whose pages may connect.
type webOrigin string

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *webOrigin) UnmarshalText(text []byte) error {
	_, host, ok := strings.Cut(string(text), "://")
	if !ok {
		host = string(text)
	}
	if _, err := path.Match(string(text), ""); err != nil || host == "" || strings.Contains(host, "/") {
		return fmt.Errorf("%q: give it as a host, such as chat.example.org or *.example.org:8080, perhaps with https:// before it", text)
	}
	*o = webOrigin(text)
	return nil
}
