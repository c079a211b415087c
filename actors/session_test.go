package actors_test

import (
	"fmt"
	"testing"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
)

// The facts and events, short, so that the tables stay tables.
const (
	none    = actors.Pair(0)
	asked   = actors.Asked
	invited = actors.Invited
	open    = actors.Open

	start  = actors.Start
	accept = actors.Accept
	msg    = actors.Message
	end    = actors.End

	ok     = frames.Code(0)
	noReq  = frames.NoRequest
	noSess = frames.NoSession
	limit  = frames.Limit
	unav   = frames.Unavailable
	off    = frames.Offline
)

var (
	freely  = actors.Allowance{Ask: true, Open: true}
	noAsk   = actors.Allowance{Open: true}
	noOpen  = actors.Allowance{Ask: true}
	nothing = actors.Allowance{}

	here = actors.Here{Connected: true, Room: true}
	full = actors.Here{Connected: true}
	away = actors.Here{}
)

// Every state × every event, of our own client.
func TestSay(t *testing.T) {
	for _, c := range []struct {
		p    actors.Pair
		e    actors.Event
		may  actors.Allowance
		to   actors.Pair
		code frames.Code
	}{
		{none, start, freely, asked, ok},
		{asked, start, freely, asked, ok},
		{invited, start, freely, asked | invited, ok},
		{asked | invited, start, freely, asked | invited, ok},
		{open, start, freely, open | asked, ok},
		{open | asked, start, freely, open | asked, ok},
		{open | invited, start, freely, open | asked | invited, ok},
		{open | asked | invited, start, freely, open | asked | invited, ok},

		{none, accept, freely, none, noReq},
		{asked, accept, freely, asked, noReq},
		{invited, accept, freely, open, ok},
		{asked | invited, accept, freely, open, ok},
		{open, accept, freely, open, noReq},
		{open | asked, accept, freely, open | asked, noReq},
		{open | invited, accept, freely, open, ok},
		{open | asked | invited, accept, freely, open, ok},

		{none, msg, freely, none, noSess},
		{asked, msg, freely, asked, noSess},
		{invited, msg, freely, invited, noSess},
		{asked | invited, msg, freely, asked | invited, noSess},
		{open, msg, freely, open, ok},
		{open | asked, msg, freely, open | asked, ok},
		{open | invited, msg, freely, open | invited, ok},
		{open | asked | invited, msg, freely, open | asked | invited, ok},

		{none, end, freely, none, ok},
		{asked, end, freely, none, ok},
		{invited, end, freely, none, ok},
		{asked | invited, end, freely, none, ok},
		{open, end, freely, none, ok},
		{open | asked, end, freely, none, ok},
		{open | invited, end, freely, none, ok},
		{open | asked | invited, end, freely, none, ok},

		// At the user's own limits: what has its place already needs no new one.
		{none, start, noAsk, none, limit},
		{none, start, noOpen, none, limit},
		{asked, start, nothing, asked, ok},
		{invited, start, noAsk, invited, limit},
		{invited, start, noOpen, invited, limit},
		{open, start, noAsk, open, limit},
		{open, start, noOpen, open | asked, ok},
		{invited, accept, noOpen, invited, limit},
		{invited, accept, noAsk, open, ok},
		{asked | invited, accept, nothing, open, ok},
		{open | invited, accept, nothing, open, ok},
		{none, accept, nothing, none, limit},
		{open, accept, nothing, open, noReq},
	} {
		t.Run(fmt.Sprintf("%03b says %d, %v", c.p, c.e, c.may), func(t *testing.T) {
			if to, code := c.p.Say(c.e, c.may); to != c.to || code != c.code {
				t.Errorf("got %03b, %v; want %03b, %v", to, code, c.to, c.code)
			}
		})
	}
}

// Every state × every event, of the peer's, with us reachable and not.
func TestHear(t *testing.T) {
	for _, c := range []struct {
		p    actors.Pair
		e    actors.Event
		we   actors.Here
		to   actors.Pair
		code frames.Code
	}{
		{none, start, here, invited, ok},
		{asked, start, here, asked | invited, ok},
		{invited, start, here, invited, ok},
		{asked | invited, start, here, asked | invited, ok},
		{open, start, here, open | invited, ok},
		{open | asked, start, here, open | asked | invited, ok},
		{open | invited, start, here, open | invited, ok},
		{open | asked | invited, start, here, open | asked | invited, ok},

		{none, accept, here, none, noReq},
		{asked, accept, here, open, ok},
		{invited, accept, here, invited, noReq},
		{asked | invited, accept, here, open, ok},
		{open, accept, here, open, ok}, // Accepts of crossing requests cross
		{open | asked, accept, here, open, ok},
		{open | invited, accept, here, open, ok},
		{open | asked | invited, accept, here, open, ok},

		{none, msg, here, none, noSess},
		{asked, msg, here, asked, noSess},
		{invited, msg, here, invited, noSess},
		{asked | invited, msg, here, asked | invited, noSess},
		{open, msg, here, open, ok},
		{open | asked, msg, here, open | asked, ok},
		{open | invited, msg, here, open | invited, ok},
		{open | asked | invited, msg, here, open | asked | invited, ok},

		{none, end, here, none, ok},
		{asked | invited, end, here, none, ok},
		{open | asked | invited, end, here, none, ok},
		{open, end, away, none, ok},

		// No room is for strangers only, and not for who has a place in the box.
		{none, start, full, none, unav},
		{asked, start, full, asked, unav},
		{invited, start, full, invited, ok},
		{open, start, full, open | invited, ok},
		{asked, accept, full, open, ok},
		{open, msg, full, open, ok},

		// Away.
		{none, start, away, none, unav},
		{asked, start, away, asked, unav},
		{open, start, away, open, off},
		{none, accept, away, none, off},
		{asked, accept, away, asked, off},
		{open, accept, away, open, off},
		{none, msg, away, none, off},
		{open, msg, away, open, off},
	} {
		t.Run(fmt.Sprintf("%03b hears %d, %v", c.p, c.e, c.we), func(t *testing.T) {
			if to, code := c.p.Hear(c.e, c.we); to != c.to || code != c.code {
				t.Errorf("got %03b, %v; want %03b, %v", to, code, c.to, c.code)
			}
		})
	}
}

func TestLeft(t *testing.T) {
	for p := range actors.Pair(8) {
		if left := p.Left(false); left != none {
			t.Errorf("%03b leaves %03b to somebody unproven", p, left)
		}
		if left := p.Left(true); left != p&open {
			t.Errorf("%03b leaves %03b to somebody proven", p, left)
		}
	}
}

// The table of docs/protocol.md, for the pair as a whole: what A does, seen by A and heard by B, in the states in which
// nothing is under way. Both views must come out as mirror images.
func TestPairTable(t *testing.T) {
	// a: A's request is pending at B; b: B's at A; s: a session is open.
	const (
		a = 1 << iota
		b
		s
	)
	view := func(mine, theirs, open int) actors.Pair {
		var p actors.Pair
		if mine != 0 {
			p |= actors.Asked
		}
		if theirs != 0 {
			p |= actors.Invited
		}
		if open != 0 {
			p |= actors.Open
		}
		return p
	}
	for _, c := range []struct {
		from int
		e    actors.Event
		to   int
		code frames.Code
	}{
		{0, start, a, ok},
		{a, start, a, ok},
		{b, start, a | b, ok},
		{a | b, start, a | b, ok},
		{s, start, s | a, ok},
		{s | a, start, s | a, ok},
		{s | b, start, s | a | b, ok},
		{s | a | b, start, s | a | b, ok},
		{0, accept, 0, noReq},
		{a, accept, a, noReq},
		{b, accept, s, ok},
		{a | b, accept, s, ok},
		{s, accept, s, noReq},
		{s | a, accept, s | a, noReq},
		{s | b, accept, s, ok},
		{s | a | b, accept, s, ok},
		{0, msg, 0, noSess},
		{a, msg, a, noSess},
		{b, msg, b, noSess},
		{a | b, msg, a | b, noSess},
		{s, msg, s, ok},
		{s | a, msg, s | a, ok},
		{s | b, msg, s | b, ok},
		{s | a | b, msg, s | a | b, ok},
		{0, end, 0, ok},
		{a, end, 0, ok},
		{b, end, 0, ok},
		{a | b, end, 0, ok},
		{s, end, 0, ok},
		{s | a, end, 0, ok},
		{s | b, end, 0, ok},
		{s | a | b, end, 0, ok},
	} {
		t.Run(fmt.Sprintf("%03b, %d", c.from, c.e), func(t *testing.T) {
			viewA, viewB := view(c.from&a, c.from&b, c.from&s), view(c.from&b, c.from&a, c.from&s)
			afterA, code := viewA.Say(c.e, freely)
			if code == ok {
				viewB, code = viewB.Hear(c.e, here)
			}
			if code != c.code || afterA != view(c.to&a, c.to&b, c.to&s) || viewB != view(c.to&b, c.to&a, c.to&s) {
				t.Errorf("got %v, A sees %03b, B sees %03b; want %v and %03b", code, afterA, viewB, c.code, c.to)
			}
		})
	}
}
