package actors

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// box is a user's request box: the requests of strangers that are pending, and how often they come. One address may have a share of
// both and no more, so that a few addresses can neither fill the box nor use up the rate. It survives crashes.
type box struct {
	pending int // of peers without an open session
	rate    *rate.Limiter
	shares  map[netip.Prefix]*share
	sweepAt int
}

// share is what one address has of a box.
type share struct {
	pending int
	rate    *rate.Limiter
}

// room reports whether one more request from this address may be pending.
func (b *box) room(limits *Limits, from *Address) bool {
	if b.pending >= limits.AskedOf {
		return false
	}
	s, ok := b.share(from)
	return !ok || limits.AskedOfByAddress == 0 || s.pending < limits.AskedOfByAddress
}

func (b *box) share(from *Address) (s *share, ok bool) {
	if from == nil {
		return nil, false
	}
	s, ok = b.shares[from.prefix]
	return s, ok
}

// allow reports whether a stranger's request from this address may come now, and counts it.
func (b *box) allow(limits *Limits, from *Address, now time.Time) bool {
	if limits.StartsTo.Burst == 0 {
		return true
	}
	if b.rate == nil {
		b.rate = limits.StartsTo.limiter()
	}
	if s, ok := b.share(from); ok && s.rate != nil && s.rate.TokensAt(now) < 1 {
		return false // it does not cost the others anything
	}
	if !b.rate.AllowN(now, 1) {
		return false
	}
	if from != nil && limits.AskedOfByAddress > 0 {
		s := b.open(from, now)
		if s.rate == nil {
			s.rate = limits.shareOfStarts().limiter()
		}
		s.rate.AllowN(now, 1)
	}
	return true
}

// shareOfStarts is how often strangers from one address may ask one user.
func (l *Limits) shareOfStarts() Rate {
	part := float64(l.AskedOfByAddress) / float64(l.AskedOf)
	return Rate{Limit: rate.Limit(part * float64(l.StartsTo.Limit)), Burst: max(1, int(part*float64(l.StartsTo.Burst)))}
}

// open returns the share of an address, which it may not have yet.
func (b *box) open(from *Address, now time.Time) *share {
	s, ok := b.shares[from.prefix]
	if ok {
		return s
	}
	if b.shares == nil {
		b.shares = map[netip.Prefix]*share{}
	}
	b.sweep(now)
	s = new(share)
	b.shares[from.prefix] = s
	return s
}

// sweep forgets shares that nobody uses, each time there are twice as many as were left the last time. There is one more for
// each request that was let through, at most.
func (b *box) sweep(now time.Time) {
	if len(b.shares) < b.sweepAt {
		return
	}
	for p, s := range b.shares {
		if s.pending == 0 && !isUsed(s.rate, now) {
			delete(b.shares, p)
		}
	}
	b.sweepAt = max(2*len(b.shares), 16)
}

// count counts requests that are pending, or are no longer.
func (b *box) count(from *Address, n int) {
	b.pending += n
	if from != nil {
		b.open(from, time.Now()).pending += n
	}
}
