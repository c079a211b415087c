package actors

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// spreads wants the connections of a door to spread so.
func (v visits) spreads(want Spread) {
	v.t.Helper()
	if is := v.Spread(); is != want {
		v.t.Errorf("they spread %+v, want %+v", is, want)
	}
}

func TestHowConnectionsSpread(t *testing.T) {
	v := visit(t, DoorLimits{AnonymousPerAddress: 3})
	v.spreads(Spread{})
	first := v.comes("198.51.100.1")
	v.comes("198.51.100.1").logIn()
	v.comes("2001:db8:1:2::1")
	v.comes("2001:db8:1:2:ffff::1")
	v.spreads(Spread{Connections: 4, Addresses: 2, Most: 2})
	first.logIn() // changes nothing
	first.logOut()
	v.spreads(Spread{Connections: 4, Addresses: 2, Most: 2})
	if entry, _ := v.Admit(unaddressed{}); entry == nil {
		t.Error("without an address one is turned away")
	}
	here := v.comes("127.0.0.1")
	for range 2 {
		v.comes("127.0.0.1")
	}
	v.isTurnedAway("127.0.0.1")
	v.spreads(Spread{Connections: 7, Addresses: 3, Most: 3, Private: 3})
	here.Close()
	here.Close()
	first.Close()
	v.spreads(Spread{Connections: 5, Addresses: 3, Most: 2, Private: 2})
}

// A client behind a proxy counts from when its address is known.
func TestWhoArrivesSpreads(t *testing.T) {
	v := visit(t, DoorLimits{})
	entry, _ := v.Admit(unaddressed{})
	v.spreads(Spread{})
	entry.arrive(from{address: "198.51.100.1"})
	v.spreads(Spread{Connections: 1, Addresses: 1, Most: 1})
	entry.Close()
	v.spreads(Spread{})
}

func TestWhatIsPrivate(t *testing.T) {
	for address, private := range map[string]bool{
		"10.1.2.3": true, "172.16.0.1": true, "192.168.1.1": true, "127.0.0.1": true, "169.254.0.1": true,
		"::1": true, "fd00::1": true, "fe80::1": true, "::ffff:10.0.0.1": true,
		"198.51.100.1": false, "172.32.0.1": false, "2001:db8::1": false,
	} {
		if isPrivate(prefixOf(from{address: address})) != private {
			t.Errorf("%s: it is not %v", address, private)
		}
	}
}

// Whoever comes and goes, what is counted is what one counts when one looks at all.
func TestSpreadIsRight(t *testing.T) {
	const seed = 11
	random := rand.New(rand.NewPCG(seed, 0))
	v := visit(t, DoorLimits{})
	there := map[*Admission]string{}
	for range 2000 {
		if random.IntN(2) == 0 {
			address := fmt.Sprintf("10.0.0.%d", random.IntN(8))
			there[v.comes(address)] = address
		}
		for entry := range there {
			if random.IntN(2) == 0 {
				entry.Close()
				delete(there, entry)
			} else {
				entry.logIn()
			}
			break
		}
		want, each := Spread{Connections: len(there), Private: len(there)}, map[netip.Addr]int{}
		for _, address := range there {
			each[netip.MustParseAddr(address)]++
		}
		for _, n := range each {
			want.Addresses++
			want.Most = max(want.Most, n)
		}
		v.spreads(want)
	}
}
