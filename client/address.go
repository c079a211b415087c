package client

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/mdeiml/blubbel-server/frames"
)

// Address says where a relay is, and what is known of it. See [ParseAddress].
type Address struct {
	HostPort string // host:port
	TLS      bool
	Pinned   bool // whether it must be the relay with this id
	ID       frames.RelayID
}

// The schemes. Those without an id ask no relay who it is.
const (
	schemeTCP       = "tcp"
	schemeTLS       = "tls"
	schemePinned    = "blubbel"
	schemePinnedTLS = "blubbels"
)

// ParseAddress reads an address of a relay:
//
//	host:port, tcp://host:port  TCP
//	tls://host:port             TLS 1.3; the certificate must be one for the host
//	blubbel://ID@host:port      TCP to the relay with this id
//	blubbels://ID@host:port     TLS 1.3 to the relay with this id, whatever its certificate
//
// The id, 43 characters, is what the relay proves to be. Over TLS the proof holds for the connection itself, so that nobody
// sits in between. Without TLS somebody who forwards everything is not noticed.
func ParseAddress(s string) (Address, error) {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = schemeTCP, s
	}
	var a Address
	pinned := false
	switch strings.ToLower(scheme) {
	case schemeTCP:
	case schemeTLS:
		a.TLS = true
	case schemePinned:
		pinned = true
	case schemePinnedTLS:
		pinned, a.TLS = true, true
	default:
		return Address{}, fmt.Errorf("%s:// is no address of a relay: it begins with tcp://, tls://, blubbel:// or blubbels://", scheme)
	}
	id, hostPort, named := strings.Cut(rest, "@")
	switch {
	case pinned && !named:
		return Address{}, fmt.Errorf("the relay's id is missing: %s://ID@host:port", scheme)
	case pinned:
		if err := a.pin(id); err != nil {
			return Address{}, err
		}
		rest = hostPort
	case named && !found:
		return Address{}, errors.New("an address with a relay's id begins with blubbels://, or with blubbel:// without TLS")
	case named:
		return Address{}, fmt.Errorf("%s:// takes no id of a relay; blubbels:// does, or blubbel:// without TLS", scheme)
	}
	a.HostPort = rest
	return a, checkHostPort(rest)
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
	switch {
	case a.Pinned && a.TLS:
		return schemePinnedTLS + "://" + a.ID.String() + "@" + a.HostPort
	case a.Pinned:
		return schemePinned + "://" + a.ID.String() + "@" + a.HostPort
	case a.TLS:
		return schemeTLS + "://" + a.HostPort
	}
	return schemeTCP + "://" + a.HostPort
}
