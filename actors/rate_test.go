package actors

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// Who sends more than the rates allow is read later, and nothing is refused.
func TestWhoIsTooFastIsReadLater(t *testing.T) {
	ping := frames.Ping{}.Append(nil)
	for name, c := range map[string]struct {
		frames, bytes Rate
		burst, more   int // Pings
	}{
		"frames": {frames: Rate{Limit: 100, Burst: ChunkFrames}, burst: ChunkFrames, more: 100},
		"bytes":  {bytes: Rate{Limit: 1000, Burst: ChunkBytes}, burst: ChunkBytes / len(ping), more: 1000 / len(ping)},
	} {
		t.Run(name, func(t *testing.T) {
			connected(t, func(b *bob) {
				b.logsIn()
				after(time.Hour)
				b.pings(t, c.burst)
				begin := time.Now()
				b.pings(t, c.more)
				b.pings(t, 1)
				if took := time.Since(begin).Round(50 * time.Millisecond); took != time.Second {
					t.Errorf("took %v, want 1 s", took)
				}
				b.pings(t, c.more)
				b.system.Root.Send(b.connection, Close{Code: frames.ShuttingDown})
				b.isTold(frames.ShuttingDown, 0, 0) // at once
				_ = b.conn.Close()
				next[Leave](t, b.registry)
			}, func(l *Limits) { l.Frames, l.Bytes = c.frames, c.bytes })
		})
	}
}

// pings writes many Pings, which the relay must have read when it returns.
func (b *bob) pings(t *testing.T, n int) {
	t.Helper()
	for many := range slices.Chunk(slices.Repeat(frames.Ping{}.Append(nil), n), 4<<10) {
		if _, err := b.conn.Write(many); err != nil {
			t.Fatal(err)
		}
		for synctest.Wait(); len(b.user.got) > 0; synctest.Wait() {
			next[Take](t, b.user).Chunk.refuseRest()
		}
	}
}
