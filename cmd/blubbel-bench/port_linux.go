package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// portLater lets a socket that is bound to an address choose its port when it connects. Otherwise ports that wait for the
// end of an old connection are not free, and thousands of connections from one address soon find none.
func portLater(_, _ string, socket syscall.RawConn) error {
	return socket.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
}
