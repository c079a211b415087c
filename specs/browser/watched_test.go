package browser

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/chromedp/chromedp"

	"github.com/mdeiml/blubbel-server/admin"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// watched is a relay in this process that somebody looks at.
type watched struct {
	*supervisor.Relay
	About    admin.About
	t        *testing.T
	handler  http.Handler
	server   *http.Server
	address  string       // where it listens
	page     string       // where it is looked at: host and port
	requests atomic.Int64 // of the page, for what changes
	bombs    atomic.Int32 // so many frames crash the actor of the user who sends them
}

func watch(t *testing.T, o admin.Options) *watched {
	t.Helper()
	w := &watched{t: t}
	relay, err := supervisor.New(supervisor.Config{NoRateLimits: true, Props: w.mined})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Spawn(supervisor.NewSystem(relay.Config().Log).Root, "relay"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relay.Stop(context.Background()) })
	ln := listen(t, "127.0.0.1:0")
	go func() { _ = relay.Serve(context.Background(), ln) }() // ends when the relay stops
	w.Relay, w.address = relay, ln.Addr().String()
	w.About = admin.About{
		Version: "v1.2.3", Started: time.Now().Add(-3*time.Hour - time.Minute), Relay: strings.Repeat("relay-id", 5) + "123",
		Listen: []string{"tcp://" + w.address},
	}
	o.About = w.About
	w.handler = admin.Handler(relay, o)
	return w
}

// mined puts a bomb in front of every user's actor.
func (w *watched) mined(kind supervisor.Kind, props *actor.Props) *actor.Props {
	return props.Clone(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			isTake := strings.HasSuffix(fmt.Sprintf("%T", envelope.Message), ".Take")
			if kind == supervisor.KindUser && isTake && w.bombs.Add(-1) >= 0 {
				_ = nothing[len(w.address)]
			}
			next(ctx, envelope)
		}
	}))
}

var nothing []int

func listen(t *testing.T, at string) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serves lets it be looked at, where it was before if it was.
func (w *watched) serves() {
	w.t.Helper()
	ln := listen(w.t, cmp.Or(w.page, "127.0.0.1:0"))
	w.page = ln.Addr().String()
	server := admin.NewServer(http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			w.requests.Add(1)
		}
		w.handler.ServeHTTP(to, r)
	}))
	go func() { _ = server.Serve(ln) }() // ends when it is closed
	w.server = server
	w.t.Cleanup(w.stops)
}

func (w *watched) stops() { _ = w.server.Close() }

// opened opens the page.
func (w *watched) opened() *page {
	w.t.Helper()
	w.serves()
	p := newPage(newChromium(w.t), w.t, "http://"+w.page, chromedp.WithNewBrowserContext())
	p.least = 24
	return p
}

// reads waits until an element has this text, and no other.
func (p *page) reads(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.querySelector(%s)?.textContent === %s", quoted(selector), quoted(text)))
}

// row waits until a table has a row with these texts, one after the other.
func (p *page) row(body string, texts ...string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`[...document.querySelectorAll(%s)].some((row) =>
		[...row.cells].map((cell) => cell.textContent).join("|").startsWith(%s))`, quoted(body+" tr"), quoted(strings.Join(texts, "|"))))
}
