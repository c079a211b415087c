package actors

import (
	"net"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// tcp returns both ends of a connection that has a file descriptor.
func tcp(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// While nothing comes, and when everything that came is settled, a connection on plain TCP holds no buffer; half a frame takes
// one, of the size that the last burst needed.
func TestAnIdleConnectionHoldsNoBuffer(t *testing.T) {
	client, server := tcp(t)
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

// patient is a connection that can be waited for without a buffer.
type patient struct {
	net.Conn
	comes chan struct{} // holds an element when something comes
}

func (p *patient) AwaitRead() error {
	<-p.comes
	return nil
}

func TestAConnectionThatCanBeWaitedForHoldsNoBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		s := newStage(t)
		connection := s.probe()
		conn := &patient{server, make(chan struct{}, 1)}
		r := newReader(s.shared, conn, newSocket(conn), connection.PID)
		s.shared.running.Add(1)
		go r.run()
		for range 2 {
			synctest.Wait()
			if held := r.window.used.Load(); held != 0 {
				t.Errorf("it holds %d bytes", held)
			}
			conn.comes <- struct{}{}
			if _, err := client.Write(frames.Ping{}.Append(nil)); err != nil {
				t.Fatal(err)
			}
			next[received](t, connection).chunk.release()
		}
		_ = server.Close()
		conn.comes <- struct{}{}
		next[ended](t, connection)
	})
}

// Whose bytes lie in the socket while the relay reads them later is not silent, and was in time with the login.
func TestWhoIsReadLaterIsNotSilent(t *testing.T) {
	client, server := tcp(t)
	defer func() { _ = client.Close() }()
	s := newStage(t)
	s.shared.Limits().Login, s.shared.Limits().Silence = 300*time.Millisecond, 300*time.Millisecond
	s.shared.Limits().Bytes = Rate{Limit: 256 << 10, Burst: ChunkBytes} // so a full chunk is half a second
	connection, user := s.probe(), s.probe()
	r := newReader(s.shared, server, newSocket(server), connection.PID)
	r.login.Store(s.login(seedKey(1), connection.PID, user.PID))
	s.shared.running.Add(1)
	go r.run()
	ping := frames.Ping{}.Append(nil)
	const pings = 4 * ChunkBytes / 13
	go func() { // ends when all is read
		_, _ = client.Write(slices.Repeat(ping, pings))
	}()
	for taken := 0; taken < pings; {
		select {
		case m := <-user.got:
			c := m.(Take).Chunk
			taken += len(c.bytes) / len(ping)
			c.refuseRest()
		case m := <-connection.got:
			t.Fatalf("after %d of %d frames it is over: %v", taken, pings, m.(ended).refusal)
		}
	}
	r.stop()
	next[ended](t, connection)
}
