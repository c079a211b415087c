package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/coreos/go-systemd/v22/activation"
)

// inherited are sockets that systemd has opened for the relay (see systemd.socket(5)), and keeps open while it is restarted: whoever connects
// meanwhile waits, and is not turned away. A socket is used where the relay is to listen, whatever it speaks there.
type inherited []net.Listener

func inherit() (inherited, error) {
	all, err := activation.Listeners()
	if err == nil && slices.Contains(all, nil) {
		err = errors.New("systemd has handed over something that is no listening socket of streams; look at its .socket unit")
	}
	return all, err
}

// take takes the socket for an address, if there is one.
func (i *inherited) take(at address) net.Listener {
	for n, ln := range *i {
		if listensAt(ln, at) {
			*i = slices.Delete(*i, n, n+1)
			return ln
		}
	}
	return nil
}

// listensAt reports whether a listener is where one for the address would be.
func listensAt(ln net.Listener, at address) bool {
	if at.scheme == "unix" {
		return ln.Addr().Network() == "unix" && ln.Addr().String() == at.path
	}
	is, isTCP := ln.Addr().(*net.TCPAddr)
	wanted, err := net.ResolveTCPAddr("tcp", at.hostPort())
	if !isTCP || err != nil || is.Port != wanted.Port {
		return false
	}
	return is.IP.Equal(wanted.IP) || is.IP.IsUnspecified() && at.anywhere()
}

// rest says that there are sockets that no address is for: somebody expects the relay there.
func (i *inherited) rest() error {
	if len(*i) == 0 {
		return nil
	}
	at := (*i)[0].Addr()
	return fmt.Errorf("systemd has opened a socket at %s for the relay, where it is not to listen; name it with --listen, or take it out of the .socket unit",
		cmp.Or(at.String(), at.Network()))
}
