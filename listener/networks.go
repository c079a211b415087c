package listener

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Network is where connections come from: a range of addresses, or Unix sockets.
type Network struct {
	prefix netip.Prefix
	unix   bool
}

// UnmarshalText implements encoding.TextUnmarshaler: 192.0.2.0/24, 2001:db8::1, or unix.
func (n *Network) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "unix" {
		*n = Network{unix: true}
		return nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		var addr netip.Addr
		if addr, err = netip.ParseAddr(s); err == nil {
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
	}
	if err != nil || prefix.Addr().Is4In6() || strings.Contains(s, "%") {
		return fmt.Errorf("%q: give an address such as 192.0.2.1, a network such as 192.0.2.0/24, or unix", s)
	}
	*n = Network{prefix: prefix.Masked()}
	return nil
}

// String returns it as UnmarshalText reads it.
func (n Network) String() string {
	if n.unix {
		return "unix"
	}
	return n.prefix.String()
}

// Networks are where certain connections come from.
type Networks []Network

// Has reports whether a connection with this address comes from there.
func (list Networks) Has(from net.Addr) bool {
	switch from := from.(type) {
	case *net.TCPAddr:
		return list.contain(from.AddrPort().Addr())
	case *net.UnixAddr:
		return slices.Contains(list, Network{unix: true})
	}
	return false
}

func (list Networks) contain(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(list, func(n Network) bool { return n.prefix.Contains(addr) })
}

// forwarded returns for whom proxies of these networks ask: each has added whom it was asked by, so that is the last one that is none
// of them; what stands before it anybody may have written. If all are, it is the first.
func (list Networks) forwarded(header http.Header) (*net.TCPAddr, bool) {
	var addr netip.Addr
	asked := strings.Split(strings.Join(header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(asked) {
		var ok bool
		if addr, ok = parseForwarded(strings.TrimSpace(text)); !ok {
			return nil, false
		}
		if !list.contain(addr) {
			break
		}
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)), true
}

// parseForwarded reads an address, which some proxies write with a port, or in brackets.
func parseForwarded(s string) (addr netip.Addr, ok bool) {
	if with, err := netip.ParseAddrPort(s); err == nil {
		addr = with.Addr()
	} else if addr, err = netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err != nil {
		return addr, false
	}
	return addr.Unmap().WithZone(""), true
}
