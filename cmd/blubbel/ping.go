package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mdeiml/blubbel-server/client"
)

// lasting is how long one connection is used: a relay closes those that do not log in, after ten seconds.
const lasting = 5 * time.Second

// pingRelay measures how long a relay takes to answer.
type pingRelay struct {
	trust
	Relay    string        `arg:"" name:"address" help:"The relay, as for --relay of blubbel chat." placeholder:"ADDRESS"`
	Count    int           `short:"n" help:"How often (${default})." default:"4" placeholder:"COUNT"`
	Interval time.Duration `short:"i" help:"How long to wait in between (${default})." default:"1s" placeholder:"TIME"`
}

// Run implements the command.
func (p pingRelay) Run(ctx context.Context, s streams) error {
	if p.Count < 1 || p.Interval < 0 {
		return withCode(exitUsage, errors.New("ping: --count is at least 1, and --interval not negative"))
	}
	options, err := p.options()
	if err != nil {
		return err
	}
	if err := checkAddress("ping", p.Relay, options); err != nil {
		return err
	}
	g := &pinging{pingRelay: p, streams: s, options: options, times: roundTrips{began: time.Now()}}
	defer g.close()
	err = g.all(ctx)
	if g.times.sent > 0 {
		_, _ = fmt.Fprintf(s.out, "--- %s ---\n%s\n", printable(p.Relay), g.times.summary())
	}
	if errors.Is(err, errInterrupted) && g.times.answered() > 0 {
		return nil // as whoever wants to know, ends it
	}
	return err
}

// pinging is a measurement.
type pinging struct {
	pingRelay
	streams
	options client.Options
	client  *client.Client // nil before the first ping
	since   time.Time      // when it connected
	times   roundTrips
}

// all pings as often as it should.
func (g *pinging) all(ctx context.Context) error {
	for n := range g.Count {
		if n > 0 {
			if err := g.rest(ctx); err != nil {
				return err
			}
		}
		if err := g.connect(ctx); err != nil {
			return err
		}
		if err := g.once(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rest waits before the next ping.
func (g *pinging) rest(ctx context.Context) error {
	select {
	case <-time.After(g.Interval):
		return nil
	case <-ctx.Done():
		return errInterrupted
	}
}

func (g *pinging) close() {
	if g.client != nil {
		_ = g.client.Close()
	}
}

// connect connects, in place of an older connection if there is one; the first time it says to whom.
func (g *pinging) connect(ctx context.Context) error {
	first := g.client == nil
	if !first && time.Since(g.since) < lasting {
		return nil
	}
	g.close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := client.Dial(ctx, g.Relay, g.options)
	switch {
	case errors.Is(err, client.ErrOldRelay):
		return withCode(exitRelay, errors.New("this is an older relay, which answers no pings"))
	case err != nil:
		return unreached(err, g.Relay)
	}
	g.client, g.since = c, time.Now()
	if !first {
		return nil
	}
	r := c.Relay()
	who := "which does not say who it is"
	if r.Signed {
		who = "with the id " + r.ID.String()
	}
	_, err = fmt.Fprintf(g.out, "pinging %s: %s, %s\n", printable(g.Relay), printable(r.Software), who)
	return err
}

// once pings once.
func (g *pinging) once(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	g.times.sent++
	rtt, err := g.client.Ping(limited)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return withCode(exitRelay, errors.New("the relay does not answer"))
	case err != nil:
		return explain(err, "")
	}
	g.times.all = append(g.times.all, rtt)
	_, err = fmt.Fprintf(g.out, "answer %d: %s ms\n", g.times.sent, milliseconds(rtt))
	return err
}

// roundTrips are what was measured.
type roundTrips struct {
	began time.Time
	sent  int
	all   []time.Duration
}

func (r *roundTrips) answered() int { return len(r.all) }

// summary is in the form of ping(8).
func (r *roundTrips) summary() string {
	text := fmt.Sprintf("%d sent, %d answered, in %v", r.sent, r.answered(), time.Since(r.began).Round(time.Millisecond))
	if r.answered() == 0 {
		return text
	}
	least, most := r.all[0], r.all[0]
	sum, squares := 0.0, 0.0
	for _, d := range r.all {
		least, most = min(least, d), max(most, d)
		sum += float64(d)
		squares += float64(d) * float64(d)
	}
	n := float64(r.answered())
	deviation := math.Sqrt(max(squares/n-sum/n*sum/n, 0))
	return text + fmt.Sprintf("\nmin/avg/max/mdev = %s/%s/%s/%s ms", milliseconds(least), milliseconds(time.Duration(sum/n)),
		milliseconds(most), milliseconds(time.Duration(deviation)))
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond))
}
