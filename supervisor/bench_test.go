package supervisor_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// The whole way of a frame, sockets and the clients' ends included: Alice writes 64 KiB of Messages at a time, and Bob reads
// them. Nothing is allocated for a frame. Single stages are in package actors.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			alice, bob, bobsKey := talking(b)
			batch := 0
			var data []byte
			for f := (frames.Message{Peer: bobsKey, Body: make([]byte, size)}); len(data)+frames.HeaderSize+len(bobsKey)+size <= 64<<10; batch++ {
				data = f.Append(data)
			}
			in := make([]byte, len(data))
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := alice.Write(data); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(bob, in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/frame")
		})
	}
}

// talking starts a relay with two clients that have a session.
func talking(b *testing.B) (alice, bob net.Conn, bobsKey frames.Key) {
	b.Helper()
	config := supervisor.Config{MinKeyBits: 1024, SeedRawKeys: true}
	relay, err := supervisor.New(config)
	if err != nil {
		b.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	if _, err := relay.Spawn(supervisor.NewSystem(logrus.NewEntry(log)).Root, "relay"); err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = relay.Serve(context.Background(), ln) }() // ends with the relay
	b.Cleanup(func() { _ = relay.Stop(context.Background()) })
	var conns []net.Conn
	var keys []frames.Key
	for i := range 2 {
		key := make(frames.Key, frames.SeedKeySize)
		key[0], key[1] = 0x80, byte(i)
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		conns, keys = append(conns, conn), append(keys, key)
		exchange(b, conn, frames.Login{Key: key}, conn)
	}
	exchange(b, conns[0], frames.StartSession{Peer: keys[1]}, conns[1])
	exchange(b, conns[1], frames.AcceptSession{Peer: keys[0]}, conns[0])
	return conns[0], conns[1], keys[1]
}

// exchange sends a frame, and reads what comes of it.
func exchange(b *testing.B, from net.Conn, f frames.Frame, to net.Conn) {
	b.Helper()
	if _, err := from.Write(f.Append(nil)); err != nil {
		b.Fatal(err)
	}
	header := make([]byte, frames.HeaderSize)
	if _, err := io.ReadFull(to, header); err != nil {
		b.Fatal(err)
	}
	if frames.Type(header[0]) != f.Type() {
		b.Fatalf("after %v came %v", f.Type(), frames.Type(header[0]))
	}
	if _, err := io.CopyN(io.Discard, to, int64(binary.BigEndian.Uint32(header[1:]))); err != nil {
		b.Fatal(err)
	}
}
