package supervisor

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/mdeiml/blubbel-server/actors"
)

// Off switches off a limit by rate or address: in fields of Config that are marked (R), and in a Rate's Events.
const Off = -1

// Rate is how often something may happen: so many Events Per time in the long run, and Burst of them at once.
// As text it is "10/min burst 20", with s, min or h, or "off".
type Rate struct {
	Events int
	Per    time.Duration
	Burst  int
}

var units = []struct {
	name string
	time.Duration
}{{"s", time.Second}, {"min", time.Minute}, {"h", time.Hour}}

// String returns the rate as text.
func (r Rate) String() string {
	if r.Events == Off {
		return "off"
	}
	for _, u := range units {
		if u.Duration == r.Per {
			return fmt.Sprintf("%d/%s burst %d", r.Events, u.name, r.Burst)
		}
	}
	return fmt.Sprintf("%d/%v burst %d", r.Events, r.Per, r.Burst)
}

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*r = Rate{Events: Off}
		return nil
	}
	often, burst, ok := strings.Cut(string(text), " burst ")
	events, per, ok2 := strings.Cut(often, "/")
	var read Rate
	var err1, err2 error
	read.Events, err1 = strconv.Atoi(events)
	read.Burst, err2 = strconv.Atoi(strings.TrimSpace(burst))
	for _, u := range units {
		if u.name == per {
			read.Per = u.Duration
		}
	}
	if !ok || !ok2 || read.Per == 0 || errors.Join(err1, err2) != nil || read.Events <= 0 {
		return fmt.Errorf(`%q: give it as "10/min burst 20", with s, min or h, or as "off"`, text)
	}
	*r = read
	return nil
}

// limit returns the rate as actors know it, where the zero value is no limit.
func (r Rate) limit() actors.Rate {
	if r.Events == Off {
		return actors.Rate{}
	}
	return actors.Rate{Limit: rate.Limit(float64(r.Events) / r.Per.Seconds()), Burst: r.Burst}
}

// check says what is wrong with the rate, whose burst must be at least so many.
func (r Rate) check(least int) string {
	switch {
	case r.Events == Off:
		return ""
	case r.Events < 1 || r.Per <= 0 || math.IsInf(float64(r.Events)/r.Per.Seconds(), 0):
		return "must be off, or a number of at least 1 per some time"
	case r.Burst < least:
		return fmt.Sprintf("must have a burst of at least %d", least)
	}
	return ""
}

// EarlyRefusal is when connections are refused at random, by how many are not logged in: from From on each with a
// probability of Percent, rising to all of them at All, as OpenSSH's MaxStartups has it. As text it is "100:30:1000", or "off".
type EarlyRefusal struct{ From, Percent, All int }

// String returns it as text.
func (e EarlyRefusal) String() string {
	if e.From == Off {
		return "off"
	}
	return fmt.Sprintf("%d:%d:%d", e.From, e.Percent, e.All)
}

// MarshalText implements encoding.TextMarshaler.
func (e EarlyRefusal) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *EarlyRefusal) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*e = EarlyRefusal{From: Off}
		return nil
	}
	var read [3]int
	parts := strings.Split(string(text), ":")
	ok := len(parts) == len(read)
	for i := range min(len(parts), len(read)) {
		n, err := strconv.Atoi(parts[i])
		ok = ok && err == nil && n >= 0 // Off is a word
		read[i] = n
	}
	if !ok {
		return fmt.Errorf(`%q: give it as "100:30:1000", that is from:percent:all, or as "off"`, text)
	}
	*e = EarlyRefusal{From: read[0], Percent: read[1], All: read[2]}
	return nil
}

func (e EarlyRefusal) limit() actors.Early {
	if e.From == Off {
		return actors.Early{}
	}
	return actors.Early(e)
}

func (e EarlyRefusal) check() string {
	if e.From == Off || e.From >= 1 && e.Percent >= 0 && e.Percent <= 100 && e.All >= e.From {
		return ""
	}
	return "must be off, or from:percent:all, with from at least 1, percent up to 100, and all not less than from"
}
