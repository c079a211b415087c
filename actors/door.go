package actors

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"
)

// DoorLimits are who may connect. Those by address are for IPv4 addresses, and for the /64 networks of IPv6, which one
// subscriber has to himself. The zero value of each is no limit.
type DoorLimits struct {
	Connections         int // in all
	OnlinePerAddress    int // that are logged in, or are about to be
	AnonymousPerAddress int // that are not
	Early               Early
	Penalties           Penalties
	Starts              Rate // StartSessions from one address
	Proofs              Rate // of possession, that are looked at
}

// Early is the random early refusal of connections, by how many are not logged in: from From on one of them is refused with
// a probability of Percent, rising to all at All. The zero value refuses nobody. It is OpenSSH's MaxStartups.
type Early struct{ From, Percent, All int }

// refuses says whether the next one is refused, by a random number below 1.
func (e Early) refuses(anonymous int, random float64) bool {
	switch {
	case e.All == 0 || anonymous < e.From:
		return false
	case anonymous >= e.All:
		return true
	}
	percent := e.Percent + (100-e.Percent)*(anonymous-e.From)/(e.All-e.From)
	return random*100 < float64(percent)
}

// Penalties are for addresses that misbehave. They add up and run out; while they do, an address to which From has added up
// may not connect. They concern nobody who is logged in. The zero value is none.
type Penalties struct {
	BadLogin, BadProof, LateLogin time.Duration
	From, Most                    time.Duration
}

// Door knows who is connected, and decides who may come in. It is no actor: those who accept connections ask it before there is
// anything that belongs to a connection, so that a flood costs little more than accepting and closing: a quarter of a microsecond each
// here (BenchmarkDoor), where an actor would have to be sent a message first.
type Door struct {
	limits DoorLimits
	log    *logrus.Entry

	mu          sync.Mutex
	connections int
	anonymous   int
	addresses   map[netip.Prefix]*Address
	crowds      crowds
	private     int               // connections from private networks
	sweepAt     int               // so many addresses are a reason to forget those that nothing is to be remembered of
	turnedAway  map[string]int    // that nobody was told of
	everTurned  map[string]uint64 // in all, by the word for why
	said        rate.Sometimes

	lingering atomic.Int32 // connections that are just being turned away
}

// Address is where connections come from. A nil one is no address on the Internet's: nothing is counted for it.
type Address struct {
	prefix            netip.Prefix
	online, anonymous int           // connections. With the Door's mu
	penalty           time.Time     // when what has added up runs out. With the Door's mu
	banned            bool          // until then. With the Door's mu
	starts, proofs    *rate.Limiter // nil without a limit
}

// mostRemembered is to how many addresses without a connection a sweep comes down: some are forgotten early. There may be twice as many
// before the next.
const mostRemembered = 1 << 16

func newDoor(limits DoorLimits, log *logrus.Entry) *Door {
	return &Door{
		limits: limits, log: log, addresses: map[netip.Prefix]*Address{}, turnedAway: map[string]int{}, everTurned: map[string]uint64{},
		said: rate.Sometimes{First: 1, Interval: time.Minute},
	}
}

// SetLimits changes the limits. Addresses that are known keep to the rates they had.
func (d *Door) SetLimits(l DoorLimits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limits = l
}

// Admit lets a connection in. Where it is nil the connection is to be turned away, with the text.
func (d *Door) Admit(conn net.Conn) (entry *Admission, text string) {
	from := prefixOf(conn)
	d.mu.Lock()
	entry, text = d.admit(from, time.Now())
	told := d.toTell()
	d.mu.Unlock()
	d.tell(told)
	return entry, text
}

func (d *Door) admit(from netip.Prefix, now time.Time) (entry *Admission, text string) {
	address := d.address(from)
	if text = d.judge(address, now); text != "" {
		d.count(text)
		d.forget(address, now)
		return nil, text
	}
	d.connections++
	entry = &Admission{door: d, address: address}
	entry.count(+1)
	return entry, ""
}

// Connections returns how many connections there are that count as logged in, and that do not.
func (d *Door) Connections() (online, anonymous int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.connections - d.anonymous, d.anonymous
}

// judge says why nobody may come in, if that is so.
func (d *Door) judge(a *Address, now time.Time) string {
	l := &d.limits
	if l.Connections > 0 && d.connections >= l.Connections {
		return full
	}
	if text := d.judgeAddress(a, now); text != "" {
		return text
	}
	if l.Early.refuses(d.anonymous, rand.Float64()) { //nolint:gosec // nobody gains by guessing it
		return early
	}
	return ""
}

// judgeAddress says why nobody may come in from an address, if that is so.
func (d *Door) judgeAddress(a *Address, now time.Time) string {
	most := d.limits.AnonymousPerAddress
	switch {
	case a == nil:
	case a.banned && now.Before(a.penalty):
		return banned
	case most > 0 && a.anonymous >= most:
		return crowded
	}
	return ""
}

// prefixOf returns what counts as one address; the zero value if it is none of the Internet's.
func prefixOf(conn net.Conn) netip.Prefix {
	defer func() { _ = recover() }() // of a connection of the host's
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // fails for no address only
	return p
}

func (d *Door) address(p netip.Prefix) *Address {
	if !p.IsValid() {
		return nil
	}
	a, ok := d.addresses[p]
	if !ok {
		a = &Address{prefix: p, starts: d.limits.Starts.limiter(), proofs: d.limits.Proofs.limiter()}
		d.sweep()
		d.addresses[p] = a
	}
	return a
}

// sweep forgets addresses, each time there are twice as many as were left the last time.
func (d *Door) sweep() {
	if len(d.addresses) < d.sweepAt {
		return
	}
	now := time.Now()
	for _, a := range d.addresses {
		d.forget(a, now)
	}
	for p, a := range d.addresses {
		if len(d.addresses) <= mostRemembered {
			break
		}
		if a.online+a.anonymous == 0 {
			delete(d.addresses, p)
		}
	}
	d.sweepAt = max(2*len(d.addresses), 1<<10)
}

// forget forgets an address if there is nothing to remember of it.
func (d *Door) forget(a *Address, now time.Time) {
	switch {
	case a == nil || a.online+a.anonymous > 0 || now.Before(a.penalty):
	case isUsed(a.starts, now), isUsed(a.proofs, now):
	default:
		delete(d.addresses, a.prefix)
	}
}

// mayAsk reports whether one more StartSession may come from here now, and counts it.
func (a *Address) mayAsk(now time.Time) bool {
	return a == nil || a.starts == nil || a.starts.AllowN(now, 1)
}

// proveIn says when one more proof from here may be looked at, and counts it, unless it is called off.
func (a *Address) proveIn(now time.Time) (wait time.Duration, callOff func()) {
	if a == nil || a.proofs == nil {
		return 0, func() {}
	}
	r := a.proofs.ReserveN(now, 1)
	return r.DelayFrom(now), r.Cancel
}
