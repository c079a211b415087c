package listener

import (
	"net"
	"time"
)

// TCP is how the operating system finds out that a client has vanished without a word.
type TCP struct {
	KeepAlive   time.Duration // of silence before the first probe
	Interval    time.Duration // from one probe to the next
	Probes      int           // unanswered ones until the connection is over
	UserTimeout time.Duration // what was sent may be unacknowledged for so long (RFC 5482; on Linux)
}

// tune sets it for a connection, if that is one of TCP, or its layers say what they are put around. Where it cannot be set the connection
// serves all the same: clients vanish rarely.
func (t TCP) tune(conn net.Conn) {
	defer func() { _ = recover() }() // of a connection of the host's
	tcp, ok := innermost(conn).(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: t.KeepAlive, Interval: t.Interval, Count: t.Probes})
	setUserTimeout(tcp, t.UserTimeout)
}
