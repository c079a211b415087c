//go:build !linux

package listener

import (
	"net"
	"time"
)

// setUserTimeout does nothing: only Linux has it.
func setUserTimeout(*net.TCPConn, time.Duration) {}
