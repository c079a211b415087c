package main

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// all is the command of that name.
type all struct {
	Duration time.Duration `help:"How long to measure each (${default})." default:"2s" placeholder:"TIME"`
	Warmup   time.Duration `help:"How long each load runs before that (${default})." default:"300ms" placeholder:"TIME"`
	Scale    int           `help:"Divides the number of users, for a small machine (${default})." default:"1" placeholder:"N"`
}

// Validate implements kong.Validatable.
func (c *all) Validate() error {
	return cmp.Or(timing{c.Duration, c.Warmup}.validate(), within("--scale", c.Scale, 1, mostConnections))
}

// suite returns the standard suite.
func (c *all) suite() []command {
	t := timing{c.Duration, c.Warmup}
	of := func(n int) int { return max(n/c.Scale, 2) }
	return []command{
		&idle{Connections: of(1000), Duration: c.Duration / 2}, // first: later the relay has memory to spare
		&pairs{Pairs: 1, bodies: bodies{64}, timing: t},
		&pairs{Pairs: of(16), bodies: bodies{64}, timing: t},
		&pairs{Pairs: of(16), bodies: bodies{1 << 10}, timing: t},
		&pairs{Pairs: of(16), bodies: bodies{16 << 10}, timing: t},
		&pairs{Pairs: of(64), bodies: bodies{256}, Rate: float64(of(20000)), timing: t},
		&pingpong{Pairs: 1, bodies: bodies{64}, timing: t},
		&pingpong{Pairs: of(64), bodies: bodies{64}, timing: t},
		&fanIn{Senders: of(64), bodies: bodies{256}, timing: t},
		&allToAll{Users: of(32), bodies: bodies{256}, timing: t},
		&slow{Pairs: of(4), FloodRate: float64(of(20000)), FloodSize: 1 << 10, bodies: bodies{1 << 10}, timing: t},
		&fair{Every: 10 * time.Millisecond, FloodSize: 1 << 10, bodies: bodies{64}, timing: t},
	}
}

func (c *all) measure(ctx context.Context, b *bench) error {
	for _, cell := range c.suite() {
		if err := cell.measure(ctx, b); err != nil {
			return fmt.Errorf("the suite ends early: %w", err)
		}
		if b.over(ctx) {
			break
		}
	}
	return nil
}
