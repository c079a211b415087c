package browser

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/mdeiml/blubbel-server/frames"
)

// bridge joins WebSockets with a relay's TCP listener, as somebody on the way could.
type bridge struct {
	address string
	mu      sync.Mutex
	open    []net.Conn
}

// newBridge starts a bridge to a relay. change may change the payload of what pages send.
func newBridge(t *testing.T, d *daemon, origin string, change func(kind frames.Type, payload []byte)) *bridge {
	t.Helper()
	b := &bridge{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{origin}})
		if err != nil {
			return
		}
		there, err := net.Dial("tcp", hostPort(d.tcp))
		if err != nil {
			_ = page.CloseNow()
			return
		}
		b.mu.Lock()
		b.open = append(b.open, there)
		b.mu.Unlock()
		here := websocket.NetConn(context.Background(), page, websocket.MessageBinary)
		go func() { // ends with either
			_, _ = io.Copy(here, there)
			_ = here.Close()
		}()
		forward(there, here, change)
		_ = there.Close()
	}))
	t.Cleanup(server.Close)
	b.address = "ws://" + d.id + "@" + server.Listener.Addr().String()
	return b
}

// cut ends all connections without a word.
func (b *bridge) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, there := range b.open {
		_ = there.Close()
	}
	b.open = nil
}

// forward copies frames until an error.
func forward(to io.Writer, from io.Reader, change func(frames.Type, []byte)) {
	header := make([]byte, 5)
	for {
		if _, err := io.ReadFull(from, header); err != nil {
			return
		}
		payload := make([]byte, binary.BigEndian.Uint32(header[1:]))
		if _, err := io.ReadFull(from, payload); err != nil {
			return
		}
		change(frames.Type(header[0]), payload)
		if _, err := to.Write(append(header, payload...)); err != nil {
			return
		}
	}
}
