package model

import (
	"bufio"
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// Alice says something to Bob 1,000 times a second, alone and beside Carol, whose actor crashes on every message, whatever she and
// Dave say, who asks her again and again. Every message must arrive; how late, counted from when it was to be said, is reported:
//
//	go test ./specs/model -run='^$' -bench=Beside -benchtime=5000x -count=3
func BenchmarkBesideCrashes(b *testing.B) {
	for _, crashing := range []bool{false, true} {
		b.Run(map[bool]string{false: "calm", true: "crashing"}[crashing], func(b *testing.B) { beside(b, crashing) })
	}
}

func beside(b *testing.B, crashing bool) {
	var crashes atomic.Int64
	log := logrus.New()
	log.SetOutput(io.Discard) // what it costs to write the lines is up to who reads them
	relay := must(supervisor.New(supervisor.Config{Log: logrus.NewEntry(log), Props: crashesOn(keys[2], &crashes), NoRateLimits: true}))
	must(relay.Spawn(supervisor.NewSystem(logrus.NewEntry(log)).Root, "relay"))
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { _ = relay.Serve(context.Background(), ln) }() // ends when the relay stops
	talker := func(i int) (net.Conn, *bufio.Reader) {
		conn := must(net.Dial("tcp", ln.Addr().String()))
		_ = must(conn.Write(frames.Login{Key: keys[i]}.Append(nil)))
		in := bufio.NewReader(conn)
		_, _ = frames.Read(in, frames.MaxPayload)
		return conn, in
	}
	alice, fromAlice := talker(0)
	bob, fromBob := talker(1)
	_ = must(alice.Write(frames.StartSession{Peer: keys[1]}.Append(nil)))
	_ = must(frames.Read(fromBob, frames.MaxPayload))
	_ = must(bob.Write(frames.AcceptSession{Peer: keys[0]}.Append(nil)))
	_ = must(frames.Read(fromAlice, frames.MaxPayload))
	over := make(chan struct{})
	var others sync.WaitGroup
	if crashing {
		others.Go(func() { pesters(over, talker, 2, frames.Message{Peer: keys[0]}) })
		others.Go(func() { pesters(over, talker, 3, frames.StartSession{Peer: keys[2]}) })
	}
	late := make([]time.Duration, b.N)
	began := time.Now()
	at := func(i int) time.Time { return began.Add(time.Duration(i) * time.Millisecond) }
	go func() { // ends when everything is said
		for i := range b.N {
			<-time.After(time.Until(at(i)))
			_ = must(alice.Write(frames.Message{Peer: keys[1], Body: body(uint64(i), 100)}.Append(nil)))
		}
	}()
	for i := range b.N {
		_ = bob.SetReadDeadline(time.Now().Add(10 * time.Second))
		f, err := frames.Read(fromBob, frames.MaxPayload+frames.MaxGrowth)
		if err != nil || f.Type != frames.TypeMessage || string(f.Payload[len(keys[0]):]) != string(body(uint64(i), 100)) {
			b.Fatalf("message %d: %v, %v", i, f.Type, err)
		}
		late[i] = time.Since(at(i))
	}
	close(over)
	others.Wait()
	_, _ = alice.Close(), bob.Close()
	_ = relay.Stop(context.Background())
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(crashes.Load()), "crashes")
}

// pesters says something every five milliseconds, and logs in again whenever the connection is closed.
func pesters(over <-chan struct{}, talker func(int) (net.Conn, *bufio.Reader), i int, f frames.Frame) {
	for {
		conn, in := talker(i)
		go func() { _, _ = io.Copy(io.Discard, in) }() // ends with the connection
		for err := error(nil); err == nil; _, err = conn.Write(f.Append(nil)) {
			select {
			case <-over:
				_ = conn.Close()
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		_ = conn.Close()
	}
}

// crashesOn makes the actor of the user with that key crash on every message but the one that makes it that user's.
func crashesOn(key frames.Key, crashes *atomic.Int64) func(supervisor.Kind, *actor.Props) *actor.Props {
	return func(kind supervisor.Kind, props *actor.Props) *actor.Props {
		if kind != supervisor.KindUser {
			return props
		}
		hers := false
		return props.Clone(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
			return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
				if join, ok := envelope.Message.(actors.Join); ok && join.Login.Name == string(key) {
					hers = true
					next(ctx, envelope)
					return
				}
				if _, system := envelope.Message.(actor.SystemMessage); hers && !system {
					crashes.Add(1)
					panic("of the model")
				}
				next(ctx, envelope)
			}
		}))
	}
}
