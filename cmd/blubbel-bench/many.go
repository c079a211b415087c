package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
)

// fanIn is the command fan-in.
type fanIn struct {
	Senders int `help:"How many senders (${default})." short:"n" default:"64" placeholder:"N"`
	bodies
	saturation
	timing
}

// mostSenders is how many sessions a relay allows one user.
const mostSenders = 1024

// Validate implements kong.Validatable.
func (c *fanIn) Validate() error {
	return cmp.Or(within("--senders", c.Senders, 1, mostSenders), c.bodies.validate(), c.saturation.validate(), c.timing.validate())
}

func (c *fanIn) measure(ctx context.Context, b *bench) error {
	l := b.load()
	defer l.close()
	to, err := b.join(ctx, l, b.ReceiverKeyBits)
	if err != nil {
		return err
	}
	for range c.Senders {
		from, err := b.join(ctx, l, b.KeyBits)
		if err == nil {
			err = b.meet(ctx, from, to)
		}
		if err != nil {
			return err
		}
		pair{from, to}.oneWay(l, c.Size, c.of(c.Size))
	}
	r := &result{
		Command: "fan-in", Cell: fmt.Sprintf("fan-in %d, %s", c.Senders, sized(c.Size)), Users: len(l.users), SizeBytes: c.Size, Window: c.of(c.Size),
	}
	b.saturate(ctx, l, c.timing, r)
	b.add(r)
	return nil
}

// allToAll is the command all-to-all.
type allToAll struct {
	Users int `help:"How many users (${default})." short:"n" default:"32" placeholder:"N"`
	bodies
	saturation
	timing
}

// mostUsers keeps the sessions, of which there is one for every two users, to a number that is set up in seconds.
const mostUsers = 256

// Validate implements kong.Validatable.
func (c *allToAll) Validate() error {
	return cmp.Or(within("--users", c.Users, 2, mostUsers), c.bodies.validate(), c.saturation.validate(), c.timing.validate())
}

func (c *allToAll) measure(ctx context.Context, b *bench) error {
	l := b.load()
	defer l.close()
	if err := c.introduce(ctx, b, l); err != nil {
		return err
	}
	fronts := map[*user][]byte{}
	for _, u := range l.users {
		fronts[u] = newFront(u.key, uint32(c.Size)) //nolint:gosec // the flag allows less than 2^16
	}
	for _, from := range l.users {
		var streams []*stream
		for _, i := range rand.Perm(len(l.users)) { //nolint:gosec // an order of its own for each; it is no secret
			if to := l.users[i]; to != from {
				streams = append(streams, l.stream(from, to, c.Size, fronts[to]))
			}
		}
		l.sender(from, c.of(c.Size), streams...)
	}
	r := &result{
		Command: "all-to-all", Cell: fmt.Sprintf("all-to-all %d, %s", c.Users, sized(c.Size)), Users: len(l.users), SizeBytes: c.Size, Window: c.of(c.Size),
	}
	b.saturate(ctx, l, c.timing, r)
	b.add(r)
	return nil
}

// introduce logs the users in, and opens a session between every two.
func (c *allToAll) introduce(ctx context.Context, b *bench, l *load) error {
	for range c.Users {
		u, err := b.join(ctx, l, b.KeyBits)
		if err != nil {
			return err
		}
		for _, other := range l.users[:len(l.users)-1] {
			if err := b.meet(ctx, u, other); err != nil {
				return err
			}
		}
	}
	return nil
}
