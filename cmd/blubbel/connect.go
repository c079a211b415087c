package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// patience is how long the relay may take to answer.
const patience = 20 * time.Second

// leaving is how long the relay may take to notice that an earlier connection of ours has closed.
const leaving = 2 * time.Second

// relayFlags say where to connect, and as whom.
type relayFlags struct {
	keyFile
	Relay string `help:"The relay: host:port (${default})." default:"127.0.0.1:8000" placeholder:"HOST:PORT" env:"BLUBBEL_RELAY"`
}

// connect logs in.
func (f relayFlags) connect(ctx context.Context, self *client.Identity) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, port, err := net.SplitHostPort(f.Relay); err != nil || port == "" {
		return nil, withCode(exitUsage, fmt.Errorf("--relay %s: give it as host:port, such as 127.0.0.1:8000", f.Relay))
	}
	c, err := client.Dial(ctx, f.Relay, client.Options{Unproven: true})
	if err != nil {
		return nil, withCode(exitRelay, fmt.Errorf("cannot reach the relay at %s; is it running, and --relay right? (%w)", f.Relay, cause(err)))
	}
	if err = login(ctx, c, self); err == nil {
		return c, nil
	}
	_ = c.Close()
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, withCode(exitRelay, fmt.Errorf("what answers at %s is not a blubbel relay, or very slow; check --relay", f.Relay))
	}
	return nil, explain(err, "")
}

// login logs in. While the relay has not noticed yet that an earlier connection of this key is gone, it tries again.
func login(ctx context.Context, c *client.Client, self *client.Identity) error {
	for until := time.Now().Add(leaving); ; {
		err := c.Login(ctx, self)
		if !client.IsRefused(err, frames.KeyInUse) || time.Now().After(until) {
			return err
		}
		select {
		case <-time.After(leaving / 10):
		case <-ctx.Done():
		}
	}
}

// cause leaves out of a network error what the line says already.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
