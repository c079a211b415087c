package specs_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/pires/go-proxyproto"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/listener"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// thisMachine is where the proxies of the specs are.
func thisMachine() listener.Networks {
	GinkgoHelper()
	var n listener.Network
	Expect(n.UnmarshalText([]byte("127.0.0.0/8"))).To(Succeed())
	return listener.Networks{n}
}

func behindProxies(ln net.Listener) net.Listener { return listener.Proxied(ln, thisMachine()) }

// proxies are the ways in which a proxy asks for a client.
var proxies = []struct {
	name   string
	serve  func(r *relay)
	ask    func(r *relay, client string) (net.Conn, error)
	silent bool
}{
	{
		"a PROXY header", func(r *relay) { r.serve(behindProxies) },
		func(r *relay, client string) (net.Conn, error) { return r.withHeader(client) }, false,
	},
	{
		"a PROXY header before a WebSocket", func(r *relay) { r.serve(behindProxies, overWebSocket) },
		func(r *relay, client string) (net.Conn, error) {
			ws, err := openWebSocket(func() (net.Conn, error) { return r.withHeader(client) })
			if err != nil {
				return nil, err
			}
			return streamed(ws), nil
		}, true,
	},
	{
		"X-Forwarded-For", func(r *relay) {
			r.serve(func(ln net.Listener) net.Listener {
				return listener.WebSocket(ln, listener.Web{Path: "/", ForwardedFrom: thisMachine()})
			})
		},
		func(r *relay, client string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			header := http.Header{"X-Forwarded-For": {"198.51.100.1, " + client}} // the first is made up
			ws, _, err := websocket.Dial(ctx, "ws://"+r.address, &websocket.DialOptions{HTTPHeader: header})
			if err != nil {
				return nil, err
			}
			return streamed(ws), nil
		}, false,
	},
}

// withHeader connects with a PROXY header for a client; without an address it is one of the proxy's own.
func (r *relay) withHeader(client string) (net.Conn, error) {
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		return nil, err
	}
	header := proxyproto.HeaderProxyFromAddrs(2, nil, nil)
	if client != "" {
		header = proxyproto.HeaderProxyFromAddrs(1, &net.TCPAddr{IP: net.ParseIP(client), Port: 4711}, &net.TCPAddr{IP: net.ParseIP(client), Port: 8000})
	}
	_, err = header.WriteTo(conn)
	return conn, err
}

var _ = Describe("Coming by a proxy", func() {
	for _, proxy := range proxies {
		When("it says for whom by "+proxy.name, func() {
			const first, second = "192.0.2.1", "192.0.2.2"
			var r *relay
			comes := func(change func(*supervisor.Config)) {
				GinkgoHelper()
				r = limited(change)
				proxy.serve(r)
			}
			// of is the relay for those who come from an address.
			of := func(client string) *relay {
				return &relay{inside: r.inside, address: r.address, dial: func() (net.Conn, error) { return proxy.ask(r, client) }}
			}

			// isTurnedAway expects that nobody from an address comes in. Where the header comes first that is before there is a WebSocket to say
			// why in.
			isTurnedAway := func(ctx context.Context, address string) {
				GinkgoHelper()
				conn, err := of(address).dial()
				if proxy.silent {
					Expect(err).To(HaveOccurred())
					return
				}
				Expect(err).NotTo(HaveOccurred())
				DeferCleanup(conn.Close)
				(&client{conn: conn, in: bufio.NewReader(conn)}).isTurnedAway(ctx)
			}

			It("talks, as anybody does", func(ctx SpecContext) {
				comes(func(*supervisor.Config) {})
				alice, bob := of(first).loginAs(ctx, freshKey(4096)), of(second).login(ctx)
				alice.meets(ctx, bob)
				alice.says(frames.Message{Peer: bob.key, Body: noise(60_000)}, message(bob, "hello"))
				bob.hears(ctx)
				Expect(bob.hears(ctx)).To(Equal(message(alice, "hello")))
			}, SpecTimeout(patience))

			It("counts for the address of the client, not of the proxy", func(ctx SpecContext) {
				comes(func(c *supervisor.Config) { c.AnonymousPerAddress, c.OnlinePerAddress = 1, 2 })
				alice := of(first).connect()
				alice.hearsUntilAnswered(ctx)
				isTurnedAway(ctx, first)
				of(second).connect().hearsUntilAnswered(ctx)
				alice.says(frames.Login{Key: alice.key})
				Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
				of(first).login(ctx)
				carol := of(first).connect()
				carol.says(frames.Login{Key: carol.key})
				carol.isRefused(ctx, frames.TypeLogin, frames.Limit)
				carol.isClosed(ctx)
			}, SpecTimeout(patience))

			It("pays for what the client does, and nobody else", func(ctx SpecContext) {
				comes(func(c *supervisor.Config) { c.PenaltyBadLogin, c.PenaltyFrom = time.Minute, time.Minute })
				mallory := of(first).connect()
				mallory.says(frames.Login{Key: frames.Key("\x30\x00")})
				mallory.isRefused(ctx, frames.TypeLogin, frames.BadKey)
				for range 2 { // being turned away is no misbehaviour
					isTurnedAway(ctx, first)
				}
				of(second).isLetIn(ctx)
			}, SpecTimeout(patience))

			It("is counted while it has said nothing, and closed when the time to log in is over", func(ctx SpecContext) {
				comes(func(c *supervisor.Config) { c.Connections, c.LoginTime = 1, 200*time.Millisecond })
				r.dial = dialTo(r.address)
				silent := r.connect()
				Eventually(ctx, func() int {
					_, anonymous := r.inside.Connections()
					return anonymous
				}).WithPolling(soon).Should(Equal(1))
				if f, err := silent.frame(ctx); err == nil { // over WebSocket nothing can be said
					Expect(f).To(beError(0, 0, frames.Timeout))
					silent.isClosed(ctx)
				}
				Eventually(ctx, func() (frames.Frame, error) {
					conn, err := of(first).dial()
					if err != nil { // as long as the relay is full
						return nil, err
					}
					defer func() { _ = conn.Close() }()
					alice := &client{key: freshKey(2048), conn: conn, in: bufio.NewReader(conn)}
					alice.says(frames.Login{Key: alice.key})
					return alice.frame(ctx)
				}).WithTimeout(patience).Should(Equal(frames.LoginAccepted{}))
			}, SpecTimeout(patience))
		})
	}

	It("has no address when the proxy names none, as for its own health checks", func(ctx SpecContext) {
		r := limited(func(c *supervisor.Config) { c.AnonymousPerAddress, c.OnlinePerAddress = 1, 1 })
		r.serve(behindProxies)
		r.dial = func() (net.Conn, error) { return r.withHeader("") }
		for range 3 {
			r.connect().hearsUntilAnswered(ctx)
			r.login(ctx)
		}
	}, SpecTimeout(patience))

	It("is over when the proxy does not say", func(ctx SpecContext) {
		needsInside("the relay has to be told of proxies")
		r := startRelay()
		r.serve(behindProxies)
		alice := r.connect()
		alice.says(frames.Login{Key: alice.key})
		Expect(alice.hears(ctx)).To(beError(0, 0, frames.Unsupported))
		alice.isClosed(ctx)
	}, SpecTimeout(patience))

	It("is not believed of anybody else", func(ctx SpecContext) {
		r := startRelay()
		r.dial = func() (net.Conn, error) { return r.withHeader("192.0.2.1") }
		mallory := r.connect()
		Expect(mallory.hears(ctx)).To(beError(frames.Type('P'), 1, frames.TooLarge))
		mallory.isClosed(ctx)
	}, SpecTimeout(patience))
})
