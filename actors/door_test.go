package actors

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
)

// from is a connection from an address.
type from struct {
	net.Conn
	address string
}

// RemoteAddr implements net.Conn.
func (f from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(f.address), 40000))
}

// unaddressed is one that is not from the Internet.
type unaddressed struct{ net.Conn }

// RemoteAddr implements net.Conn.
func (unaddressed) RemoteAddr() net.Addr { return &net.UnixAddr{Name: "@"} }

// lost is one that panics.
type lost struct{ net.Conn }

// visits has connections come to a door.
type visits struct {
	*Door
	t *testing.T
}

func visit(t *testing.T, limits DoorLimits) visits {
	return visits{newDoor(limits, newStage(t).shared.Log), t}
}

// comes has one come from an address, which must be let in.
func (v visits) comes(address string) *Admission {
	v.t.Helper()
	entry, text := v.Admit(from{address: address})
	if entry == nil {
		v.t.Fatalf("%s was turned away: %s", address, text)
	}
	return entry
}

// isTurnedAway has one come that must not be let in.
func (v visits) isTurnedAway(address string) {
	v.t.Helper()
	if entry, text := v.Admit(from{address: address}); entry != nil || text == "" {
		v.t.Fatalf("%s was let in", address)
	}
}

func TestWhatCountsAsOneAddress(t *testing.T) {
	for address, prefix := range map[string]string{
		"192.0.2.1":              "192.0.2.1/32",
		"::ffff:192.0.2.1":       "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1":   "2001:db8:1:2::/64",
		"2001:db8:1:3::1":        "2001:db8:1:3::/64",
		"fe80::1%eth0":           "fe80::/64",
		"127.0.0.1":              "127.0.0.1/32",
		"::1":                    "::/64",
		"::ffff:0:192.0.2.1":     "::/64",
		"64:ff9b::192.0.2.1%lan": "64:ff9b::/64",
	} {
		if got := prefixOf(from{address: address}); got != netip.MustParsePrefix(prefix) {
			t.Errorf("%s counts as %v, want %s", address, got, prefix)
		}
	}
	for _, conn := range []net.Conn{unaddressed{}, lost{}} {
		if got := prefixOf(conn); got.IsValid() {
			t.Errorf("%T counts as %v", conn, got)
		}
	}
}

func TestTheRelayIsFull(t *testing.T) {
	v := visit(t, DoorLimits{Connections: 3})
	first := v.comes("192.0.2.1")
	v.comes("192.0.2.2").logIn()
	if entry, _ := v.Admit(unaddressed{}); entry == nil {
		t.Error("without an address one is turned away")
	}
	v.isTurnedAway("192.0.2.4")
	if entry, _ := v.Admit(unaddressed{}); entry != nil {
		t.Error("without an address one is let in")
	}
	first.Close()
	first.Close() // counts once
	v.comes("192.0.2.4")
	v.isTurnedAway("192.0.2.5")
}

func TestOneAddressHasItsShareOfConnections(t *testing.T) {
	v := visit(t, DoorLimits{OnlinePerAddress: 2, AnonymousPerAddress: 2})
	first, second := v.comes("192.0.2.1"), v.comes("192.0.2.1")
	v.isTurnedAway("192.0.2.1")
	v.comes("192.0.2.2")
	for _, a := range []*Admission{first, first, second} {
		if !a.logIn() {
			t.Error("a login found no place")
		}
	}
	third, fourth := v.comes("192.0.2.1"), v.comes("192.0.2.1")
	if third.logIn() {
		t.Error("a third login found a place")
	}
	v.isTurnedAway("192.0.2.1") // the third still counts as not logged in
	second.logOut()             // its login was refused, so there are three now that are not logged in
	if !third.logIn() || fourth.logIn() {
		t.Error("a login that was refused did not make room for exactly one")
	}
	second.Close()
	v.comes("192.0.2.1")
	v.isTurnedAway("192.0.2.1")
	first.Close()
	if !fourth.logIn() {
		t.Error("a connection that ended did not make room for a login")
	}
}

func TestEarlyRefusal(t *testing.T) {
	e := Early{From: 100, Percent: 30, All: 1000}
	for _, c := range []struct {
		anonymous int
		random    float64
		refuses   bool
	}{
		{0, 0, false},
		{99, 0, false},
		{100, 0.29, true},
		{100, 0.31, false},
		{550, 0.64, true},
		{550, 0.66, false},
		{999, 0.98, true},
		{1000, 0.999999, true},
		{5000, 0.5, true},
	} {
		if got := e.refuses(c.anonymous, c.random); got != c.refuses {
			t.Errorf("%d not logged in, random number %v: %v", c.anonymous, c.random, got)
		}
	}
	if (Early{}).refuses(1<<20, 0) {
		t.Error("the zero value refuses")
	}
}

func TestOnlyThoseWhoAreNotLoggedInCountForEarlyRefusal(t *testing.T) {
	v := visit(t, DoorLimits{Early: Early{From: 3, Percent: 100, All: 3}})
	for i := range 10 {
		v.comes(fmt.Sprintf("192.0.2.%d", i)).logIn()
	}
	for i := range 3 {
		v.comes(fmt.Sprintf("192.0.2.1%d", i))
	}
	v.isTurnedAway("192.0.2.200")
}

func penalties() Penalties {
	return Penalties{BadLogin: 5 * time.Second, LateLogin: 10 * time.Second, From: 15 * time.Second, Most: 10 * time.Minute}
}

func TestPenaltiesAddUpAndRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := visit(t, DoorLimits{Penalties: penalties()})
		first := v.comes("192.0.2.1")
		first.punish(badLogin)
		first.punish(badLogin)
		v.comes("192.0.2.1").Close()
		after(time.Second) // what has run out does not add up
		first.punish(badLogin)
		v.comes("192.0.2.1").Close()
		first.punish(badLogin)
		v.isTurnedAway("192.0.2.1")
		v.comes("192.0.2.2").Close()
		after(19*time.Second - justBefore)
		v.isTurnedAway("192.0.2.1")
		after(justBefore)
		v.comes("192.0.2.1").Close()
		first.punish(lateLogin) // from the beginning
		v.comes("192.0.2.1").Close()
		for range 1000 {
			first.punish(lateLogin)
		}
		after(10*time.Minute - justBefore)
		v.isTurnedAway("192.0.2.1")
		after(justBefore)
		v.comes("192.0.2.1").Close()
	})
}

// A little of a penalty has always run out when the next comes.
func TestHowManyBadLoginsAreTooMany(t *testing.T) {
	for name, c := range map[string]struct {
		by   func(Penalties) time.Duration
		most int
	}{
		"that cannot be read":      {badLogin, 3},
		"that do not come in time": {lateLogin, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := visit(t, DoorLimits{Penalties: penalties()})
				for range c.most {
					bad := v.comes("192.0.2.1")
					bad.punish(c.by)
					bad.Close()
					after(time.Second)
				}
				one := v.comes("192.0.2.1")
				one.punish(c.by)
				one.Close()
				v.isTurnedAway("192.0.2.1")
			})
		})
	}
}

func TestAPenaltyOutlivesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := visit(t, DoorLimits{Penalties: penalties()})
		for range 3 {
			c := v.comes("192.0.2.1")
			c.punish(badLogin)
			c.Close()
		}
		v.isTurnedAway("192.0.2.1")
	})
}

func TestAnAddressOfWhichThereIsNothingToRememberIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := visit(t, DoorLimits{
			Penalties: penalties(), Starts: Rate{Limit: 1, Burst: 10}, Early: Early{From: 2, Percent: 100, All: 2},
		})
		v.comes("192.0.2.1").Close()
		if n := len(v.addresses); n > 0 {
			t.Errorf("%d are remembered", n)
		}
		asks, punished := v.comes("192.0.2.1"), v.comes("192.0.2.2")
		v.isTurnedAway("192.0.2.3")
		for range 10 {
			asks.from().mayAsk(time.Now())
		}
		punished.punish(badLogin)
		asks.Close()
		punished.Close()
		if n := len(v.addresses); n != 2 {
			t.Errorf("%d are remembered, want 2", n)
		}
		if v.comes("192.0.2.1").from().mayAsk(time.Now()) {
			t.Error("its rate was forgotten")
		}
		after(time.Minute)
		v.sweepAt = 0
		v.comes("192.0.2.9")
		if n := len(v.addresses); n != 2 {
			t.Errorf("%d are remembered, want those that are connected, 2", n)
		}
	})
}

func TestNoMoreAddressesAreRememberedThanAllowed(t *testing.T) {
	v := visit(t, DoorLimits{Penalties: penalties()})
	stays := v.comes("192.0.2.1")
	for i := range 2*mostRemembered + 100 {
		c := v.comes(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String())
		c.punish(badLogin)
		c.Close()
	}
	if n := len(v.addresses); n > 2*mostRemembered {
		t.Errorf("%d are remembered", n)
	}
	if v.addresses[stays.from().prefix] != stays.from() {
		t.Error("one that is connected was forgotten")
	}
}

// The end of a flood is told of when somebody comes after it, whoever that is.
func TestThoseWhoAreTurnedAwayAreCountedInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		log := &counting{}
		s.shared.Log.Logger.AddHook(log)
		v := visits{newDoor(DoorLimits{AnonymousPerAddress: 1}, s.shared.Log), t}
		v.comes("192.0.2.1")
		for range 100 {
			v.isTurnedAway("192.0.2.1")
		}
		after(time.Minute)
		v.comes("192.0.2.2")
		if log.connections != 100 || log.lines != 2 {
			t.Errorf("told of %d, in %d lines", log.connections, log.lines)
		}
	})
}

// counting is a hook that adds up how many connections are said to have been turned away.
type counting struct{ lines, connections int }

// Levels implements logrus.Hook.
func (*counting) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (c *counting) Fire(line *logrus.Entry) error {
	c.lines++
	c.connections += line.Data["connections"].(int)
	return nil
}

// Whatever comes late for a connection that has ended changes no count.
func TestWhatHasEndedCountsForNothing(t *testing.T) {
	v := visit(t, DoorLimits{OnlinePerAddress: 1, AnonymousPerAddress: 1, Connections: 1})
	for range 2 {
		one := v.comes("192.0.2.1")
		one.Close()
		one.logIn()
		one.logOut()
		one.Close()
		other := v.comes("192.0.2.1")
		if !other.logIn() {
			t.Error("a login found no place")
		}
		other.Close()
		other.logOut()
		other.logIn()
		if v.connections != 0 || v.anonymous != 0 || len(v.addresses) > 0 {
			t.Errorf("%d connections, %d not logged in, %d addresses", v.connections, v.anonymous, len(v.addresses))
		}
	}
}

func TestAConnectionThatNobodyWelcomesIsTakenOffTheCount(t *testing.T) {
	v := visit(t, DoorLimits{Connections: 1})
	for range 2 {
		conn, other := net.Pipe()
		if mislaid := Abandon(Welcome{Conn: conn, Entry: v.comes("192.0.2.1")}); mislaid {
			t.Error("mislaid")
		}
		if _, err := other.Write([]byte{0}); err == nil {
			t.Error("it is open")
		}
	}
}

// A flood leaves not more connections open than it may; who comes after it is told why again.
func TestFewAreWaitedForWhoAreTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := visit(t, DoorLimits{})
		var among sync.WaitGroup
		isTold := func(conn net.Conn) bool {
			_, err := frames.Read(conn, frames.MaxPayload)
			return err == nil
		}
		for range 2 {
			for range mostLingering {
				server, client := net.Pipe()
				v.TurnAway(server, "of the test", &among)
				defer func() { _ = client.Close() }()
			}
			server, client := net.Pipe()
			v.TurnAway(server, "of the test", &among)
			if isTold(client) {
				t.Error("one too many is waited for")
			}
			after(lingering)
			among.Wait()
			server, client = net.Pipe()
			v.TurnAway(server, "of the test", &among)
			if !isTold(client) {
				t.Error("nobody is told when the flood is over")
			}
			among.Wait()
		}
	})
}

func TestWhoIsNotWaitedForIsToldNevertheless(t *testing.T) {
	v := visit(t, DoorLimits{})
	v.lingering.Store(mostLingering)
	client, server := tcp(t)
	if newDescriptor(server) == nil {
		t.Skip("on this system one would have to wait")
	}
	v.TurnAway(server, "of the test", nil)
	for _, want := range []error{nil, io.EOF} {
		if _, err := frames.Read(client, frames.MaxPayload); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}
