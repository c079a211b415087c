package client

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/mdeiml/blubbel-server/frames"
)

// Address says where a relay is, and what is known of it. See [ParseAddress].
type Address struct {
	HostPort  string // host:port
	TLS       bool
	WebSocket bool
	Path      string // of the WebSocket
	Pinned    bool   // whether it must be the relay with this id
	ID        frames.RelayID
}

// scheme is what the beginning of an address says.
type scheme struct {
	name           string
	tls, webSocket bool
	pins           pins
}

// pins says whether the relay's id stands behind a scheme.
type pins uint8

const (
	never pins = iota
	always
	maybe
)

// schemes are those there are, the one of an address without first.
var schemes = []scheme{
	{name: "tcp"},
	{name: "tls", tls: true},
	{name: "blubbel", pins: always},
	{name: "blubbels", tls: true, pins: always},
	{name: "ws", webSocket: true, pins: maybe},
	{name: "wss", tls: true, webSocket: true, pins: maybe},
}

// ParseAddress reads an address of a relay:
//
//	host:port, tcp://host:port  TCP
//	tls://host:port             TLS 1.3; the certificate must be one for the host
//	blubbel://ID@host:port      TCP to the relay with this id
//	blubbels://ID@host:port     TLS 1.3 to the relay with this id, whatever its certificate
//	ws://host:port/path         WebSocket; ws://ID@host:port/path to the relay with this id
//	wss://host:port/path        WebSocket over TLS 1.3; the certificate must be one for the host, with an ID as well
//
// The id, 43 characters, is what the relay proves to be. Over TLS, but not in a WebSocket, the proof holds for the connection itself, so that
// nobody sits in between. Otherwise somebody who forwards everything is not noticed. The port of a WebSocket may be left out, as in
// other URLs, and so may the path.
func ParseAddress(s string) (Address, error) {
	name, rest, found := strings.Cut(s, "://")
	if !found {
		name, rest = schemes[0].name, s
	}
	i := slices.IndexFunc(schemes, func(is scheme) bool { return is.name == strings.ToLower(name) })
	if i < 0 {
		return Address{}, fmt.Errorf("%s:// is no address of a relay: it begins with tcp://, tls://, blubbel://, blubbels://, ws:// or wss://", name)
	}
	a := Address{TLS: schemes[i].tls, WebSocket: schemes[i].webSocket}
	id, hostPort, named := strings.Cut(rest, "@")
	switch pins := schemes[i].pins; {
	case pins == always && !named:
		return Address{}, fmt.Errorf("the relay's id is missing: %s://ID@host:port", name)
	case pins == never && named && !found:
		return Address{}, errors.New("an address with a relay's id begins with blubbels://, or with blubbel:// without TLS")
	case pins == never && named:
		return Address{}, fmt.Errorf("%s:// takes no id of a relay; blubbels:// does, or blubbel:// without TLS", name)
	case named:
		if err := a.pin(id); err != nil {
			return Address{}, err
		}
		rest = hostPort
	}
	if a.WebSocket {
		rest = a.cutPath(rest)
	}
	a.HostPort = rest
	return a, a.check()
}

// cutPath takes the path off an address, and adds the port where there is none.
func (a *Address) cutPath(s string) (hostPort string) {
	hostPort, path, _ := strings.Cut(s, "/")
	a.Path = "/" + path
	if _, _, err := net.SplitHostPort(hostPort); err != nil && strings.LastIndexByte(hostPort, ':') <= strings.LastIndexByte(hostPort, ']') {
		hostPort += ":" + a.usualPort()
	}
	return hostPort
}

// usualPort is the one of URLs that name none.
func (a *Address) usualPort() string {
	if a.TLS {
		return "443"
	}
	return "80"
}

// check says what is wrong with an address.
func (a *Address) check() error {
	if path, err := url.Parse(a.Path); err != nil || path.RawQuery != "" || path.Fragment != "" || path.ForceQuery {
		return errors.New("the path cannot be read, or something stands behind it")
	}
	return checkHostPort(a.HostPort)
}

// pin takes the id that the relay must have.
func (a *Address) pin(id string) (err error) {
	if n := len(frames.RelayID{}.String()); len(id) != n {
		return fmt.Errorf("a relay's id has %d characters, and this one %d: perhaps it was cut off", n, len(id))
	}
	a.Pinned = true
	a.ID, err = frames.ParseRelayID(id)
	return err
}

func checkHostPort(hostPort string) error {
	host, port, err := net.SplitHostPort(hostPort)
	wrong, _ := errors.AsType[*net.AddrError](err)
	switch n, notNumber := strconv.ParseUint(port, 10, 16); {
	case strings.ContainsAny(hostPort, "/?#"):
		return errors.New("nothing stands behind the port: give it as host:port")
	case wrong != nil && strings.Contains(wrong.Err, "missing port"):
		return errors.New("the port is missing: give it as host:port")
	case wrong != nil && strings.Contains(wrong.Err, "too many colons"):
		return errors.New("an IPv6 address stands in brackets: [::1]:8000")
	case err != nil:
		return fmt.Errorf("give it as host:port (%w)", err)
	case host == "":
		return errors.New("the host is missing: give it as host:port")
	case notNumber != nil || n == 0:
		return errors.New("the port is a number from 1 to 65535: give it as host:port")
	}
	return nil
}

// String returns the address as ParseAddress reads it.
func (a Address) String() string {
	id := ""
	if a.Pinned {
		id = a.ID.String() + "@"
	}
	i := slices.IndexFunc(schemes, func(is scheme) bool {
		return is.tls == a.TLS && is.webSocket == a.WebSocket && (is.pins == maybe || (is.pins == always) == a.Pinned)
	})
	return schemes[i].name + "://" + id + a.HostPort + a.Path
}
