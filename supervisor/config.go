package supervisor

import (
	"fmt"
	"io"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
)

// Config is everything that can be set about a relay. The zero value of a field stands for its default.
type Config struct {
	// Log takes the relay's log. Default: nothing is logged.
	Log *logrus.Entry

	// MinKeyBits and MaxKeyBits are the sizes of RSA keys that may log in, in bits. Defaults: 2048 and 4096; at least 1024,
	// at most 4096: longer keys would not fit in front of what is sent to them.
	MinKeyBits, MaxKeyBits int
	// SeedRawKeys also takes the raw 128-byte keys of the first server. Default: no.
	SeedRawKeys bool

	// Window is how many bytes of the relay's memory one connection may hold. Not more than this is held when its reader goes
	// on reading; what that brings may take two buffers (128 KiB each) and the books of its frames (80 KiB at most) more.
	// Default: 256 KiB; at least two largest frames (131,082 bytes), at most 1 GiB.
	Window int
	// Stall is for how long a socket may take less than 64 KiB, while messages wait to be written to it, until those and what
	// comes after them are refused with BUSY. Who was stalled gets 100 ms instead for a minute. Default: 2 s; at least 10 ms.
	Stall time.Duration
	// WriteDeadline is for how long a socket may take nothing, while something waits to be written to it, until it is
	// closed. Default: 10 s; at least 10 ms.
	WriteDeadline time.Duration

	// AskedBy is how many session requests of one user may be pending at others. Default: 64.
	AskedBy int
	// AskedOf is how many session requests of strangers may be pending with one user. Default: 64.
	AskedOf int
	// Sessions is how many sessions one user may have; a pending request of its own counts as one. Default: 1,024.
	Sessions int

	// Crashes is how many crashes of a user's actor within CrashWindow are tolerated before its connection is closed and its
	// sessions end; its next login has to wait, longer each time. Defaults: 5 in 10 s.
	Crashes     int
	CrashWindow time.Duration

	// Props is asked for every actor the relay spawns, and returns the Props to spawn it with: the given ones, or a clone, say
	// with a receiver middleware of the host's. A middleware that panics is a crash of its actor. Sender middleware that panics
	// is beyond what supervision can mend. Default: they are used as they are.
	Props func(kind Kind, props *actor.Props) *actor.Props
}

// Kind is a kind of actor of the relay.
type Kind string

// The kinds below the top actor.
const (
	KindRegistry    Kind = "registry"
	KindUser        Kind = "user"
	KindConnections Kind = "connections"
	KindConnection  Kind = "connection"
)

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		c.Log = logrus.NewEntry(silent)
	}
	if c.Props == nil {
		c.Props = func(_ Kind, props *actor.Props) *actor.Props { return props }
	}
	setDefault(&c.MinKeyBits, 2048)
	setDefault(&c.MaxKeyBits, 4096)
	setDefault(&c.Window, 256<<10)
	setDefault(&c.Stall, 2*time.Second)
	setDefault(&c.WriteDeadline, 10*time.Second)
	setDefault(&c.AskedBy, 64)
	setDefault(&c.AskedOf, 64)
	setDefault(&c.Sessions, 1024)
	setDefault(&c.Crashes, 5)
	setDefault(&c.CrashWindow, 10*time.Second)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate says what is wrong with a Config whose defaults are filled in: which field, and what it may be.
func (c Config) validate() error {
	const largest = frames.HeaderSize + frames.MaxPayload
	for _, f := range []struct {
		name      string
		is, least int
		most      int
	}{
		{"MinKeyBits", c.MinKeyBits, 1024, c.MaxKeyBits},
		{"MaxKeyBits", c.MaxKeyBits, c.MinKeyBits, 4096},
		{"Window", c.Window, 2 * largest, 1 << 30},
		{"AskedBy", c.AskedBy, 1, 1 << 20},
		{"AskedOf", c.AskedOf, 1, 1 << 20},
		{"Sessions", c.Sessions, 1, 1 << 20},
		{"Crashes", c.Crashes, 1, 1 << 20},
	} {
		if f.is < f.least || f.is > f.most {
			return fmt.Errorf("supervisor: Config.%s is %d; it must be from %d to %d", f.name, f.is, f.least, f.most)
		}
	}
	for _, f := range []struct {
		name      string
		is, least time.Duration
	}{
		{"Stall", c.Stall, 10 * time.Millisecond},
		{"WriteDeadline", c.WriteDeadline, 10 * time.Millisecond},
		{"CrashWindow", c.CrashWindow, time.Millisecond},
	} {
		if f.is < f.least {
			return fmt.Errorf("supervisor: Config.%s is %v; it must be at least %v", f.name, f.is, f.least)
		}
	}
	return nil
}
