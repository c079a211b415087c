package listener

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// meter is a connection below a WebSocket that counts the chaff: what comes besides the bytes in messages, such as headers, pings and empty
// messages. The relay reads no faster than it likes what is in messages; of the rest it never hears. Who sends a flood of that is closed.
type meter struct {
	net.Conn
	chaff  *rate.Limiter // in bytes
	useful atomic.Int64  // bytes in messages

	// Owned by whoever the library lets read.
	came, counted int64
}

const (
	chaffRate  = 256 << 10 // bytes a second: as many as the headers of 18,000 messages have, if they are long
	chaffBurst = 1 << 20   // bytes
	worth      = 2         // bytes that may come for each that is in a message, whose rate is limited elsewhere: whoever says much has many headers
	pongCost   = 1 << 10   // bytes, for which the answer to a ping counts: it takes a system call
)

var errChaff = errors.New("a flood of what is not in messages")

func newMeter(conn net.Conn) *meter {
	return &meter{Conn: conn, chaff: rate.NewLimiter(chaffRate, chaffBurst)}
}

// Read implements net.Conn. It judges all that came before, but for what may be a part of the piece that is being read.
func (m *meter) Read(b []byte) (int, error) {
	if more := m.came - worth*m.useful.Load() - m.counted - pieceSize - bufferSize; more > 0 {
		m.counted += more
		if !m.chaff.AllowN(time.Now(), int(more)) {
			return 0, errChaff
		}
	}
	n, err := m.Conn.Read(b)
	m.came += int64(n)
	return n, err
}

// pongs reports whether a ping is to be answered.
func (m *meter) pongs() bool { return m.chaff.AllowN(time.Now(), pongCost) }
