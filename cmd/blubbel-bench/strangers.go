package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// strangers log in, ask one user for a session, and leave. That user chats with a friend meanwhile.
type strangers struct {
	crowd
	victim *user
	asked  atomic.Uint64 // how many requests the victim got
}

const (
	notRefused = "not refused" // what a stranger sees of a request that was forwarded
	reached    = "forwarded"   // what its victim sees of it
	victimRate = 20            // Messages a second that the victim and the friend each send the other

	strangerStays = 5 * time.Second // at most, if the relay does not close
)

func (c *floods) strangers(name string, addresses int) cell {
	lasts := c.lasting(crowdLasts)
	flood := func() flood {
		s := &strangers{}
		s.crowd = crowd{n: c.Strangers, over: lasts, plan: s.request}
		return s
	}
	return cell{
		name: name, flood: flood, lasts: lasts, overtime: strangerStays, addresses: addresses,
		atOnce: mostAtOnce(c.Strangers, lasts, strangerStays),
	}
}

// enter lets the victim and the friend in.
func (f *strangers) enter(ctx context.Context, s *siege) error {
	p, err := s.bench.pair(ctx, s.load)
	if err != nil {
		return err
	}
	f.victim = p.from
	f.victim.asked = func(ask frames.StartSession) error {
		if !bytes.Equal(ask.Sealed, sealed(ask.Peer)) {
			return errRequest
		}
		f.asked.Add(1)
		return nil
	}
	s.victims = []*sender{p.oneWay(s.load, s.floods.Size, 0), pair{p.to, p.from}.oneWay(s.load, s.floods.Size, 0)}
	return nil
}

// errRequest says that the sealed part is not the one that belongs to the key.
var errRequest = errors.New("a request for a session was changed on the way, or has the key of another user than its sender")

// sealed is what a stranger's request contains: as much as there may be, and it tells the stranger's key.
func sealed(key frames.Key) []byte {
	f := key.Fingerprint()
	return bytes.Repeat(f[:], frames.MaxSealed/len(f))
}

// request is what a stranger does: all of it in one write. That all was handled tells the relay by closing.
func (f *strangers) request(s *siege) (plan, error) {
	key, err := madeUpKey(s.bench.KeyBits)
	first := frames.Login{Key: key}.Append(nil)
	first = frames.StartSession{Peer: f.victim.key, Sealed: sealed(key)}.Append(first)
	return plan{first: first, login: true, shut: true, until: time.Now().Add(strangerStays), spoke: notRefused}, err
}

// pour ends when the victim has got the requests that were not refused, or nobody waits any longer for that.
func (f *strangers) pour(ctx context.Context, s *siege) error {
	err := f.crowd.pour(ctx, s)
	patience, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	waitFor(patience, func() bool { return f.asked.Load() >= s.attack.tally.of(notRefused) })
	return err
}

// waitFor waits until something is so, or ctx ends.
func waitFor(ctx context.Context, so func() bool) {
	const look = 2 * time.Millisecond
	for !so() && waitUntil(ctx, time.Now().Add(look)) {
	}
}

// tell compares what the strangers heard with what the victim got.
func (f *strangers) tell(s *siege, err error) {
	r, got := s.row("the victim", s.floods.Size), f.asked.Load()
	r.Seconds, r.OneWay, r.Account = s.beside.Seconds, s.victimTook.quantiles(), settleAccount(s.victims)
	r.tally = &tally{}
	r.tally.count(reached, got)
	s.more = append(s.more, r)
	if err != nil {
		return
	}
	t := s.beside.tally
	silent, unclear := t.of(notRefused), t.of(reset)+t.of(toTheEnd)
	switch {
	case got < silent:
		s.beside.wrongly(fmt.Sprintf("%s requests were neither refused nor forwarded", grouped(silent-got)))
	case got > silent+unclear:
		s.beside.wrongly(fmt.Sprintf("%s requests were refused and forwarded, or forwarded twice", grouped(got-silent-unclear)))
	}
}
