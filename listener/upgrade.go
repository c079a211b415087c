package listener

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// How a WebSocket is opened: by one request of HTTP/1.1, which the client may not take longer for than for its login. So there is no
// http.Server, which would read it before the connection is anybody's who counts it.

const (
	mostRequest = 8 << 10 // bytes
	bufferSize  = 1 << 10 // bytes of each direction's buffer, which every connection keeps; what is larger goes past it
)

// upgrade reads the request and answers it. The error is a *Misunderstanding if that was not with a WebSocket.
func (c *webSocket) upgrade() (*websocket.Conn, error) {
	source := &bounded{from: c.inner, left: mostRequest}
	in := bufio.NewReaderSize(source, bufferSize)
	first, err := in.Peek(1)
	if err != nil {
		return nil, err
	}
	if !isLetter(first[0]) { // such as a frame, or TLS
		return nil, &Misunderstanding{text: "this port speaks WebSocket, which you do not", conn: c.inner}
	}
	request, err := http.ReadRequest(in)
	switch {
	case err == nil:
		return c.judge(request, in)
	case source.err != nil:
		return nil, source.err
	case source.left == 0:
		return nil, refuse(c.inner, nil, http.StatusRequestHeaderFieldsTooLarge)
	}
	return nil, refuse(c.inner, nil, http.StatusBadRequest)
}

// isLetter reports whether a byte may be the first of a request.
func isLetter(b byte) bool { return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' }

// judge answers a request.
func (c *webSocket) judge(request *http.Request, in *bufio.Reader) (*websocket.Conn, error) {
	switch {
	case request.ProtoMajor != 1 || request.ProtoMinor != 1:
		return nil, refuse(c.inner, request, http.StatusHTTPVersionNotSupported)
	case request.Host == "":
		return nil, refuse(c.inner, request, http.StatusBadRequest)
	case request.URL.Path != c.web.Path:
		return nil, refuse(c.inner, request, http.StatusNotFound)
	}
	if proxies := c.web.ForwardedFrom; proxies.Has(c.inner.RemoteAddr()) {
		client, ok := proxies.forwarded(request.Header)
		if !ok {
			return nil, tell(c.inner, request, http.StatusBadRequest, "whoever forwards to this relay has to say for whom, in X-Forwarded-For", nil)
		}
		c.client.Store(client)
	}
	c.meter = newMeter(c.inner)
	a := &answer{conn: c.meter, in: in, header: http.Header{}}
	ws, err := websocket.Accept(a, request, &websocket.AcceptOptions{
		OriginPatterns: c.web.Origins, OnPingReceived: func(context.Context, []byte) bool { return c.meter.pongs() },
	})
	switch {
	case a.failed != nil:
		return nil, a.failed
	case err != nil:
		return nil, tell(c.inner, request, a.code, words[a.code], a.header)
	}
	ws.SetReadLimit(-1) // messages are passed on piece by piece
	return ws, nil
}

// words are what is told to who did not open a WebSocket, on one line.
var words = map[int]string{
	http.StatusBadRequest:                  "this is no request to open a WebSocket, as far as it can be understood",
	http.StatusForbidden:                   "pages of this origin may not connect to this relay, unless its operator allows it",
	http.StatusNotFound:                    "there is nothing at this path",
	http.StatusUpgradeRequired:             "this is a relay for messengers, which speak WebSocket with it; there is nothing to see for a browser",
	http.StatusRequestHeaderFieldsTooLarge: "the request is too large",
	http.StatusHTTPVersionNotSupported:     "only HTTP/1.1 is spoken here",
}

// refuse answers a request that opens no WebSocket, by a code that has its words, and returns that as an error. The request may be nil
// if it cannot be read.
func refuse(conn net.Conn, request *http.Request, code int) error {
	return tell(conn, request, code, words[code], nil)
}

// tell is refuse with other words, and more header.
func tell(conn net.Conn, request *http.Request, code int, text string, header http.Header) error {
	text = cmp.Or(text, http.StatusText(code))
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", "text/plain; charset=utf-8")
	err := write(conn, &http.Response{
		StatusCode: code, ProtoMajor: 1, ProtoMinor: 1, Header: header, Request: request, Close: true,
		Body: io.NopCloser(strings.NewReader(text + "\n")), ContentLength: int64(len(text)) + 1,
	})
	if err != nil {
		return err
	}
	return &Misunderstanding{text: text, conn: conn, told: true}
}

// write writes a response at once.
func write(conn net.Conn, response *http.Response) error {
	var b bytes.Buffer
	if err := response.Write(&b); err != nil {
		return err
	}
	_, err := conn.Write(b.Bytes())
	return err
}

// answer is what the library answers a request with. What it says besides the code, and besides that it agrees, we say better.
type answer struct {
	conn   net.Conn
	in     *bufio.Reader
	header http.Header
	code   int
	failed error // to write that it agrees
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) { a.code = cmp.Or(a.code, code) }

// Write implements http.ResponseWriter.
func (*answer) Write(b []byte) (int, error) { return len(b), nil }

// Hijack implements http.Hijacker, which the library asks when it agrees.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.failed = write(a.conn, &http.Response{StatusCode: a.code, ProtoMajor: 1, ProtoMinor: 1, Header: a.header})
	return a.conn, bufio.NewReadWriter(a.in, bufio.NewWriterSize(a.conn, bufferSize)), a.failed
}

// bounded reads so many bytes at most.
type bounded struct {
	from io.Reader
	left int
	err  error // why there are no more, if that is not our bound
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (n int, err error) {
	if b.left == 0 {
		return 0, errTooLarge
	}
	n, b.err = b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, b.err
}

var errTooLarge = errors.New("the request is too large")
