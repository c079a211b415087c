package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// floods is the command of that name.
type floods struct {
	Kind     []string      `help:"Which floods, in this order (${default}). May be given more than once." enum:"half-frames,strangers,connects,flat-out,giant-claims,bad-keys" default:"half-frames,strangers,connects,flat-out,giant-claims,bad-keys" placeholder:"KIND"`
	Pairs    int           `help:"How many pairs chat meanwhile (${default})." short:"n" default:"25" placeholder:"N"`
	Rate     float64       `help:"Messages a second over all pairs, on a fixed schedule (${default})." default:"2000" placeholder:"N"`
	Size     int           `help:"Size of their bodies in bytes (${default})." default:"256" placeholder:"BYTES"`
	Warmup   time.Duration `help:"How long they chat before anything is measured (${default})." default:"1s" placeholder:"TIME"`
	Duration time.Duration `help:"How long each flood lasts (30s; strangers and giant-claims 10s; flat-out until it is through). Before it the chat is measured alone, for as long, but 10s at most." placeholder:"TIME"`
	Settle   time.Duration `help:"How long to wait at most until the relay's memory and open files are as before (${default})." default:"30s" placeholder:"TIME"`
	Rounds   int           `help:"How often each is measured; the table has the medians (${default})." default:"3" placeholder:"N"`

	From      netip.Addr    `help:"Where hostile clients come from, the first of them (${default})." default:"127.1.0.1" placeholder:"ADDRESS"`
	Addresses int           `help:"How many addresses they come from where one would not get them far. Each round takes so many from there on (${default})." default:"1000" placeholder:"N"`
	Stay      time.Duration `help:"How long connects and giant-claims stay if the relay does not close them (${default})." default:"12s" placeholder:"TIME"`

	HalfFrames  int `help:"half-frames: how many connections (${default})." default:"2000" placeholder:"N"`
	HalfBytes   int `help:"half-frames: how much of its frame each sends, behind the header (${default})." default:"32768" placeholder:"BYTES"`
	Strangers   int `help:"strangers: how many (${default})." default:"10000" placeholder:"N"`
	Connects    int `help:"connects: how many (${default})." default:"20000" placeholder:"N"`
	Megabytes   int `help:"flat-out: how much to send (${default})." default:"50" placeholder:"N"`
	GiantClaims int `help:"giant-claims: how many (${default})." default:"5000" placeholder:"N"`
	BadKeys     int `help:"bad-keys: how many a second (${default})." default:"1000" placeholder:"N"`

	begun int // how many rounds, of all kinds
}

// The bodies that people who chat send.
const (
	leastChat = 64
	mostChat  = 1 << 10
)

// Validate implements kong.Validatable.
func (c *floods) Validate() error {
	var rate, from, duration error
	if c.Rate <= 0 || c.Rate > mostRate {
		rate = fmt.Errorf("--rate is %g; it must be above 0, and at most %g", c.Rate, mostRate)
	}
	if !c.From.Is4() {
		from = fmt.Errorf("--from is %s; it must be an IPv4 address", c.From)
	}
	if c.Duration != 0 {
		duration = atLeast("--duration", c.Duration, time.Millisecond)
	}
	return cmp.Or(within("--pairs", c.Pairs, 1, mostPairs), rate, within("--size", c.Size, leastChat, mostChat), duration, from,
		atLeast("--warmup", c.Warmup, 0), atLeast("--settle", c.Settle, 0), within("--rounds", c.Rounds, 1, 20),
		within("--addresses", c.Addresses, 1, 1<<14), atLeast("--stay", c.Stay, time.Millisecond),
		within("--half-bytes", c.HalfBytes, 0, frames.MaxPayload-1), within("--half-frames", c.HalfFrames, 1, mostConnections),
		within("--strangers", c.Strangers, 1, mostConnections), within("--connects", c.Connects, 1, mostConnections),
		within("--megabytes", c.Megabytes, 1, 1<<20), within("--giant-claims", c.GiantClaims, 1, mostConnections),
		within("--bad-keys", c.BadKeys, 1, mostConnections))
}

// flood is what hostile clients do in one round.
type flood interface {
	// enter logs in those of them who are there before the chat is measured, and their victims.
	enter(ctx context.Context, s *siege) error
	// pour is the flood itself. It returns when that is over, or ctx is.
	pour(ctx context.Context, s *siege) error
	// tell says what became of it, when everything has ended; err is why that was too early, if it was.
	tell(s *siege, err error)
}

// cell is a kind of flood, and what there is to know about it beforehand.
type cell struct {
	name      string
	flood     func() flood // for each round another
	lasts     time.Duration
	overtime  time.Duration // what comes in the end may take so much longer
	addresses int           // where hostile clients come from
	atOnce    int           // how many of them there may be at the same time
	quiet     bool          // nobody chats
}

// besides is how many files we have open that are no hostile client's and no chatting user's, at most.
const besides = 64

func (c *floods) measure(ctx context.Context, b *bench) error {
	var cells []cell
	for _, kind := range c.Kind {
		cells = append(cells, c.cells(kind)...)
	}
	for _, cell := range cells {
		if need := cell.atOnce + 2*c.Pairs + besides; need > ownFiles() {
			return withCode(exitUsage, "%s: %s connections at once are more open files than this process may have, %s; see ulimit -n, "+
				"or ask for fewer", cell.name, grouped(uint64(need)), grouped(uint64(ownFiles()))) //nolint:gosec // both are positive
		}
	}
	for _, cell := range cells {
		if err := c.run(ctx, b, cell); err != nil {
			return fmt.Errorf("%s: %w", cell.name, err)
		}
		if b.over(ctx) {
			break
		}
	}
	if c.Rounds > 1 {
		b.results[0].note(fmt.Sprintf("here and below, medians of %d rounds; what is counted, Messages and hostile clients, is the sum", c.Rounds))
	}
	return nil
}

// run runs the rounds of a cell.
func (c *floods) run(ctx context.Context, b *bench, cell cell) error {
	var rounds [][]*result
	defer func() { b.add(merge(rounds)...) }()
	for range c.Rounds {
		rows, err := c.round(ctx, b, cell)
		if err != nil {
			return err
		}
		rounds = append(rounds, rows)
		if ctx.Err() != nil || rows[1].Error != "" {
			break
		}
	}
	return nil
}

// lasting returns how long a flood lasts that usually takes so long.
func (c *floods) lasting(usual time.Duration) time.Duration { return cmp.Or(c.Duration, usual) }

// alone returns for how long the chat is measured before a flood.
func (c *floods) alone(cell cell) time.Duration { return min(c.lasting(cell.lasts), longestAlone) }

const longestAlone = 10 * time.Second

// perAddress is how many of those who chat share an address: fewer than any limit for one address keeps out.
const perAddress = 8

var firstHome = netip.AddrFrom4([4]byte{127, 0, 0, 2})

// manyAddresses reports whether we can connect to a relay from several addresses: if it is on this machine, and that has all
// of 127.0.0.0/8 without being told, as only Linux does.
func manyAddresses(relay string) bool {
	host, _, _ := net.SplitHostPort(relay)
	at, err := netip.ParseAddr(host)
	return runtime.GOOS == "linux" && (host == "localhost" || err == nil && at.Is4() && at.IsLoopback())
}

// home returns where the nth of those who chat comes from.
func (c *floods) home(b *bench, nth int) netip.Addr {
	if !manyAddresses(b.Relay) {
		return netip.Addr{}
	}
	return following(firstHome, nth/perAddress)
}

// lair returns where the nth hostile client of a round comes from. Each round has addresses of its own, so that the relay does
// not hold against one what another did.
func (c *floods) lair(b *bench, round, nth, addresses int) netip.Addr {
	if !manyAddresses(b.Relay) {
		return netip.Addr{}
	}
	return following(c.From, round*c.Addresses+nth%addresses)
}

// mostAtOnce is how many of n clients are there at the same time, if they come evenly over a time and each stays for one.
func mostAtOnce(n int, over, stay time.Duration) int {
	return min(n, int(math.Ceil(float64(n)*float64(stay)/float64(over))))
}
