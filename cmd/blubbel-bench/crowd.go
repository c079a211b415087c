package main

import (
	"bytes"
	"context"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// crowd is a flood of many clients that all do the same.
type crowd struct {
	n    int
	over time.Duration // they come evenly over this time
	plan func(s *siege) (plan, error)
}

func (*crowd) enter(context.Context, *siege) error { return nil }

func (c *crowd) pour(ctx context.Context, s *siege) error {
	return s.attack.run(ctx, c.n, c.over, func() (plan, error) { return c.plan(s) })
}

func (*crowd) tell(*siege, error) {}

const (
	halvesLast  = 30 * time.Second // longer than a relay should wait for the rest of a frame
	crowdLasts  = 10 * time.Second
	floodLasts  = 30 * time.Second
	halvesShare = 6 // half frames come within this part of the time, so that the last, too, is held open for long
)

// halfFrames log in, begin a frame, and never end it.
func (c *floods) halfFrames() cell {
	lasts := c.lasting(halvesLast)
	half := append(frames.AppendHeader(nil, frames.TypeMessage, frames.MaxPayload), make([]byte, c.HalfBytes)...)
	flood := func() flood {
		return &crowd{n: c.HalfFrames, over: lasts / halvesShare, plan: func(s *siege) (plan, error) {
			key, err := madeUpKey(s.bench.KeyBits)
			return plan{first: frames.Login{Key: key}.Append(nil), login: true, then: half, until: s.ends}, err
		}}
	}
	return cell{name: "half-frames", flood: flood, lasts: lasts, addresses: c.Addresses, atOnce: c.HalfFrames}
}

// connects come, and say nothing.
func (c *floods) connects() cell {
	lasts := c.lasting(floodLasts)
	flood := func() flood {
		return &crowd{n: c.Connects, over: lasts, plan: func(*siege) (plan, error) {
			return plan{until: time.Now().Add(c.Stay)}, nil
		}}
	}
	return cell{
		name: "connects", flood: flood, lasts: lasts, overtime: c.Stay, addresses: 1,
		atOnce: mostAtOnce(c.Connects, lasts, c.Stay),
	}
}

// giantClaims say that a frame of 4 GiB comes, and then a byte of it each second.
func (c *floods) giantClaims() cell {
	lasts := c.lasting(crowdLasts)
	claim := append([]byte{byte(frames.TypeMessage)}, bytes.Repeat([]byte{0xff}, frames.HeaderSize-1)...)
	flood := func() flood {
		return &crowd{n: c.GiantClaims, over: lasts, plan: func(*siege) (plan, error) {
			return plan{first: claim, drip: true, until: time.Now().Add(c.Stay)}, nil
		}}
	}
	return cell{
		name: "giant-claims", flood: flood, lasts: lasts, overtime: c.Stay, addresses: 1,
		atOnce: mostAtOnce(c.GiantClaims, lasts, c.Stay),
	}
}

// cells returns the cells of a kind.
func (c *floods) cells(kind string) []cell {
	switch kind {
	case "half-frames":
		return []cell{c.halfFrames()}
	case "strangers":
		return []cell{c.strangers("strangers, many addresses", c.Addresses), c.strangers("strangers, one address", 1)}
	case "connects":
		return []cell{c.connects()}
	case "flat-out":
		return []cell{c.flatOut()}
	case "giant-claims":
		return []cell{c.giantClaims()}
	}
	return []cell{c.badKeys()}
}
