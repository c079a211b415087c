package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Web is which WebSockets are opened.
type Web struct {
	Path string // of the URL, such as /
	// Origins are patterns, as of path.Match, of the hosts whose pages may connect besides those of the host itself; with a scheme
	// before it, such as https://*.example.org, of that scheme only. Programs other than browsers name no origin, and may connect.
	Origins []string
	// ForwardedFrom are the HTTP proxies of which is believed for whom they ask, by X-Forwarded-For; they must say.
	ForwardedFrom Networks
}

// WebSocket returns a listener whose clients speak WebSocket. Its connections are streams of bytes, which come and go in binary
// messages; how they are cut into messages means nothing.
func WebSocket(ln net.Listener, web Web) net.Listener { return overWebSocket{ln, &web} }

type overWebSocket struct {
	net.Listener
	web *Web
}

// Accept implements net.Listener.
func (ln overWebSocket) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &webSocket{inner: conn, web: ln.web}
	c.in.changed.L = &c.in.mu
	return c, nil
}

// Transport is ws, or wss over TLS.
func (ln overWebSocket) Transport() string {
	if Transport(ln.Listener) == "tls" {
		return "wss"
	}
	return "ws"
}

// webSocket is a connection over WebSocket. It does not say that TLS is below: browsers cannot tie anything to that.
//
// The library reads a message for as long as it takes, whatever the read deadline, and answers pings only while it reads. So a
// goroutine of each connection does nothing but read, and brings what it has read to those who want it, with deadlines of their own.
type webSocket struct {
	inner  net.Conn
	web    *Web
	shaken sync.Once
	failed error
	client atomic.Pointer[net.TCPAddr] // for whom a proxy asks; nil if none does
	in     inflow
	meter  *meter // set by the handshake

	writing sync.Mutex // held while a message is written

	mu      sync.Mutex      // guards what follows
	ws      *websocket.Conn // nil before the handshake
	closing bool            // the library has been asked to close it, or all is closed
	writeBy time.Time       // the write deadline
}

// Handshake opens the WebSocket, when what is below has shaken hands.
func (c *webSocket) Handshake() error {
	c.shaken.Do(func() { c.failed = c.shakeHands() })
	return c.failed
}

func (c *webSocket) shakeHands() error {
	if err := shakeHands(c.inner); err != nil {
		return explainHTTP(err)
	}
	ws, err := c.upgrade()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ws = ws
	go c.pump(ws) // ends with the connection
	return c.inner.SetReadDeadline(time.Time{})
}

var errUnopened = errors.New("the WebSocket is not open yet")

// pump reads messages until there are no more.
func (c *webSocket) pump(ws *websocket.Conn) {
	for {
		kind, message, err := ws.Reader(context.Background())
		switch {
		case err != nil:
		case kind == websocket.MessageBinary:
			err = c.passOn(message)
		default:
			c.closes()
			_ = ws.Close(websocket.StatusUnsupportedData, "only binary messages are read here")
			err = errText
		}
		if err != nil {
			c.in.end(ended(err))
			return
		}
	}
}

var errText = errors.New("a text message")

// ended returns how a stream ends with this error: well, if the client has closed the WebSocket.
func ended(err error) error {
	switch {
	case websocket.CloseStatus(err) != -1:
		return io.EOF
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// pieceSize is how many bytes of a message are read at once, at most. While they wait to be read, so does the client.
const pieceSize = 16 << 10

var pieces = sync.Pool{New: func() any {
	b := make([]byte, pieceSize)
	return &b
}}

// passOn brings a message, piece by piece.
func (c *webSocket) passOn(message io.Reader) error {
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	for {
		n, err := message.Read(*piece)
		c.meter.useful.Add(int64(n))
		if n > 0 && !c.in.bring((*piece)[:n]) {
			return net.ErrClosed
		}
		if err == io.EOF { // as it is, it is the end of the message; within another, of the connection
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// opened returns the library's connection; nil before the handshake.
func (c *webSocket) opened() (ws *websocket.Conn, writeBy time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws, c.writeBy
}

// closes takes note that the library is asked to close the connection; false if it was before. It waits for the client's answer, for some
// seconds at most, and then, or when what is below is closed, it is done.
func (c *webSocket) closes() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first = !c.closing
	c.closing = true
	return first
}

// Read implements net.Conn.
func (c *webSocket) Read(b []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	return c.in.read(b)
}

// AwaitRead waits until Read would not: whoever waits so needs no buffer meanwhile.
func (c *webSocket) AwaitRead() error {
	if err := c.Handshake(); err != nil {
		return err
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return c.in.await()
}

// Write writes a message. Where its deadline falls into the middle of it, nothing more can be written.
func (c *webSocket) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	ws, by := c.opened()
	switch {
	case ws == nil:
		return 0, errUnopened
	case !by.IsZero() && !time.Now().Before(by):
		return 0, os.ErrDeadlineExceeded
	}
	err := ws.Write(context.Background(), websocket.MessageBinary, b)
	switch {
	case err == nil:
		return len(b), nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, os.ErrDeadlineExceeded
	}
	return 0, err
}

// CloseWrite says that nothing more comes. The client has nothing more to say either, then: what comes until it has answered, for which some
// seconds are waited, may be lost.
func (c *webSocket) CloseWrite() error {
	ws, _ := c.opened()
	switch {
	case ws == nil:
		return errUnopened
	case !c.closes():
		return net.ErrClosed
	}
	return ws.Close(websocket.StatusNormalClosure, "")
}

// closeTime is how long it may take to tell the client that the connection is closed.
const closeTime = 100 * time.Millisecond

// Close tells the client so, if that can be done at once, and waits for no answer.
func (c *webSocket) Close() error {
	c.in.close()
	ws, _ := c.opened()
	if !c.closes() || ws == nil || !c.writing.TryLock() {
		return c.inner.Close()
	}
	defer c.writing.Unlock()
	_ = c.inner.SetWriteDeadline(time.Now().Add(closeTime))
	_ = c.inner.SetReadDeadline(time.Unix(1, 0)) // for the answer
	_ = ws.Close(websocket.StatusGoingAway, "")  // it is closed either way
	return nil
}

// LocalAddr implements net.Conn.
func (c *webSocket) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *webSocket) RemoteAddr() net.Addr {
	if client := c.client.Load(); client != nil {
		return client
	}
	addr := c.inner.RemoteAddr()
	if c.web.ForwardedFrom.Has(addr) {
		return behind{addr}
	}
	return addr
}

// NetConn returns the connection below.
func (c *webSocket) NetConn() net.Conn { return c.inner }

// SetDeadline implements net.Conn.
func (c *webSocket) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. During the handshake it is the one of what is below, and ends it.
func (c *webSocket) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.setDeadline(t)
	if c.ws == nil {
		return c.inner.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *webSocket) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeBy = t
	return c.inner.SetWriteDeadline(t)
}

// explainHTTP tells a client that speaks HTTP without TLS, where TLS is spoken, so that it understands.
func explainHTTP(err error) error {
	plain := tls.RecordHeaderError{}
	if !errors.As(err, &plain) || plain.Conn == nil || !isLetter(plain.RecordHeader[0]) {
		return err
	}
	return tell(plain.Conn, nil, http.StatusBadRequest, "this port speaks TLS: the address begins with wss://, or https://", nil)
}
