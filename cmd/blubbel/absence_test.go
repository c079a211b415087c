package main

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAPipeWaitsAMinuteForAFriendWhoIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan time.Time, 1)
		var a absence
		a.present(false) // before there was a session
		a.present(true)
		a.begin(func() { over <- time.Now() })
		for range 3 {
			a.present(false)
			time.Sleep(piping - 1) //nolint:forbidigo // virtual
			a.present(true)
		}
		time.Sleep(time.Hour) //nolint:forbidigo // virtual
		if len(over) > 0 {
			t.Fatal("a friend who came back in time is not waited for")
		}
		began := time.Now()
		a.present(false)
		if d := (<-over).Sub(began); d != piping {
			t.Errorf("after %v", d)
		}
	})
}
