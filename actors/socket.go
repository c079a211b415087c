package actors

import (
	"net"
	"sync/atomic"
)

// socket is a connection as its reader and its output use it. There is at most one reader, and one writer, at a time.
type socket interface {
	// read waits until there is something to read, asks for room, and reads. A read of nothing is an error.
	read(r room) (n int, err error)
	// write writes what the operating system takes at once.
	write(pieces [][]byte) (n int, err error)
	// wait waits until the operating system takes more, and may be what writes it.
	wait(pieces [][]byte) (n int, err error)
	// sent is how many bytes have got somewhere, ever: to the client's side, if that can be known, else to the operating system. From any goroutine.
	sent() int64
	// written is how many bytes the operating system has taken, ever. From any goroutine.
	written() int64
	// direct says that the pieces are never looked at but by write, so they may lie where they may change after it.
	direct() bool
}

// room is where a socket reads into.
type room interface {
	space() []byte // asked for when there is something to read, as far as one can know
	idle()         // there was nothing, or one cannot know
}

// newSocket returns the socket of a connection: where it has a file descriptor, one that needs neither memory nor a writing
// goroutine as long as nothing happens. It is used when hands are shaken.
func newSocket(conn net.Conn) socket {
	if d := newDescriptor(bare(conn)); d != nil {
		return d
	}
	return &stream{conn: conn}
}

// bare returns the connection that is all that is left of a layered one when hands are shaken, if it says so: what a proxy has said lies
// behind it then.
func bare(conn net.Conn) net.Conn {
	if c, ok := conn.(interface{ Bare() net.Conn }); ok {
		return c.Bare()
	}
	return conn
}

// stream is a connection that can only be read and written by waiting for it: TLS, WebSocket, net.Pipe. Some can be waited for without a
// buffer.
type stream struct {
	conn net.Conn
	took atomic.Int64
}

func (s *stream) read(r room) (int, error) {
	r.idle()
	if conn, ok := s.conn.(interface{ AwaitRead() error }); ok {
		if err := conn.AwaitRead(); err != nil {
			return 0, err
		}
	}
	return s.conn.Read(r.space())
}

func (*stream) write([][]byte) (int, error) { return 0, nil }

// sliceSize is how much is written at once, so that one sees it go on: the most that fits in one TLS record.
const sliceSize = 16 << 10

func (s *stream) wait(pieces [][]byte) (n int, err error) {
	for _, p := range pieces {
		for len(p) > 0 {
			more, err := s.conn.Write(p[:min(len(p), sliceSize)])
			n += more
			s.took.Add(int64(more))
			p = p[more:]
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (s *stream) sent() int64 { return s.took.Load() }

func (s *stream) written() int64 { return s.took.Load() }

func (*stream) direct() bool { return false }
