package actors

import (
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// bob is a client that is logged in, with everybody but his ConnectionActor played by the test.
type bob struct {
	*stage
	t          *testing.T
	conn       net.Conn // his end
	connection *actor.PID
	registry   probe
	alice      *Login
	refused    probe // Alice's ConnectionActor
	user       probe // his UserActor
	said       uint64
}

// withBob plays a scene in virtual time.
func withBob(t *testing.T, scene func(b *bob)) {
	t.Helper()
	connected(t, func(b *bob) {
		b.logsIn()
		scene(b)
		_ = b.conn.Close()
		next[Leave](t, b.registry)
	})
}

// logsIn logs Bob in.
func (b *bob) logsIn() {
	b.t.Helper()
	b.writes(frames.Login{Key: seedKey(2)}.Append(nil))
	join := next[Join](b.t, b.registry)
	join.Login.User = b.user.PID
	join.Login.worker = nil // a probe's mailbox does not take it off
	b.system.Root.Send(b.connection, Joined{Login: join.Login})
	b.reads(frames.HeaderSize)
}

func (b *bob) writes(p []byte) {
	b.t.Helper()
	if _, err := b.conn.Write(p); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

// connected plays a scene in which Bob is not logged in.
func connected(t *testing.T, scene func(b *bob), change ...func(*Limits)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bob{stage: newStage(t), t: t}
		b.shared.Limits().Keys.SeedRaw = true
		b.shared.Limits().Stall, b.shared.Limits().WriteDeadline = 2*time.Second, 10*time.Second
		b.shared.Limits().Login, b.shared.Limits().Frame, b.shared.Limits().Silence = 10*time.Second, 20*time.Second, 6*time.Hour
		b.registry, b.refused, b.user = b.probe(), b.probe(), b.probe()
		for _, f := range change {
			f(b.shared.Limits())
		}
		server, client := net.Pipe()
		b.conn = client
		b.connection = b.system.Root.Spawn(ConnectionProps(b.shared, Welcome{Conn: server}, b.registry.PID))
		b.alice = b.login(seedKey(1), b.refused.PID, nil)
		scene(b)
		_ = client.Close()
		b.system.Root.Stop(b.connection)
		b.shared.Wait()
		after(2 * time.Second) // Proto.Actor counts dead letters for a second
		if a := b.shared.Ledger.Read(); a.InFlight.Frames > 0 {
			t.Error(a)
		}
	})
}

// seedKey is a key of the first server's kind: nothing about it can be wrong.
func seedKey(last byte) frames.Key {
	k := make(frames.Key, frames.SeedKeySize)
	k[0], k[len(k)-1] = 0x80, last
	return k
}

// gets has Alice's Messages of so many bytes, in all, passed to Bob's ConnectionActor: one run each.
func (b *bob) gets(sizes ...int) {
	for _, size := range sizes {
		key := seedKey(2)
		run := b.run(b.alice, frames.Message{Peer: key, Body: make([]byte, size-frames.HeaderSize-len(key))})
		b.said++
		run.spans[0].number, run.away = b.said, frames.Offline
		b.system.Root.Send(b.connection, Deliver{Run: run})
		synctest.Wait() // the first is written before the others come
	}
}

func (b *bob) reads(n int) {
	b.t.Helper()
	if _, err := io.CopyN(io.Discard, b.conn, int64(n)); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

// refusals expects that these Messages were refused since the last time, and no others.
func (b *bob) refusals(code frames.Code, numbers ...uint64) {
	b.t.Helper()
	synctest.Wait()
	for _, n := range numbers {
		select {
		case m := <-b.refused.got:
			if r := m.(Refuse).Run; r.code != code || r.spans[0].number != n || r.count != 1 {
				b.t.Errorf("number %d was refused with %v, want %d with %v", r.spans[0].number, r.code, n, code)
			} else {
				r.settleAll(code)
			}
		default:
			b.t.Fatalf("number %d was not refused", n)
		}
	}
	select {
	case m := <-b.refused.got:
		b.t.Errorf("number %d was refused", m.(Refuse).Run.spans[0].number)
	default:
	}
}

const justBefore = time.Nanosecond

func TestAClientThatReadsNothingIsStalledAndThenClosed(t *testing.T) {
	withBob(t, func(b *bob) {
		b.gets(1000, 1000, 1000)
		after(2*time.Second - justBefore)
		b.refusals(0)
		after(justBefore)
		b.refusals(frames.Busy, 2, 3) // the first is begun
		b.gets(1000)
		b.refusals(frames.Busy, 4) // at once
		after(8*time.Second - justBefore)
		b.refusals(0)
		after(justBefore)
		b.refusals(frames.Offline, 1)
		if _, err := b.conn.Write([]byte{0}); err == nil {
			b.t.Error("the connection is open")
		}
	})
}

func TestAClientIsClosedTheWriteDeadlineAfterTheLastItTook(t *testing.T) {
	withBob(t, func(b *bob) {
		b.gets(40 << 10)
		after(2*time.Second + shortStall/2) // he is stalled, and was just looked at
		b.reads(sliceSize)
		after(10*time.Second - justBefore)
		b.refusals(0)
		after(shortStall)
		b.refusals(frames.Offline, 1)
	})
}

func TestAClientThatHasCaughtUpGetsMessagesAgain(t *testing.T) {
	withBob(t, func(b *bob) {
		b.gets(1000, 1000)
		after(3 * time.Second)
		b.refusals(frames.Busy, 2)
		b.reads(1000)
		b.gets(1000, 1000)
		after(100*time.Millisecond - justBefore)
		b.refusals(0)
		after(justBefore) // for a minute there is less patience
		b.refusals(frames.Busy, 4)
		b.reads(1000)
		after(time.Minute)
		b.gets(1000, 1000)
		after(2*time.Second - justBefore)
		b.refusals(0)
		after(justBefore)
		b.refusals(frames.Busy, 6)
		b.reads(1000)
	})
}

func TestKeepingUpIs64KiBInAStallTime(t *testing.T) {
	for _, perSecond := range []int{32 << 10, 16 << 10} {
		t.Run(fmt.Sprint(perSecond), func(t *testing.T) {
			withBob(t, func(b *bob) {
				for range 20 {
					b.gets(16 << 10)
				}
				stalled := false
				for second := 0; second < 9 && !stalled; second++ {
					for range perSecond / sliceSize {
						b.reads(sliceSize)
					}
					after(time.Second - justBefore) // so that the third look is within two seconds
					stalled = len(b.refused.got) > 0
				}
				if keepsUp := perSecond >= 32<<10; stalled == keepsUp {
					t.Errorf("stalled: %v", stalled)
				}
				_ = b.conn.Close()
				synctest.Wait()
				for len(b.refused.got) > 0 {
					m := (<-b.refused.got).(Refuse).Run
					m.settleAll(m.code)
				}
			})
		})
	}
}

// after lets virtual time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
