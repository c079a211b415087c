package client

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// NoWebSocket is the error if what answers at a ws:// or wss:// address opens no WebSocket there.
type NoWebSocket struct {
	Err    error
	Status int    // of HTTP; 0 if that was not what was wrong
	Text   string // the server's words: show them as text, they may hold anything
}

// Error says what it answers, quoted.
func (n *NoWebSocket) Error() string {
	if n.Status == 0 {
		return n.Err.Error()
	}
	return fmt.Sprintf("the answer is %d %s, %q", n.Status, http.StatusText(n.Status), n.Text)
}

// Unwrap returns what the library for WebSocket says.
func (n *NoWebSocket) Unwrap() error { return n.Err }

// openWebSocket opens a WebSocket over a connection, which is closed if that fails.
func openWebSocket(ctx context.Context, conn net.Conn, a Address) (net.Conn, error) {
	dial := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	where := "ws://" + strings.TrimSuffix(a.HostPort, ":"+a.usualPort()) + a.Path // TLS is there already
	ws, answer, err := websocket.Dial(ctx, where, &websocket.DialOptions{HTTPClient: &http.Client{
		Transport:     &http.Transport{DialContext: dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err == nil {
		return &webSocket{websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws, conn}, nil
	}
	_ = conn.Close()
	n := &NoWebSocket{Err: err}
	if answer != nil && answer.StatusCode != http.StatusSwitchingProtocols {
		n.Status = answer.StatusCode
		if lines := bufio.NewScanner(answer.Body); lines.Scan() {
			n.Text = lines.Text()
		}
	}
	return nil, n
}

// webSocket is a connection over WebSocket, whose messages are a stream of bytes.
type webSocket struct {
	net.Conn
	ws    *websocket.Conn
	below net.Conn
}

// CloseWrite says that nothing more comes, and waits until the relay has nothing more to say either.
func (w *webSocket) CloseWrite() error { return w.ws.Close(websocket.StatusNormalClosure, "") }

// Close closes it without a word.
func (w *webSocket) Close() error {
	_ = w.below.Close() // at once, also where the library waits for an answer
	return w.ws.CloseNow()
}
