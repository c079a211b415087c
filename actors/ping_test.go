package actors

import (
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// What a whole relay makes of the clock of a client that said Hello stands in package supervisor.

// extendedClock is the clock of a client that has said Hello and is in, as it begins to be waited for.
func extendedClock(now time.Time) *clock {
	c := newClock(&Limits{PingInterval: time.Minute, Login: 10 * time.Second, Frame: 20 * time.Second, Silence: 6 * time.Hour})
	c.waits(now, seen{loggedIn: true, extended: true})
	return &c
}

func TestPingsStandStillWhileTheRelayDoesNotRead(t *testing.T) {
	now := time.Now()
	c := extendedClock(now)
	asks := func(at time.Duration) bool {
		t.Helper()
		late, ping := c.late(now.Add(at), 0)
		if late != nil {
			t.Fatalf("late at %v: %v", at, late)
		}
		return ping
	}
	if asks(time.Minute - 1) {
		t.Error("pinged too early")
	}
	c.paused(time.Hour)
	if asks(time.Hour + time.Minute - 1) {
		t.Error("pinged for a time in which nobody read")
	}
	if !asks(time.Hour + time.Minute) {
		t.Error("not pinged")
	}
	c.paused(time.Hour)
	if asks(2*time.Hour+2*time.Minute-1) || !asks(2*time.Hour+2*time.Minute) {
		t.Error("not pinged when it was time to")
	}
	c.paused(time.Hour)
	if asks(3*time.Hour + 3*time.Minute - 1) {
		t.Error("pinged a third time")
	}
	if late, _ := c.late(now.Add(3*time.Hour+3*time.Minute), 0); late == nil || late.Code != frames.Timeout {
		t.Errorf("late: %v", late)
	}
}

func TestAProbeStandsStillWhileTheRelayDoesNotRead(t *testing.T) {
	now := time.Now()
	c := extendedClock(now)
	if next := c.waits(now, seen{loggedIn: true, extended: true, probed: true}); !next.Equal(now.Add(probeTime)) {
		t.Errorf("looks in %v", next.Sub(now))
	}
	c.paused(time.Hour)
	if late, _ := c.late(now.Add(time.Hour+probeTime-1), 0); late != nil {
		t.Error(late)
	}
	if late, _ := c.late(now.Add(time.Hour+probeTime), 0); late == nil || late.Code != frames.Timeout {
		t.Errorf("late: %v", late)
	}
	c.waits(now.Add(time.Hour+probeTime), seen{loggedIn: true, extended: true, moved: true})
	if late, _ := c.late(now.Add(time.Hour+2*probeTime), 0); late != nil {
		t.Errorf("it has answered; late: %v", late)
	}
}

func TestTakeoversCountWithinAMinute(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		limit int
		at    []time.Duration // from the first on
		want  []bool          // damped
	}{
		"no limit":           {0, []time.Duration{0, 0, 0}, []bool{false, false, false}},
		"each":               {1, []time.Duration{0, 90 * s}, []bool{true, true}},
		"from the third on":  {3, []time.Duration{0, 1 * s, 2 * s, 3 * s, 4 * s}, []bool{false, false, true, true, true}},
		"a minute runs out":  {3, []time.Duration{0, 30 * s, 60 * s, 89 * s, 120 * s, 121 * s}, []bool{false, false, false, true, false, true}},
		"damped ones count":  {2, []time.Duration{0, 59 * s, 118 * s, 177 * s, 237 * s}, []bool{false, true, true, true, false}},
		"all at once":        {3, []time.Duration{0, 0, 0, 0}, []bool{false, false, true, true}},
		"just not a minute":  {2, []time.Duration{0, time.Minute - 1}, []bool{false, true}},
		"a minute precisely": {2, []time.Duration{0, time.Minute}, []bool{false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var counted takeovers
			began := time.Now()
			for i, at := range c.at {
				if damped := counted.count(c.limit, began.Add(at)); damped != c.want[i] {
					t.Errorf("number %d, at %v: damped %v", i+1, at, damped)
				}
				if len(counted) > c.limit {
					t.Errorf("%d are remembered", len(counted))
				}
			}
		})
	}
}
