package specs_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Not keeping up", func() {
	shortStall := func(c *supervisor.Config) { c.Stall = 100 * time.Millisecond }

	When("Bob does not read", func() {
		It("refuses what waits for him with BUSY: each message arrives or is refused, and they arrive in order", func(ctx SpecContext) {
			needsInside("the relay has to be told to be impatient")
			alice, bob := startRelay(shortStall).session(ctx)
			Expect(bob.tcp().SetReadBuffer(16 << 10)).To(Succeed())
			const count = 400
			first := alice.said + 1
			sent := make(chan error, 1)
			go func() { // ends with the messages
				for i := range count {
					if _, err := alice.conn.Write(frames.Message{Peer: bob.key, Body: numbered(i, 32<<10)}.Append(nil)); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			refused := map[uint64]bool{}
			note := func(f frames.Frame) {
				Expect(f).To(HaveField("Code", frames.Busy))
				number := f.(frames.Error).Number - first
				Expect(refused).NotTo(HaveKey(number))
				refused[number] = true
			}
			note(alice.hears(ctx))
			arrived := make(chan uint64, count)
			go bob.collects(ctx, arrived)
			next := uint64(0)
			for got := 0; got+len(refused) < count; {
				select {
				case number := <-arrived:
					Expect(number).To(BeNumerically(">=", next))
					Expect(refused).NotTo(HaveKey(number))
					next = number + 1
					got++
				default:
					short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
					if f, err := alice.frame(short); err == nil {
						note(f)
					}
					cancel()
				}
			}
			Expect(<-sent).NotTo(HaveOccurred())
			Expect(len(refused)).To(BeNumerically("<", count), "what Bob's socket had taken arrives")
			alice.said += count
			alice.says(frames.Message{Peer: bob.key, Body: numbered(count, 8)})
			Eventually(ctx, arrived).Should(Receive(BeEquivalentTo(count)), "he has caught up")
		}, SpecTimeout(2*patience))

		It("goes on with Alice's other conversations", func(ctx SpecContext) {
			needsInside("the relay has to be told to be impatient")
			r := startRelay(shortStall)
			alice, bob := r.session(ctx)
			carol := r.login(ctx)
			alice.meets(ctx, carol)
			stop := make(chan struct{})
			stopped := make(chan struct{})
			go func() { // ends when told to
				defer close(stopped)
				for f := (frames.Message{Peer: bob.key, Body: make([]byte, 32<<10)}).Append(nil); !isClosed(stop); {
					if _, err := alice.conn.Write(f); err != nil {
						return
					}
				}
			}()
			Expect(alice.hears(ctx)).To(HaveField("Code", frames.Busy))
			close(stop)
			go alice.ignores()
			<-stopped
			alice.says(frames.Message{Peer: carol.key, Body: []byte("and you?")})
			Expect(carol.hears(ctx)).To(Equal(message(alice, "and you?")))
		}, SpecTimeout(2*patience))
	})

	When("Bob does not read, and others ask him, or accept what he asked", func() {
		var r *relay
		var alice, bob, carol, dave *client
		var stuck uint64
		var begun []byte
		stage := func(ctx context.Context, deadline time.Duration) {
			needsInside("the relay has to be told to be impatient")
			r = startRelay(func(c *supervisor.Config) { c.Stall, c.WriteDeadline = 20*time.Millisecond, deadline })
			r.servePipes() // which hold nothing
			alice, bob, carol, dave = r.login(ctx), r.login(ctx), r.login(ctx), r.login(ctx)
			carol.meets(ctx, bob)
			bob.asks(ctx, alice)
			stuck = carol.said + 1
			begun = noise(32 << 10)
			carol.says(frames.Message{Peer: bob.key, Body: begun})
			_, err := bob.in.Peek(1) // a part of it; only then do others come
			Expect(err).NotTo(HaveOccurred())
			carol.says(frames.Message{Peer: bob.key, Body: []byte("not begun")})
			alice.says(frames.AcceptSession{Peer: bob.key, Sealed: []byte("yes")}) // before he is found to be stalled
			carol.isRefused(ctx, frames.TypeMessage, frames.Busy)
			dave.says(frames.StartSession{Peer: bob.key, Sealed: []byte("will you?")})
		}

		It("keeps that for him, and what was refused with BUSY can be said again", func(ctx SpecContext) {
			stage(ctx, time.Minute)
			alice.hearsNothing(ctx)
			dave.hearsNothing(ctx)
			Expect(bob.hears(ctx)).To(Equal(frames.Message{Peer: carol.key, Body: begun}))
			Expect(bob.hears(ctx)).To(Equal(frames.AcceptSession{Peer: alice.key, Sealed: []byte("yes")}))
			Expect(bob.hears(ctx)).To(Equal(frames.StartSession{Peer: dave.key, Sealed: []byte("will you?")}))
			bob.says(frames.AcceptSession{Peer: dave.key})
			Expect(dave.hears(ctx)).To(Equal(frames.AcceptSession{Peer: bob.key, Sealed: []byte{}}))
			for _, c := range []*client{alice, carol, dave} {
				c.says(message(bob, "and now?"))
				Expect(bob.hears(ctx)).To(Equal(message(c, "and now?")))
			}
		}, SpecTimeout(patience))

		It("refuses that with OFFLINE or UNAVAILABLE when he is closed", func(ctx SpecContext) {
			stage(ctx, 200*time.Millisecond)
			Expect(carol.hears(ctx)).To(beError(frames.TypeMessage, stuck, frames.Offline))
			alice.isRefused(ctx, frames.TypeAccept, frames.Offline)
			dave.isRefused(ctx, frames.TypeStart, frames.Unavailable)
			carol.meets(ctx, r.returns(ctx, bob))
		}, SpecTimeout(patience))
	})

	When("Bob reads 128 KiB in a second, all the time, and is sent more", func() {
		It("keeps up: nothing is refused", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.session(ctx)
			Expect(bob.tcp().SetReadBuffer(64 << 10)).To(Succeed())
			alice.floods(bob)
			pace := time.NewTicker(100 * time.Millisecond)
			defer pace.Stop()
			for range 45 { // more than two stall times
				<-pace.C
				_, err := io.CopyN(io.Discard, bob.conn, 128<<10/10)
				Expect(err).NotTo(HaveOccurred())
			}
			alice.hearsNothing(ctx)
			bob.dies()
			alice.dies()
		}, SpecTimeout(patience))
	})

	It("leaves those alone who talk while others flood", func(ctx SpecContext) {
		r := startRelay()
		alice, bob := r.session(ctx)
		var flooded atomic.Int64
		go alice.ignores()
		go bob.ignores()
		go func() { // ends with the connection
			b := frames.Message{Peer: bob.key, Body: make([]byte, 256)}.Append(nil)
			for len(b) < 64<<10 {
				b = append(b, b...)
			}
			for {
				if _, err := alice.conn.Write(b); err != nil {
					return
				}
				flooded.Add(int64(len(b)))
			}
		}()
		carol, dave := r.session(ctx)
		for range 300 {
			before := flooded.Load()
			carol.says(frames.Message{Peer: dave.key, Body: []byte("ping")})
			Expect(dave.hears(ctx)).To(Equal(message(carol, "ping")))
			dave.says(frames.Message{Peer: carol.key, Body: []byte("pong")})
			Expect(carol.hears(ctx)).To(Equal(message(dave, "pong")))
			Expect(flooded.Load()-before).To(BeNumerically("<", 256<<20), "the flood went on, but not for long without them")
		}
		Expect(flooded.Load()).To(BeNumerically(">", 1<<20))
		Expect(alice.conn.Close()).To(Succeed())
	}, SpecTimeout(3*patience))
})

var _ = Describe("Flooding", func() {
	const window = 256 << 10
	for _, flood := range []struct {
		what  string
		bytes func(stuck *client) []byte
	}{
		{"the shortest Messages there are, to somebody who does not read", func(stuck *client) []byte {
			return frames.Message{Peer: stuck.key}.Append(nil)
		}},
		{"junk, and not reading the Errors", func(*client) []byte {
			return append(rawFrame(0x77), rawFrame(4, []byte("no key"))...) // two kinds, so that none share an answer
		}},
		{"Pings, and not reading the answers", func(*client) []byte { return frames.Ping{}.Append(nil) }},
	} {
		It("takes no more memory than the windows: "+flood.what, func(ctx SpecContext) {
			needsInside("the relay's memory is looked at")
			r := startRelay(func(c *supervisor.Config) {
				c.Window, c.Stall, c.WriteDeadline = window, time.Minute, time.Minute
			})
			stuck := r.login(ctx)
			var flooders []*client
			for range 8 {
				c := r.login(ctx)
				c.meets(ctx, stuck)
				flooders = append(flooders, c)
			}
			var written atomic.Int64
			b := flood.bytes(stuck)
			for len(b) < 32<<10 {
				b = append(b, b...)
			}
			before := heap()
			for _, c := range flooders {
				Expect(c.tcp().SetWriteBuffer(32 << 10)).To(Succeed())
				go func() { // ends with the connection
					for {
						n, err := c.conn.Write(b)
						if err != nil {
							return
						}
						written.Add(int64(n))
					}
				}()
			}
			Eventually(ctx, func() bool {
				last := written.Load()
				time.Sleep(200 * time.Millisecond) //nolint:forbidigo // what is waited for is that nothing happens
				return last > 0 && written.Load() == last
			}).WithTimeout(2 * patience).Should(BeTrue())
			const more, fixed = 336 << 10, 512 << 10 // two buffers, and the books of as many frames as a chunk has at most
			// Eventually, because on a busy machine somebody may still be writing; what a flood has used up stays used.
			Eventually(ctx, func() int64 { return heap() - before }).WithTimeout(patience).Should(BeNumerically("<", 9*(window+more)+fixed))
			for _, c := range append(flooders, stuck) {
				c.dies()
			}
		}, SpecTimeout(3*patience))
	}
})

// heap is how many bytes are in use, without what nobody holds any more.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what pools keep is let go by the second
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}

// numbered is a body that begins with a number.
func numbered(n, size int) []byte {
	body := make([]byte, size)
	binary.BigEndian.PutUint64(body, uint64(n))
	return body
}

// collects reads numbered Messages until the connection ends.
func (c *client) collects(ctx context.Context, numbers chan<- uint64) {
	for {
		f, err := c.frame(ctx)
		if err != nil {
			return
		}
		numbers <- binary.BigEndian.Uint64(f.(frames.Message).Body)
	}
}

// ignores reads whatever comes until the connection ends.
func (c *client) ignores() {
	for {
		if _, err := c.frame(context.Background()); err != nil {
			return
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// gate is what conns of a listener write through; while it is shut they wait.
type gate struct{ open atomic.Pointer[chan struct{}] }

// shut shuts the gate; what it returns is to be closed to open it again.
func (g *gate) shut() chan struct{} {
	open := make(chan struct{})
	g.open.Store(&open)
	return open
}

type gatedListener struct {
	net.Listener
	*gate
}

type gatedConn struct {
	net.Conn
	*gate
	closed chan struct{}
	once   *sync.Once
}

func (l gatedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return gatedConn{conn, l.gate, make(chan struct{}), &sync.Once{}}, err
}

func (c gatedConn) Write(b []byte) (int, error) {
	select {
	case <-*c.open.Load():
	case <-c.closed:
	}
	return c.Conn.Write(b)
}

func (c gatedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

var _ = Describe("Talking through the SDK to somebody who does not keep up", func() {
	It("says everything again that was refused with BUSY: every text arrives once, in order", func(ctx SpecContext) {
		needsInside("the relay has to be told to be impatient, and not to be able to write")
		r := startRelay(func(c *supervisor.Config) { c.Stall = 50 * time.Millisecond })
		alices := r.address
		g := &gate{}
		close(g.shut())
		r.serve(func(ln net.Listener) net.Listener { return gatedListener{ln, g} })
		_, _, toBob, toAlice := friends(ctx, alices, r.address)
		open := g.shut()
		const count = 100
		var want []string
		sent := make(chan error, 1)
		for i := range count {
			want = append(want, fmt.Sprint("text ", i))
		}
		go func() { // ends with the texts
			for _, text := range want {
				if err := toBob.Send(ctx, []byte(text)); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		busy := func() uint64 { return r.inside.Account().Refused[frames.Busy].Frames }
		Eventually(ctx, busy).Should(BeNumerically(">", 0))
		close(open)
		Expect(reads(ctx, toAlice, count)).To(Equal(want))
		Eventually(ctx, sent).Should(Receive(BeNil()))
	}, SpecTimeout(2*patience))
})
