package actors

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// While nothing comes, and when everything that came is settled, a connection on plain TCP holds no buffer; half a frame takes
// one, of the size that the last burst needed.
func TestAnIdleConnectionHoldsNoBuffer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	connection := s.probe()
	socket := newSocket(server)
	if !socket.direct() {
		t.Skip("on this system a reader waits with a buffer")
	}
	r := newReader(s.shared, server, socket, connection.PID)
	s.shared.running.Add(1)
	go r.run()
	holds := func(want int64) {
		t.Helper()
		for began := time.Now(); r.window.used.Load() != want; runtime.Gosched() {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("holds %d bytes, want %d", r.window.used.Load(), want)
			}
		}
	}
	frame := frames.Ping{}.Append(nil)
	for range 3 {
		if _, err := client.Write(frame[:len(frame)-1]); err != nil {
			t.Fatal(err)
		}
		holds(smallBuffer)
		if _, err := client.Write(frame[len(frame)-1:]); err != nil {
			t.Fatal(err)
		}
		chunk := next[received](t, connection).chunk
		holds(smallBuffer + 1)
		chunk.release()
		holds(0)
	}
	_ = client.Close()
	next[ended](t, connection)
	holds(0)
}
