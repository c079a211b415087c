package main

import (
	"cmp"
	"fmt"
	"net"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// common are the flags of every command.
type common struct {
	Relay           string        `help:"The relay: host:port (${default})." default:"127.0.0.1:8000" placeholder:"HOST:PORT" env:"BLUBBEL_RELAY"`
	PID             int           `name:"pid" help:"The relay's process, to read its processor time and memory (Linux, the same machine)." placeholder:"PID"`
	JSON            string        `name:"json" help:"Write the results as JSON to a file, one object a line; - for standard output, instead of the table." placeholder:"FILE"`
	KeyBits         int           `help:"Size of the made-up RSA keys (${default})." default:"2048" placeholder:"BITS"`
	ReceiverKeyBits int           `help:"Size of the receivers' keys, if it is another." placeholder:"BITS"`
	Sources         int           `help:"Connect from so many addresses, 127.0.0.1 and up, where one has not enough ports or is limited (Linux, to 127.0.0.0/8)." default:"1" placeholder:"N"`
	Patience        time.Duration `help:"When nothing has moved for so long at the end, what is missing is lost (${default})." default:"2s" placeholder:"TIME"`
}

const (
	leastKey = 1024
	mostKey  = 4096
)

// Validate implements kong.Validatable.
func (c *common) Validate() error {
	if _, port, err := net.SplitHostPort(c.Relay); err != nil || port == "" {
		return fmt.Errorf("--relay %s: give it as host:port, such as 127.0.0.1:8000", c.Relay)
	}
	if c.ReceiverKeyBits == 0 {
		c.ReceiverKeyBits = c.KeyBits
	}
	return cmp.Or(
		within("--key-bits", c.KeyBits, leastKey, mostKey),
		within("--receiver-key-bits", c.ReceiverKeyBits, leastKey, mostKey),
		within("--sources", c.Sources, 1, 1<<16-2),
		atLeast("--patience", c.Patience, time.Millisecond),
	)
}

// timing says for how long a load is measured.
type timing struct {
	Duration time.Duration `help:"How long to measure (${default})." default:"3s" placeholder:"TIME"`
	Warmup   time.Duration `help:"How long the load runs before that (${default})." default:"500ms" placeholder:"TIME"`
}

func (t timing) validate() error {
	return cmp.Or(atLeast("--duration", t.Duration, time.Millisecond), atLeast("--warmup", t.Warmup, 0))
}

// bodies says how long the bodies are.
type bodies struct {
	Size int `help:"Size of each body in bytes (${default})." default:"64" placeholder:"BYTES"`
}

// mostBody is what fits behind the longest key that may be chosen.
const mostBody = frames.MaxPayload - 550

func (s bodies) validate() error { return within("--size", s.Size, leastBody, mostBody) }

// saturation says how much a sender may have under way.
type saturation struct {
	Window int `help:"Messages under way from each sender (256; 32 where bodies are longer than 4 KiB)." placeholder:"N"`
}

const (
	usualWindow = 256
	longWindow  = 32
	longBody    = 4 << 10
	mostWindow  = 1 << 20
)

func (s saturation) validate() error { return within("--window", s.Window, 0, mostWindow) }

// of returns the window for bodies of this size.
func (s saturation) of(size int) int {
	switch {
	case s.Window > 0:
		return s.Window
	case size > longBody:
		return longWindow
	}
	return usualWindow
}

// within refuses a number that is not in a range.
func within(flag string, n, least, most int) error {
	if n < least || n > most {
		return fmt.Errorf("%s is %d; it must be from %d to %d", flag, n, least, most)
	}
	return nil
}

func atLeast(flag string, d, least time.Duration) error {
	if d < least {
		return fmt.Errorf("%s is %v; it must be at least %v", flag, d, least)
	}
	return nil
}
