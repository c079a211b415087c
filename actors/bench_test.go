package actors

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// Each benchmark is one stage of a frame's way, so that a regression has an address. An operation is a chunk: as many Messages
// as a large buffer holds. The whole way, sockets included, is BenchmarkRelay in package supervisor.

// benchKey looks like the key of an RSA key of 2048 bits to whoever splits it off.
func benchKey(last byte) frames.Key {
	k := make(frames.Key, 294)
	copy(k, "\x30\x82\x01\x22")
	k[len(k)-1] = last
	return k
}

// fill appends Messages to the peers in turn, until a large buffer is full; it returns how many.
func fill(b []byte, size int, peers ...frames.Key) ([]byte, int) {
	body := make([]byte, size)
	for n := 0; ; n++ {
		f := frames.Message{Peer: peers[n%len(peers)], Body: body}
		if n == ChunkFrames || len(b)+frames.HeaderSize+len(f.Peer)+size > largeBuffer {
			return b, n
		}
		b = f.Append(b)
	}
}

// perFrame reports the time a frame took.
func perFrame(b *testing.B, frames int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(frames), "ns/frame")
}

// Scanning: finding the whole frames in what was read.
func BenchmarkScan(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newStage(b)
			r := &reader{shared: s.shared}
			have, n := fill(nil, size, benchKey(1))
			b.ReportAllocs()
			for b.Loop() {
				r.have = have
				if _, count, _ := r.whole(frames.MaxPayload, true); count != n {
					b.Fatal(count)
				}
			}
			perFrame(b, n)
		})
	}
}

// A hop: a message to an idle actor, on the goroutine that sends it.
func BenchmarkHop(b *testing.B) {
	s := newStage(b)
	var w worker
	for name, props := range map[string]actor.PropsOption{
		"ours":   NewMailbox(s.shared, func(actor.Context, any) {}).Props(),
		"theirs": actor.WithDispatcher(actor.NewSynchronizedDispatcher(300)), // runs their mailbox where it is sent to, too
	} {
		b.Run(name, func(b *testing.B) {
			handled := 0
			pid := s.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(Deliver); ok {
					handled++
				}
			}, props))
			run := &Run{}
			b.ReportAllocs()
			for b.Loop() {
				run.worker = &w
				s.system.Root.Send(pid, Deliver{Run: run})
				w.work()
			}
			if handled < b.N {
				b.Fatal(handled, b.N)
			}
		})
	}
}

// The walk of a chunk, and the hop to every recipient and their connections, which settle at once.
func BenchmarkWalk(b *testing.B) {
	for _, c := range []struct{ size, peers int }{{64, 1}, {1024, 1}, {16384, 1}, {256, 64}} {
		b.Run(fmt.Sprintf("%d_to_%d", c.size, c.peers), func(b *testing.B) {
			s := newStage(b)
			sender, peers := s.friends(c.peers)
			data, n := fill(nil, c.size, peers...)
			r := &reader{shared: s.shared, window: window{size: 1 << 20}, number: 1}
			b.ReportAllocs()
			for b.Loop() {
				r.buffer = getBuffer(largeBuffer)
				r.window.take(largeBuffer)
				r.have = (*r.buffer)[:copy(*r.buffer, data)]
				r.shared.Ledger.taken.add(n, len(data))
				r.take(len(data), n, sender)
				r.window.quiet()
			}
			perFrame(b, n)
			if a := s.shared.Ledger.Read(); a.Delivered != a.Taken {
				b.Fatal(a)
			}
		})
	}
}

// friends logs somebody in who has a session with so many others.
func (s *stage) friends(n int) (*Login, []frames.Key) {
	registry := s.probe()
	connection := func() *actor.PID {
		mail := NewMailbox(s.shared, func(actor.Context, any) {})
		return s.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(Deliver); ok {
				m.Run.settleAll(0)
			}
		}, mail.Props()))
	}
	sender := s.online(benchKey(255), connection(), registry)
	var peers []frames.Key
	for i := range n {
		key := benchKey(byte(i))
		peer := s.online(key, connection(), registry)
		peers = append(peers, key)
		s.meet(registry, sender, peer)
	}
	return sender, peers
}

// online is a login that has been joined.
func (s *stage) online(key frames.Key, connection *actor.PID, registry probe) *Login {
	user := s.user(key, registry)
	joined := s.login(key, connection, user)
	s.system.Root.Send(user, Join{Login: joined, Seq: 1})
	return joined
}

// meet opens a session between two.
func (s *stage) meet(registry probe, a, b *Login) {
	s.system.Root.Send(a.User, Take{Chunk: s.chunk(a, frames.StartSession{Peer: frames.Key(b.Name)})})
	s.system.Root.Send(b.User, Hear{Run: next[Introduce](s.t, registry).Run})
	s.settles()
	s.system.Root.Send(b.User, Take{Chunk: s.chunk(b, frames.AcceptSession{Peer: frames.Key(a.Name)})})
	s.settles()
}

// settles waits until nothing is in flight.
func (s *stage) settles() {
	for began := time.Now(); s.shared.Ledger.Read().InFlight.Frames > 0; runtime.Gosched() {
		if time.Since(began) > 10*time.Second {
			s.t.Fatal(s.shared.Ledger.Read())
		}
	}
}

// Writing, but for the operating system's share: making a round of runs, and settling it.
func BenchmarkWrite(b *testing.B) {
	for _, c := range []struct {
		name        string
		size, runs  int
		senderGrows int
	}{
		{"64_in_place", 64, 1, 0},
		{"1024_in_place", 1024, 1, 0},
		{"16384_in_place", 16384, 1, 0},
		{"64_longer_key", 64, 1, 256},
		{"16384_longer_key", 16384, 1, 256},
		{"256_gathered", 256, 24, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newStage(b)
			sender := s.login(append(benchKey(1), make([]byte, c.senderGrows)...), nil, nil)
			data, n := fill(nil, c.size, benchKey(2))
			o := &output{shared: s.shared, socket: hungry{}, connection: s.probe().PID}
			w := &window{size: 1 << 20}
			b.ReportAllocs()
			for b.Loop() {
				chunk := chunks.Get().(*Chunk)
				chunk.shared, chunk.login, chunk.window, chunk.bytes, chunk.at = s.shared, sender, w, data, 0
				chunk.open.Store(1)
				s.shared.Ledger.taken.add(n, len(data))
				for i := range n {
					if i%(n/c.runs) == 0 {
						o.queue = append(o.queue, chunk.run(len(benchKey(2))))
					} else {
						o.queue[len(o.queue)-1].add()
					}
				}
				if err := o.flush(); err != nil {
					b.Fatal(err)
				}
				chunk.release()
				chunks.Put(chunk)
			}
			perFrame(b, n)
			if a := s.shared.Ledger.Read(); a.Delivered != a.Taken {
				b.Fatal(a)
			}
		})
	}
}

// hungry is a socket that takes everything.
type hungry struct{ socket }

func (hungry) direct() bool { return true }

func (hungry) write(pieces [][]byte) (n int, err error) {
	for _, p := range pieces {
		n += len(p)
	}
	return n, nil
}

// BenchmarkDoor is connections that are let in, log in and leave, and such as are turned away, from two goroutines at once.
func BenchmarkDoor(b *testing.B) {
	limits := DoorLimits{
		Connections: 1 << 20, OnlinePerAddress: 64, AnonymousPerAddress: 10, Early: Early{From: 100, Percent: 30, All: 1000},
		Starts: Rate{Limit: 1, Burst: 120}, Penalties: penalties(),
	}
	for _, banned := range []bool{false, true} {
		b.Run(map[bool]string{false: "in", true: "away"}[banned], func(b *testing.B) {
			door := newDoor(limits, newStage(b).shared.Log)
			conn := from{address: "192.0.2.1"}
			for range 10 {
				if entry, _ := door.Admit(conn); banned {
					entry.punish(lateLogin)
				} else {
					entry.Close()
				}
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if entry, _ := door.Admit(conn); entry != nil {
						entry.logIn()
						entry.Close()
					}
				}
			})
		})
	}
}
