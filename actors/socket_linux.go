package actors

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// descriptor is a connection with a file descriptor. Go's poller waits for it, and we do the system calls, because net.Conn
// can neither wait without a buffer nor write without waiting.
type descriptor struct {
	raw             syscall.RawConn
	onRead, onWrite func(fd uintptr) bool // what RawConn calls; made once

	// What goes into those calls and comes out.
	room     room
	pieces   [][]byte
	got, put int
	readErr  error
	writeErr error
	took     atomic.Int64
}

func newDescriptor(conn net.Conn) socket {
	var c syscall.Conn
	switch conn := conn.(type) { // no others: who embeds one of these has its methods, too, and would be bypassed
	case *net.TCPConn:
		c = conn
	case *net.UnixConn:
		c = conn
	default:
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	d := &descriptor{raw: raw}
	d.onRead, d.onWrite = d.tryRead, d.tryWrite
	return d
}

func (d *descriptor) read(r room) (int, error) {
	d.room = r
	if err := d.raw.Read(d.onRead); err != nil {
		return 0, err
	}
	if d.got <= 0 && d.readErr == nil {
		return 0, io.EOF
	}
	return d.got, d.readErr
}

// tryRead is false if there is nothing to read; the poller waits then.
func (d *descriptor) tryRead(fd uintptr) bool {
	d.got, d.readErr = again(func() (int, error) { return unix.Read(int(fd), d.room.space()) })
	if errors.Is(d.readErr, unix.EAGAIN) {
		d.room.idle()
		return false
	}
	return true
}

func (d *descriptor) write(pieces [][]byte) (int, error) {
	d.pieces = pieces
	if err := d.raw.Write(d.onWrite); err != nil {
		return 0, err
	}
	d.pieces = nil
	if errors.Is(d.writeErr, unix.EAGAIN) {
		return 0, nil
	}
	d.took.Add(int64(d.put))
	return d.put, d.writeErr
}

func (d *descriptor) tryWrite(fd uintptr) bool {
	d.put, d.writeErr = again(func() (int, error) {
		if len(d.pieces) == 1 {
			return unix.Write(int(fd), d.pieces[0])
		}
		return unix.Writev(int(fd), d.pieces)
	})
	return true // never wait in here
}

func (d *descriptor) wait([][]byte) (int, error) {
	return 0, d.raw.Write(d.writable)
}

// writable is false if the socket takes nothing. It has to look: the poller tells only of what changes from now on.
func (d *descriptor) writable(fd uintptr) bool {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}} //nolint:gosec // descriptors are small
	n, err := again(func() (int, error) { return unix.Poll(poll, 0) })
	return n > 0 || err != nil
}

// again repeats a system call that a signal interrupted. It returns no negative counts.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// sent counts what the client's side has acknowledged: the poller tells of room only when a third of the send buffer is free
// (sk_stream_is_writeable), so what we could write says for seconds nothing of a client that reads slowly but all the time.
func (d *descriptor) sent() int64 {
	took := d.took.Load()
	_ = d.raw.Control(func(fd uintptr) {
		if waiting, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			took -= int64(waiting)
		}
	})
	return took
}

func (d *descriptor) written() int64 { return d.took.Load() }

func (*descriptor) direct() bool { return true }
