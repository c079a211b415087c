package actors

import (
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// isTold expects that Bob is told why he is closed, now, and is closed.
func (b *bob) isTold(code frames.Code, request frames.Type, number uint64) {
	b.t.Helper()
	_ = b.conn.SetReadDeadline(time.Now().Add(justBefore))
	f, err := frames.Read(b.conn, frames.MaxPayload)
	if err != nil {
		b.t.Fatal(err)
	}
	told, err := frames.DefaultKeys().Decode(frames.FromRelay, f)
	if e, ok := told.(frames.Error); err != nil || !ok || e.Code != code || e.Request != request || e.Number != number {
		b.t.Errorf("told %v, %v; want %v for %v, number %d", told, err, code, request, number)
	}
	_ = b.conn.SetReadDeadline(time.Now().Add(lingering + justBefore))
	if n, err := b.conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		b.t.Errorf("%d bytes more, %v", n, err)
	}
}

// isWaitedFor lets all but the last moment of a time pass, in which nothing may happen to Bob, and then that moment.
func (b *bob) isWaitedFor(d time.Duration) {
	b.t.Helper()
	_ = b.conn.SetReadDeadline(time.Now().Add(d - justBefore))
	if n, err := b.conn.Read(make([]byte, 1)); n > 0 || errors.Is(err, io.EOF) {
		b.t.Fatalf("told something too early: %d bytes, %v", n, err)
	}
	_ = b.conn.SetReadDeadline(time.Time{})
	after(justBefore)
}

func TestALoginMustComeInTime(t *testing.T) {
	for name, c := range map[string]struct {
		says   func(b *bob)
		type_  frames.Type
		number uint64
	}{
		"who says nothing": {says: func(b *bob) { b.isWaitedFor(10 * time.Second) }},
		"who dribbles": {type_: frames.TypeLogin, number: 1, says: func(b *bob) {
			for _, c := range (frames.Login{Key: seedKey(2)}).Append(nil)[:10] {
				b.writes([]byte{c})
				b.isWaitedFor(time.Second)
			}
		}},
		"whose logins are refused": {says: func(b *bob) {
			for range 4 {
				b.writes(frames.Login{Key: frames.Key("\x30\x00")}.Append(nil))
				if _, err := frames.Read(b.conn, frames.MaxPayload); err != nil {
					b.t.Fatal(err)
				}
				after(2 * time.Second)
			}
			b.isWaitedFor(2 * time.Second)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			connected(t, func(b *bob) {
				c.says(b)
				b.isTold(frames.Timeout, c.type_, c.number)
			})
		})
	}
}

// What lies in the relay's buffer, while the answers are read slowly, is no reason to wait longer.
func TestALoginMustComeInTimeWhateverElseWasSaidAtOnce(t *testing.T) {
	connected(t, func(b *bob) {
		b.writes(slices.Repeat(frames.Ping{}.Append(nil), 100))
		for range 3 {
			if _, err := frames.Read(b.conn, frames.MaxPayload); err != nil {
				t.Fatal(err)
			}
			after(4 * time.Second)
		}
		if _, err := frames.Read(b.conn, frames.MaxPayload); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.isTold(frames.Timeout, frames.TypePing, 5)
	})
}

// The time in which the relay answers a Login is not the client's.
func TestALoginMayBeAnsweredLate(t *testing.T) {
	connected(t, func(b *bob) {
		b.isWaitedFor(9 * time.Second)
		b.writes(frames.Login{Key: seedKey(2)}.Append(nil))
		join := next[Join](t, b.registry)
		join.Login.worker = nil
		b.isWaitedFor(5 * time.Second)
		join.Login.User = b.user.PID
		b.system.Root.Send(b.connection, Joined{Login: join.Login})
		b.reads(frames.HeaderSize)
		b.isWaitedFor(time.Minute)
		_ = b.conn.Close()
		next[Leave](t, b.registry)
	})
}

func TestAFrameMustBecomeWholeInTime(t *testing.T) {
	for name, c := range map[string]struct {
		begins []byte
		type_  frames.Type
	}{
		"a header":      {frames.Message{Peer: seedKey(1), Body: make([]byte, 100)}.Append(nil)[:5], frames.TypeMessage},
		"the type":      {[]byte{2}, frames.TypeStart},
		"a long frame":  {frames.Message{Peer: seedKey(1), Body: make([]byte, 60<<10)}.Append(nil)[:40<<10], frames.TypeMessage},
		"an idle clock": {nil, frames.TypeAccept},
	} {
		t.Run(name, func(t *testing.T) {
			withBob(t, func(b *bob) {
				after(30 * time.Second) // nothing has begun
				if c.begins == nil {
					b.writes([]byte{byte(frames.TypeAccept), 0, 0, 1})
				} else {
					b.writes(c.begins)
				}
				for range 3 { // it makes no difference that a byte comes now and then
					b.isWaitedFor(5 * time.Second)
					b.writes([]byte{0})
				}
				b.isWaitedFor(5 * time.Second)
				b.isTold(frames.Timeout, c.type_, 2)
			})
		})
	}
}

// Each frame has its own time, from its first byte.
func TestAFrameThatBecomesWholeStopsTheClock(t *testing.T) {
	withBob(t, func(b *bob) {
		frame := frames.Ping{}.Append(nil)
		b.writes(frame[:1])
		for range 5 {
			b.isWaitedFor(20*time.Second - time.Millisecond)
			b.writes(append(frame[1:], frame[0])) // the next begins as well
			next[Take](t, b.user).Chunk.refuseRest()
		}
		b.isWaitedFor(20 * time.Second)
		b.isTold(frames.Timeout, frames.TypePing, 7)
	})
}

func TestTheClockStandsStillWhileTheRelayDoesNotRead(t *testing.T) {
	withBob(t, func(b *bob) {
		ping := frames.Ping{}.Append(nil)
		b.writes(ping)
		c := next[Take](t, b.user).Chunk
		window := c.window
		c.refuseRest()
		b.writes(ping[:1])
		b.isWaitedFor(19 * time.Second)
		window.take(1 << 20) // all there is
		b.writes(ping[1:2])
		b.isWaitedFor(time.Hour)
		window.give(1 << 20)
		b.isWaitedFor(time.Second)
		b.isTold(frames.Timeout, frames.TypePing, 3)
	})
}

func TestSilenceStandsStillAsWell(t *testing.T) {
	c, began := newClock(&Limits{Silence: 8 * time.Hour}), time.Now()
	c.paused(time.Hour)
	if late, _ := c.late(began.Add(8*time.Hour), 0); late != nil {
		t.Error(late)
	}
	if late, _ := c.late(c.heard.Add(8*time.Hour), 0); late == nil || c.heard.Before(began.Add(time.Hour-time.Second)) {
		t.Errorf("heard %v after it began", c.heard.Sub(began))
	}
}

func TestSilenceEndsAConnection(t *testing.T) {
	withBob(t, func(b *bob) {
		b.isWaitedFor(6 * time.Hour)
		b.isTold(frames.Timeout, 0, 0)
	})
}

func TestABytePutsOffTheEndInEitherDirection(t *testing.T) {
	withBob(t, func(b *bob) {
		b.isWaitedFor(5 * time.Hour)
		b.writes(frames.Ping{}.Append(nil))
		next[Take](t, b.user).Chunk.refuseRest()
		b.isWaitedFor(5 * time.Hour)
		b.gets(1000)
		b.reads(1000)
		b.isWaitedFor(15*time.Minute + 6*time.Hour) // it is found to have gone when one looks, 7 times 45 minutes after the Ping
		b.isTold(frames.Timeout, 0, 0)
	})
}
