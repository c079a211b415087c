package specs_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/listener"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// serveWebSocket makes the relay listen for WebSockets, and whoever connects from now on connects so.
func (r *relay) serveWebSocket() {
	GinkgoHelper()
	r.serve(overWebSocket)
	dial := r.dial
	r.dial = func() (net.Conn, error) {
		ws, err := openWebSocket(dial)
		if err != nil {
			return nil, err
		}
		return streamed(ws), nil
	}
}

func overWebSocket(ln net.Listener) net.Listener {
	return listener.WebSocket(ln, listener.Web{Path: "/"})
}

// openWebSocket opens a WebSocket over a connection that is dialled so.
func openWebSocket(dial func() (net.Conn, error)) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws://relay.test/", &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return dial() },
	}}})
	return ws, err
}

// streamed returns the bytes that come and go in the messages of a WebSocket as a stream with deadlines, which the library's own does not
// survive.
func streamed(ws *websocket.Conn) net.Conn {
	mine, theirs := net.Pipe()
	stream := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
	go func() { // ends when the relay closes, or we do
		_, _ = io.Copy(theirs, stream)
		_ = theirs.Close()
	}()
	go func() { // ends when we close, or the relay does
		_, _ = io.Copy(stream, theirs)
		_ = ws.Close(websocket.StatusNormalClosure, "")
	}()
	return mine
}

var _ = Describe("Connecting by WebSocket", func() {
	var r *relay
	var ws *websocket.Conn
	var alice *client
	opens := func(change ...func(*supervisor.Config)) {
		GinkgoHelper()
		needsInside("the relay is to listen for WebSockets")
		r = startRelay(change...)
		r.serve(overWebSocket)
		var err error
		ws, err = openWebSocket(r.dial)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { _ = ws.CloseNow() })
		stream := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
		alice = &client{key: freshKey(2048), conn: stream, in: bufio.NewReader(stream)}
	}
	logsIn := func(ctx context.Context) {
		GinkgoHelper()
		alice.says(frames.Login{Key: alice.key})
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	}
	isClosed := func(ctx context.Context, status websocket.StatusCode) {
		GinkgoHelper()
		_, _, err := ws.Read(ctx)
		Expect(websocket.CloseStatus(err)).To(Equal(status), "%v", err)
	}

	It("takes frames cut into messages anyhow", func(ctx SpecContext) {
		opens()
		login := frames.Login{Key: alice.key}.Append(nil)
		for i := range login {
			alice.sends(login[i : i+1])
		}
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
		alice.says(rawType(0x7e), rawType(0x7f)) // one message
		for number, t := range []frames.Type{0x7e, 0x7f} {
			Expect(alice.hears(ctx)).To(beError(t, uint64(number)+2, frames.Unsupported))
		}
	}, SpecTimeout(patience))

	It("ends when a text message comes, with status 1003", func(ctx SpecContext) {
		opens()
		Expect(ws.Write(ctx, websocket.MessageText, []byte("hello"))).To(Succeed())
		isClosed(ctx, websocket.StatusUnsupportedData)
	}, SpecTimeout(patience))

	It("ends with status 1000 when everything was said", func(ctx SpecContext) {
		opens(func(c *supervisor.Config) { c.LoginTime = 100 * time.Millisecond })
		Expect(alice.hears(ctx)).To(beError(0, 0, frames.Timeout))
		isClosed(ctx, websocket.StatusNormalClosure)
	}, SpecTimeout(patience))

	It("ends so when the relay stops", func(ctx SpecContext) {
		opens()
		logsIn(ctx)
		stopped := make(chan error, 1)
		go func() { stopped <- r.inside.Stop(ctx) }() // ends when the relay has stopped
		Expect(alice.hears(ctx)).To(beError(0, 0, frames.ShuttingDown))
		isClosed(ctx, websocket.StatusNormalClosure)
		Eventually(ctx, stopped).WithPolling(soon).Should(Receive(BeNil()))
	}, SpecTimeout(patience))

	It("answers pings of WebSocket, while the relay's own deadlines ring", func(ctx SpecContext) {
		opens(func(c *supervisor.Config) { c.Silence = 8 * time.Second }) // to which it looks each second
		logsIn(ctx)
		reading := ws.CloseRead(ctx)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 15 {
			<-tick.C
			Expect(ws.Ping(ctx)).To(Succeed())
			Expect(reading.Err()).To(Succeed())
		}
	}, SpecTimeout(patience))

	It("delivers what was said before the client closed", func(ctx SpecContext) {
		opens()
		logsIn(ctx)
		r.serve()
		bob := r.login(ctx)
		alice.meets(ctx, bob)
		alice.says(message(bob, "bye"))
		Expect(ws.Close(websocket.StatusNormalClosure, "")).To(Succeed())
		Expect(bob.hears(ctx)).To(Equal(message(alice, "bye")))
	}, SpecTimeout(patience))

	It("tells a client that speaks frames without it", func(ctx SpecContext) {
		opens()
		bob := r.connect()
		bob.says(frames.Login{Key: bob.key})
		Expect(bob.hears(ctx)).To(Equal(frames.Error{Code: frames.Unsupported, Text: "this port speaks WebSocket, which you do not"}))
		bob.isClosed(ctx)
	}, SpecTimeout(patience))
})

var _ = Describe("Taking one's time to open a WebSocket", func() {
	It("counts at the door all the while, and is over when the time to log in is", func(ctx SpecContext) {
		r := limited(func(c *supervisor.Config) {
			c.AnonymousPerAddress = 1
			c.LoginTime = 500 * time.Millisecond
			c.PenaltyLateLogin, c.PenaltyFrom = time.Minute, time.Minute
		})
		r.serve(overWebSocket)
		slow := r.connect()
		slow.sends([]byte("GET / HTTP/1.1\r\nHost: "))
		elsewhere, next := r.from("127.0.0.2"), r.connect()
		next.isClosed(ctx) // without a word: that would need a WebSocket
		ws, err := openWebSocket(elsewhere.dial)
		Expect(err).NotTo(HaveOccurred())
		Expect(ws.CloseNow()).To(Succeed())
		slow.isClosed(ctx)
		Expect(openWebSocket(r.dial)).Error().To(HaveOccurred(), "its address pays for it")
	}, SpecTimeout(patience))

	It("counts for the address of a proxy's client as soon as that is named", func(ctx SpecContext) {
		r := limited(func(c *supervisor.Config) { c.AnonymousPerAddress = 1 })
		r.serve(behindProxies, overWebSocket)
		opens := func(client string) error {
			ws, err := openWebSocket(func() (net.Conn, error) { return r.withHeader(client) })
			if err == nil {
				err = ws.CloseNow()
			}
			return err
		}
		Eventually(ctx, func() error { // until one that is slow has come before one that is not
			slow, err := r.withHeader("192.0.2.1")
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(slow.Close)
			Expect(slow.Write([]byte("GET / HTTP/1.1\r\n"))).Error().NotTo(HaveOccurred())
			return opens("192.0.2.1")
		}).WithTimeout(patience).ShouldNot(Succeed())
		Expect(opens("192.0.2.2")).To(Succeed())
	}, SpecTimeout(patience))
})
