package main

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a bench whose relay is at the other end of pipes, and whose time is the bubble's.
func pipes(relay *liar) *bench {
	b := &bench{
		common:   common{KeyBits: 2048, ReceiverKeyBits: 2048, Patience: time.Second},
		progress: &progress{},
		pause:    func(d time.Duration) { <-time.After(d) },
	}
	b.reach = func(context.Context, netip.Addr) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go relay.serve(theirs)
		return ours, nil
	}
	b.connect = b.dial
	return b
}

// openLoop offers 1,000 Messages within a second to a relay, and returns what is measured.
func openLoop(t *testing.T, relay *liar, more ...func(*bench)) *result {
	t.Helper()
	b := pipes(relay)
	for _, change := range more {
		change(b)
	}
	c := pairs{Pairs: 1, Rate: 1000, bodies: bodies{64}, timing: timing{Duration: time.Second}}
	if err := c.measure(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return b.results[0]
}

// near reports whether a duration in microseconds is another, but for the histogram's three digits.
func near(us float64, d time.Duration) bool { return us > 0.995*micros(d) && us < 1.005*micros(d) }

func TestAnIdleRelayHasNoLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openLoop(t, &liar{})
		if r.OneWay == nil || r.OneWay.Count != 1000 || r.OneWay.Max > 1 || r.wrong() {
			t.Errorf("%+v, %+v", r.OneWay, r.Account)
		}
		if r.Lateness == nil || r.Lateness.Count != 1000 || r.Lateness.Max > 1000 {
			t.Errorf("late by %+v", r.Lateness)
		}
	})
}

// A relay that stalls for 200 ms holds up one Message. A generator that waits for it would send the next one late, and find
// nothing wrong with it. With a schedule, 200 Messages come due meanwhile, and wait for up to 200 ms.
func TestAStallShowsInWhatWasDueMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall = 200 * time.Millisecond
		r := openLoop(t, &liar{on: onMessage(func(nth int, f *passing) {
			if nth == 501 {
				<-time.After(stall)
			}
			f.pass()
		})})
		if r.OneWay == nil || r.OneWay.Count != 1000 || r.wrong() {
			t.Fatalf("%+v, %+v", r.OneWay, r.Account)
		}
		if !near(r.OneWay.Max, stall) || !near(r.OneWay.P99, stall-10*time.Millisecond) || r.OneWay.P50 > 1 {
			t.Errorf("%+v", r.OneWay)
		}
		if r.Lateness.Max > 1000 {
			t.Errorf("the relay's stall counts as ours: late by %+v", r.Lateness)
		}
	})
}

// What a stalled relay never takes cannot be sent, and must not be forgotten for that.
func TestWhatIsNeverTakenCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		r := openLoop(t, &liar{on: onMessage(func(nth int, f *passing) {
			if nth == 501 {
				<-stuck
			}
			f.pass()
		})})
		close(stuck)
		synctest.Wait()
		if r.Unsent < 490 || r.Unsent > 499 || r.OneWay.Count < 990 {
			t.Errorf("%d not sent, %+v", r.Unsent, r.OneWay)
		}
		if r.OneWay.P99 < micros(time.Second) || r.Account.Lost == 0 {
			t.Errorf("%+v, %+v", r.OneWay, r.Account)
		}
	})
}

// When the generator itself oversleeps, latencies count from the schedule all the same, and the table says whose fault it is.
func TestOurOwnLatenessIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openLoop(t, &liar{}, func(b *bench) {
			b.pause = func(time.Duration) { <-time.After(23 * time.Millisecond) }
		})
		if r.OneWay.Count != 1000 || !near(r.OneWay.Max, r.latenessMax()) || r.latenessMax() < 18*time.Millisecond {
			t.Errorf("%+v, late by %+v", r.OneWay, r.Lateness)
		}
	})
}

func (r *result) latenessMax() time.Duration {
	return time.Duration(r.Lateness.Max * float64(time.Microsecond))
}
