package supervisor_test

import (
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// Whether a client is still there.

func TestASilentClientThatSaidHelloIsPingedAndThenClosed(t *testing.T) {
	inVirtualTime(t, supervisor.Config{}, func(h *house) {
		for _, in := range []func(g *guest) *guest{
			func(g *guest) *guest { return g.greets(0).logsIn() },
			func(g *guest) *guest { return g.proves(0) },
		} {
			g := in(h.comes(alice))
			for range 2 {
				after(time.Minute - time.Millisecond)
				g.hears()
				after(time.Millisecond)
				g.hears(frames.Ping{})
			}
			after(time.Minute - time.Millisecond)
			g.hears()
			after(time.Millisecond)
			g.hears(frames.Error{Code: frames.Timeout})
			g.hasEnded()
		}
	})
}

func TestAnyByteSaysThatAClientIsThere(t *testing.T) {
	inVirtualTime(t, supervisor.Config{FrameTime: time.Hour}, func(h *house) {
		g := h.comes(alice).proves(0)
		frame := frames.Pong{}.Append(nil)
		for _, c := range frame {
			after(time.Minute)
			g.hears(frames.Ping{})
			after(time.Minute)
			g.hears(frames.Ping{})
			after(time.Minute - time.Millisecond)
			g.says([]byte{c}, nil)
		}
		after(time.Minute - time.Millisecond)
		g.hears()
		after(time.Millisecond)
		g.hears(frames.Ping{})
	})
}

func TestWhoHearsMuchAndSaysNothingIsPinged(t *testing.T) {
	inVirtualTime(t, supervisor.Config{}, func(h *house) {
		a, b := h.comes(alice).proves(0), h.comes(bob).proves(0)
		a.meets(b)
		for range 11 {
			after(5 * time.Second)
			a.tells(frames.Message{Peer: b.key, Body: []byte{}})
			b.hears(frames.Message{Peer: a.key, Body: []byte{}})
		}
		after(5 * time.Second)
		b.hears(frames.Ping{})
	})
}

// Of a seed client nothing is asked.
func TestASeedClientIsNotPinged(t *testing.T) {
	inVirtualTime(t, supervisor.Config{}, func(h *house) {
		g := h.comes(alice).logsIn()
		after(6*time.Hour - time.Millisecond)
		g.hears()
		after(time.Millisecond)
		g.hears(frames.Error{Code: frames.Timeout})
		g.hasEnded()
	})
}

func TestTheIntervalIsWhatWelcomeSays(t *testing.T) {
	inVirtualTime(t, supervisor.Config{PingInterval: 1500 * time.Millisecond}, func(h *house) {
		g := h.comes(alice)
		g.tells(frames.Hello{}, frames.Login{Key: g.key})
		if w, ok := g.news()[0].(frames.Welcome); !ok || w.PingInterval != 2 {
			t.Errorf("Welcome says %v: in seconds, rounded up", w)
		}
		after(1500 * time.Millisecond)
		g.hears(frames.Ping{})
	})
}

// Who holds a key that another would log in with, without a proof, has to show that it is still there.
func TestWhoHoldsAKeyThatAnotherWantsIsProbed(t *testing.T) {
	wants := func(h *house, code frames.Code) {
		other := h.comes(alice)
		other.tells(frames.Login{Key: other.key})
		other.isRefused(frames.TypeLogin, code)
		other.goes()
	}
	for name, scene := range map[string]func(h *house){
		"and is gone in 5 s if it is silent": func(h *house) {
			g := h.comes(alice).greets(0).logsIn()
			after(10 * time.Second)
			wants(h, frames.KeyInUse)
			g.hears(frames.Ping{})
			after(5*time.Second - time.Millisecond)
			g.hears()
			after(time.Millisecond)
			g.hears(frames.Error{Code: frames.Timeout})
			g.hasEnded()
			h.comes(alice).logsIn()
		},
		"and stays if it answers": func(h *house) {
			g := h.comes(alice).greets(0).logsIn()
			for range 3 {
				wants(h, frames.KeyInUse)
				g.hears(frames.Ping{})
				after(4 * time.Second)
				g.tells(frames.Pong{})
				after(30 * time.Second)
				g.hears()
			}
		},
		"and stays if it says a single byte": func(h *house) {
			g := h.comes(alice).greets(0).logsIn()
			wants(h, frames.KeyInUse)
			g.says([]byte{byte(frames.TypePong)}, nil)
			after(19 * time.Second)
			g.hears(frames.Ping{})
		},
		"but not if it is a seed client": func(h *house) {
			g := h.comes(alice).logsIn()
			wants(h, frames.KeyInUse)
			after(time.Hour)
			g.hears()
			wants(h, frames.KeyInUse)
		},
		"but not if it has proved": func(h *house) {
			g := h.comes(alice).proves(0)
			wants(h, frames.ProofRequired)
			after(10 * time.Second)
			g.hears()
		},
	} {
		t.Run(name, func(t *testing.T) { inVirtualTime(t, supervisor.Config{NoRateLimits: true}, scene) })
	}
}

// However often the other asks: it is to try again every few seconds, and must not put off by that what it waits for.
func TestWhoAsksOftenForAKeyGetsItNoLater(t *testing.T) {
	inVirtualTime(t, supervisor.Config{NoRateLimits: true}, func(h *house) {
		g := h.comes(alice).greets(0).logsIn()
		for range 5 {
			other := h.comes(alice)
			other.tells(frames.Login{Key: other.key})
			other.isRefused(frames.TypeLogin, frames.KeyInUse)
			other.goes()
			after(time.Second)
		}
		told := g.news()
		last, ok := told[len(told)-1].(frames.Error)
		if !ok || last.Code != frames.Timeout {
			t.Errorf("after 5 s without a word it was told %v", told)
		}
	})
}

// Nor does asking often make the relay ask: what waits for a client that does not read is bounded.
func TestWhoAsksOftenForAKeyDoesNotFillTheRelayWithPings(t *testing.T) {
	inVirtualTime(t, supervisor.Config{NoRateLimits: true}, func(h *house) {
		g := h.comes(alice).greets(0).logsIn()
		other := h.comes(alice)
		const times = 1000
		for range times {
			other.tells(frames.Login{Key: other.key})
		}
		if pings := len(g.news()); pings > 10 {
			t.Errorf("pinged %d times within a moment, for %d logins", pings, times)
		}
	})
}
