package supervisor_test

import (
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// Who is there, and for how long those who are not are waited for.

const wantsPresence = 1

func here(who *guest) frames.Presence { return frames.Presence{Online: true, Peer: who.key} }
func gone(who *guest) frames.Presence { return frames.Presence{Online: false, Peer: who.key} }

// friends are two who have proved, want to know of each other, and have a session.
func (h *house) friends(one, other int) (a, b *guest) {
	h.t.Helper()
	a, b = h.comes(one).proves(wantsPresence), h.comes(other).proves(wantsPresence)
	a.tells(frames.StartSession{Peer: b.key, Sealed: []byte{}})
	b.tells(frames.AcceptSession{Peer: a.key, Sealed: []byte{}})
	a.hears(frames.AcceptSession{Peer: b.key, Sealed: []byte{}}, here(b))
	b.hears(frames.StartSession{Peer: a.key, Sealed: []byte{}}, here(a))
	return a, b
}

func TestPresenceTellsOfWhoIsGoneForASecond(t *testing.T) {
	inVirtualTime(t, supervisor.Config{}, func(h *house) {
		a, b := h.friends(alice, bob)
		after(10 * time.Second)
		a.goes()
		after(time.Second - time.Millisecond)
		b.hears()
		after(time.Millisecond)
		b.hears(gone(a))
		after(500 * time.Millisecond)
		back := h.comes(alice).proves(wantsPresence)
		back.hears(here(b))
		b.hears() // a change within a second of the last
		after(500*time.Millisecond - time.Millisecond)
		b.hears()
		after(time.Millisecond)
		b.hears(here(a))
		after(time.Hour)
		for _, f := range b.news() {
			if f.Type() == frames.TypePresence {
				t.Errorf("told again: %v", f)
			}
		}
	})
}

func TestPresenceDoesNotTellOfWhatPasses(t *testing.T) {
	for name, returns := range map[string]func(h *house, a *guest) *guest{
		"connecting again": func(h *house, a *guest) *guest {
			a.goes()
			after(900 * time.Millisecond)
			return h.comes(alice).proves(wantsPresence)
		},
		"taking over": func(h *house, _ *guest) *guest { return h.comes(alice).proves(wantsPresence) },
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, supervisor.Config{NoRateLimits: true}, func(h *house) {
				a, b := h.friends(alice, bob)
				for range 20 {
					a = returns(h, a)
					a.hears(here(b))
					b.hears()
				}
				after(10 * time.Second)
				b.hears()
				a.tells(frames.Message{Peer: b.key, Body: []byte("still me")})
				b.hears(frames.Message{Peer: a.key, Body: []byte("still me")})
			})
		})
	}
}

// Whoever comes and goes all the time is told of once a second at most, never twice in the same way, and in the end as it is.
func TestPresenceMergesFlapping(t *testing.T) {
	for _, pause := range []time.Duration{10, 300, 700, 999, 1000, 1001, 1300, 2000} {
		inVirtualTime(t, supervisor.Config{NoRateLimits: true, PingInterval: time.Hour}, func(h *house) {
			a, b := h.friends(alice, bob)
			began := time.Now()
			told, last := 0, true
			looks := func() {
				for _, f := range b.news() {
					p, ok := f.(frames.Presence)
					if !ok {
						t.Errorf("heard %v", f)
						continue
					}
					if p.Online == last {
						t.Errorf("pauses of %d ms: told twice: %v", pause, p.Online)
					}
					last = p.Online
					told++
				}
			}
			for range 20 {
				a.goes()
				after(pause * time.Millisecond)
				looks()
				a = h.comes(alice).proves(wantsPresence)
				after(pause * time.Millisecond)
				looks()
			}
			if most := int(time.Since(began)/time.Second) + 1; told > most {
				t.Errorf("pauses of %d ms: told %d times within %v", pause, told, time.Since(began))
			}
			if pause > 1000 && told != 40 {
				t.Errorf("pauses of %d ms: told %d times of 40 changes", pause, told)
			}
			after(2 * time.Second)
			looks()
			if !last {
				t.Errorf("pauses of %d ms: in the end it is not told as it is", pause)
			}
		})
	}
}

// Many peers that go at once are each told of, in time.
func TestPresenceTellsOfEachPeer(t *testing.T) {
	inVirtualTime(t, supervisor.Config{}, func(h *house) {
		a, b := h.friends(alice, bob)
		c := h.comes(carol).proves(wantsPresence)
		c.meets(b)
		b.news()
		after(5 * time.Second)
		a.goes()
		after(300 * time.Millisecond)
		c.goes()
		after(700 * time.Millisecond)
		b.hears(gone(a))
		after(300 * time.Millisecond)
		b.hears(gone(c))
	})
}

func TestASessionEndsWhenSomebodyIsAwayForTooLong(t *testing.T) {
	inVirtualTime(t, supervisor.Config{NoRateLimits: true}, func(h *house) {
		a, b := h.friends(alice, bob)
		a.goes()
		const month = 30 * 24 * time.Hour
		b.stays(month-2*time.Second, gone(a))
		b.tells(frames.Message{Peer: a.key})
		b.isRefused(frames.TypeMessage, frames.Offline)
		b.stays(2*time.Second, frames.EndSession{Peer: a.key, Reason: "away for too long"})
		b.tells(frames.Message{Peer: a.key})
		b.isRefused(frames.TypeMessage, frames.NoSession)
		a = h.comes(alice).proves(wantsPresence)
		a.hears()
		a.tells(frames.Message{Peer: b.key})
		a.isRefused(frames.TypeMessage, frames.NoSession)
	})
}

// stays answers Pings for so long, and expects to hear just that besides.
func (g *guest) stays(d time.Duration, want ...frames.Frame) {
	g.t.Helper()
	var got []frames.Frame
	for end := time.Now().Add(d); time.Now().Before(end); {
		after(min(time.Minute/2, time.Until(end)))
		for _, f := range g.news() {
			if _, ok := f.(frames.Ping); !ok {
				got = append(got, f)
			}
		}
		g.tells(frames.Pong{})
	}
	if len(got) != len(want) || len(got) > 0 && string(got[0].Append(nil)) != string(want[0].Append(nil)) {
		g.t.Fatalf("heard %v, want %v", got, want)
	}
}

func TestComingBackBeginsTheTimeAnew(t *testing.T) {
	inVirtualTime(t, supervisor.Config{AwayTime: time.Hour, PingInterval: 24 * time.Hour}, func(h *house) {
		a, b := h.friends(alice, bob)
		for range 3 {
			a.goes()
			after(40 * time.Minute)
			a = h.comes(alice).proves(wantsPresence)
		}
		after(2 * time.Hour)
		b.news()
		b.tells(frames.Message{Peer: a.key, Body: []byte{}})
		a.news()
		b.hears()
		a.goes()
		b.goes()
		after(time.Hour)
		a = h.comes(alice).proves(wantsPresence)
		a.tells(frames.Message{Peer: b.key})
		a.isRefused(frames.TypeMessage, frames.NoSession)
	})
}

// When too many are away, whoever has been for longest is not waited for any longer.
func TestWhoIsAwayForLongestIsForgottenFirst(t *testing.T) {
	inVirtualTime(t, supervisor.Config{UsersAway: 2, NoRateLimits: true}, func(h *house) {
		host := h.comes(dave).proves(0)
		var others [3]*guest
		for who := range others {
			others[who] = h.comes(who).proves(0)
			others[who].meets(host)
		}
		meet := func(code frames.Code, who int) {
			t.Helper()
			host.tells(frames.Message{Peer: others[who].key})
			host.isRefused(frames.TypeMessage, code)
		}
		for _, who := range []int{bob, alice} {
			others[who].goes()
			after(time.Second)
		}
		host.hears()
		others[bob] = h.comes(bob).proves(0) // who is away later than Alice, then
		others[bob].goes()
		after(time.Second)
		meet(frames.Offline, alice)
		meet(frames.Offline, bob)
		others[carol].goes()
		after(time.Second)
		host.hears(frames.EndSession{Peer: others[alice].key, Reason: "away for too long"})
		meet(frames.NoSession, alice)
		meet(frames.Offline, bob)
		meet(frames.Offline, carol)
		back := h.comes(carol).proves(0)
		back.tells(frames.Message{Peer: host.key, Body: []byte("back")})
		host.hears(frames.Message{Peer: back.key, Body: []byte("back")})
	})
}

// A seed client whose peer is forgotten, or ends the session, or leaves, is told nothing.
func TestASeedClientIsNotToldOfEnds(t *testing.T) {
	inVirtualTime(t, supervisor.Config{AwayTime: time.Hour, NoRateLimits: true}, func(h *house) {
		seed := h.comes(dave).logsIn()
		for who := range 3 {
			g := h.comes(who).proves(wantsPresence)
			g.meets(seed)
			if who == alice {
				g.tells(frames.EndSession{Peer: seed.key, Reason: "dinner"})
			}
			g.goes()
		}
		after(2 * time.Hour)
		seed.hears()
	})
}

func TestARelayThatStopsTellsWhenToComeBack(t *testing.T) {
	inVirtualTime(t, supervisor.Config{NoRateLimits: true}, func(h *house) {
		all := []*guest{h.comes(alice).proves(0), h.comes(bob).greets(0).logsIn()}
		for range 30 {
			all = append(all, h.comes(carol).greets(0))
		}
		seeds := []*guest{h.comes(dave).logsIn(), h.comes(dave)}
		if err := h.relay.Stop(h.t.Context()); err != nil {
			t.Fatal(err)
		}
		in, tries := map[uint32]bool{}, map[uint32]bool{}
		for _, g := range all {
			<-g.ended
			told := g.news()
			if len(told) != 2 || told[1].(frames.Error).Code != frames.ShuttingDown {
				t.Fatalf("told %v", told)
			}
			r := told[0].(frames.Restarting)
			if r.ReconnectIn < 1000 || r.ReconnectIn > 5000 || r.KeepTryingFor < 60_000 || r.KeepTryingFor > 90_000 {
				t.Errorf("told %+v", r)
			}
			in[r.ReconnectIn], tries[r.KeepTryingFor] = true, true
		}
		if len(in) < 10 || len(tries) < 10 {
			t.Errorf("all are to come back at once: in %v, try for %v", in, tries)
		}
		for _, g := range seeds {
			<-g.ended
			g.hears(frames.Error{Code: frames.ShuttingDown})
		}
	})
}
