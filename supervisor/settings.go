package supervisor

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
)

// setting is a field of Config that is a limit: its default, and what it may be.
type setting interface {
	setDefault()
	switchOff() // if it may be
	copy(of setting)
	check() error
}

// InvalidError says that a field of a Config is not what it may be.
type InvalidError struct {
	Field string
	Text  string // what it is and what it may be, as in "is 3; it must be at least 4"
}

// Error implements error.
func (e *InvalidError) Error() string { return "supervisor: Config." + e.Field + " " + e.Text }

// What the limits have in common.
const (
	many   = 1 << 20
	tick   = 10 * time.Millisecond
	moment = 100 * time.Millisecond
)

// settings are all limits, and their defaults.
func (c *Config) settings() []setting { return slices.Concat(c.sizes(), c.times(), c.rates()) }

func (c *Config) sizes() []setting {
	const (
		largest      = 2 * (frames.HeaderSize + frames.MaxPayload)
		largestProof = 550 + 512 // the key and the signature, of 4096 bits
	)
	return []setting{
		number("MinKeyBits", &c.MinKeyBits, 2048, 1024, 4096),
		number("MaxKeyBits", &c.MaxKeyBits, 4096, max(c.MinKeyBits, 1024), 4096),
		number("MaxPayload", &c.MaxPayload, frames.MaxPayload, frames.MaxKey+frames.MaxSealed, frames.MaxPayload),
		number("MaxLoginPayload", &c.MaxLoginPayload, frames.MaxLoginPayload, largestProof, frames.MaxPayload),
		number("MaxSealed", &c.MaxSealed, frames.MaxSealed, frames.MaxSealed/2, frames.MaxSealed),
		number("Window", &c.Window, 256<<10, largest, 1<<30),
		number("AskedBy", &c.AskedBy, 64, 1, many),
		number("AskedOf", &c.AskedOf, 64, 1, many),
		number("Sessions", &c.Sessions, 1024, 1, many),
		number("UsersAway", &c.UsersAway, 100_000, 1, many),
		number("Pins", &c.Pins, 1_000_000, 1, 1<<30),
		number("Crashes", &c.Crashes, 5, 1, many),
		connections(&c.Connections),
	}
}

func (c *Config) times() []setting {
	const mostIdle = math.MaxInt16 * time.Second // that Linux takes
	return []setting{
		span("LoginTime", &c.LoginTime, 10*time.Second, moment),
		span("FrameTime", &c.FrameTime, 20*time.Second, moment),
		span("Silence", &c.Silence, 6*time.Hour, time.Second),
		span("PingInterval", &c.PingInterval, time.Minute, moment),
		span("KeepAlive", &c.KeepAlive, time.Minute, time.Second).upTo(mostIdle),
		span("KeepAliveInterval", &c.KeepAliveInterval, 15*time.Second, time.Second).upTo(mostIdle),
		number("KeepAliveProbes", &c.KeepAliveProbes, 4, 1, 100),
		span("UserTimeout", &c.UserTimeout, time.Minute, time.Second).upTo(math.MaxInt32 * time.Millisecond),
		span("Stall", &c.Stall, 2*time.Second, tick),
		span("WriteDeadline", &c.WriteDeadline, 10*time.Second, tick),
		span("AwayTime", &c.AwayTime, 30*24*time.Hour, time.Second),
		span("CrashWindow", &c.CrashWindow, 10*time.Second, time.Millisecond),
	}
}

// rates are those by rate and by client address, which may be off, and the sizes of penalties.
func (c *Config) rates() []setting {
	const perMin = time.Minute
	return []setting{
		number("AskedOfPerAddress", &c.AskedOfPerAddress, 8, 1, many).orOff(),
		number("Takeovers", &c.Takeovers, 30, 1, many).orOff(),
		number("OnlinePerAddress", &c.OnlinePerAddress, 64, 1, many).orOff(),
		number("AnonymousPerAddress", &c.AnonymousPerAddress, 10, 1, many).orOff(),
		optional("EarlyRefusal", &c.EarlyRefusal, EarlyRefusal{100, 30, 1000}, EarlyRefusal{From: Off}, c.EarlyRefusal.check),
		often("FrameRate", &c.FrameRate, Rate{2000, time.Second, 4000}, actors.ChunkFrames),
		often("ByteRate", &c.ByteRate, Rate{8 << 20, time.Second, 16 << 20}, actors.ChunkBytes),
		often("StartRate", &c.StartRate, Rate{10, perMin, 20}, 1),
		often("StartRatePerAddress", &c.StartRatePerAddress, Rate{60, perMin, 120}, 1),
		often("StartRateTo", &c.StartRateTo, Rate{60, perMin, 100}, 1),
		often("ProofRate", &c.ProofRate, Rate{10, time.Second, 10}, 1),
		span("PenaltyBadLogin", &c.PenaltyBadLogin, 5*time.Second, tick),
		span("PenaltyBadProof", &c.PenaltyBadProof, 5*time.Second, tick),
		span("PenaltyLateLogin", &c.PenaltyLateLogin, 10*time.Second, tick),
		span("PenaltyFrom", &c.PenaltyFrom, 15*time.Second, tick).orOff(),
		span("PenaltyMost", &c.PenaltyMost, 10*time.Minute, max(tick, c.PenaltyFrom)), // with less, nobody would ever be turned away
	}
}

// field is a setting of any type.
type field[T comparable] struct {
	name    string
	is      *T
	initial T // the default
	off     *T
	wrong   func() string // what is wrong with it; empty if nothing is
}

func (f *field[T]) setDefault() {
	var zero T
	if *f.is == zero {
		*f.is = f.initial
	}
}

func (f *field[T]) switchOff() {
	if f.off != nil {
		*f.is = *f.off
	}
}

// copy takes over the same setting of another Config.
func (f *field[T]) copy(of setting) { *f.is = *of.(*field[T]).is }

func (f *field[T]) check() error {
	if f.off != nil && *f.is == *f.off {
		return nil
	}
	if text := f.wrong(); text != "" {
		return &InvalidError{f.name, fmt.Sprintf("is %v; it %s", *f.is, text)}
	}
	return nil
}

// orOff allows Off as well.
func (f *field[T]) orOff() *field[T] {
	var off any = Off
	switch any(*f.is).(type) {
	case time.Duration:
		off = time.Duration(Off)
	}
	v := off.(T)
	f.off = &v
	return f
}

func number(name string, is *int, initial, least, most int) *field[int] {
	return &field[int]{name, is, initial, nil, func() string {
		if *is >= least && *is <= most {
			return ""
		}
		return fmt.Sprintf("must be from %d to %d", least, most)
	}}
}

// connections has a default, and a maximum, of what the process's file limit allows. Some files are left for listeners, logs, and
// those who are turned away.
// UsualConnections is the default of Config.Connections where the process may open so many files. OtherFiles are those that it opens besides.
const (
	UsualConnections = 10_000
	OtherFiles       = 64
)

func connections(is *int) *field[int] {
	f := number("Connections", is, UsualConnections, 1, 1<<20)
	limit, ok := fileLimit()
	if !ok || limit >= 1<<20 {
		return f
	}
	allowed := max(int(limit)-OtherFiles, 1)
	f.initial = min(UsualConnections, allowed)
	in := f.wrong
	f.wrong = func() string {
		if *is > allowed {
			return fmt.Sprintf("must be at most %d, as this process may open %d files; raise that (ulimit -n), or lower this", allowed, limit)
		}
		return in()
	}
	return f
}

func span(name string, is *time.Duration, initial, least time.Duration) *field[time.Duration] {
	return &field[time.Duration]{name, is, initial, nil, func() string {
		if *is >= least {
			return ""
		}
		return fmt.Sprintf("must be at least %v", least)
	}}
}

// upTo has a field not be more than what the operating system takes: it would take none of it.
func (f *field[T]) upTo(most time.Duration) *field[T] {
	least := f.wrong
	f.wrong = func() string {
		if is, ok := any(*f.is).(time.Duration); ok && is > most {
			return fmt.Sprintf("must be at most %v", most)
		}
		return least()
	}
	return f
}

func often(name string, is *Rate, initial Rate, leastBurst int) setting {
	return optional(name, is, initial, Rate{Events: Off}, func() string { return is.check(leastBurst) })
}

func optional[T comparable](name string, is *T, initial, off T, wrong func() string) setting {
	return &field[T]{name, is, initial, &off, wrong}
}
