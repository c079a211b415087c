package actors

import "net/netip"

// Spread is how connections spread over the addresses that they come from: numbers only. Those that come from no address do not count.
type Spread struct {
	Connections int
	Addresses   int // from which at least one comes
	Most        int // connections of the address with most
	Private     int // connections from private networks, and from this machine
}

// Spread returns how the connections spread that there are.
func (d *Door) Spread() Spread {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Spread{Most: max(len(d.crowds)-1, 0), Private: d.private}
	for connections, addresses := range d.crowds {
		s.Addresses += addresses
		s.Connections += connections * addresses
	}
	return s
}

// crowds are how many addresses have so many connections: crowds[2] have two. The first is always 0, and the last never, so that nobody has
// to look at all addresses for the one with most.
type crowds []int

// move counts an address that has one connection more than before, or one less.
func (c *crowds) move(before, after int) {
	for len(*c) <= after {
		*c = append(*c, 0)
	}
	(*c)[after]++
	if before > 0 {
		(*c)[before]--
	}
	(*c)[0] = 0
	for n := len(*c) - 1; n >= 0 && (*c)[n] == 0; n-- {
		*c = (*c)[:n]
	}
}

// isPrivate reports whether only a private network, or this machine, has such addresses. It is asked for networks of IPv6: that of ::1 begins
// with the unspecified address.
func isPrivate(p netip.Prefix) bool {
	ip := p.Addr()
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
}
