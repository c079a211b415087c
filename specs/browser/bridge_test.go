package browser

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/mdeiml/blubbel-server/frames"
)

// opened returns where pages from this origin find the relay.
func (d *daemon) opened(t *testing.T, origin string) (address string) {
	t.Helper()
	return bridge(t, d.host(), origin, func(frames.Type, []byte) {})
}

// bridge joins WebSockets with a relay's TCP listener, as somebody on the way could. change may change the payload of what
// pages send.
func bridge(t *testing.T, relay, origin string, change func(kind frames.Type, payload []byte)) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{origin}})
		if err != nil {
			return
		}
		there, err := net.Dial("tcp", relay)
		if err != nil {
			_ = page.CloseNow()
			return
		}
		here := websocket.NetConn(context.Background(), page, websocket.MessageBinary)
		go func() { // ends with either
			_, _ = io.Copy(here, there)
			_ = here.Close()
		}()
		forward(there, here, change)
		_ = there.Close()
	}))
	t.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http") + "/"
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
