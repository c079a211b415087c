package browser

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// makesKey has the page make a key, and returns what it gives to friends.
func (p *page) makesKey() (pem string) {
	p.t.Helper()
	p.click("#make")
	p.do(chromedp.WaitVisible("#key"))
	return p.value("#key")
}

// starts starts a chat.
func (p *page) starts(relay, name, pem string) {
	p.t.Helper()
	p.fill("#name", name)
	p.fill("#friend", pem)
	p.fill("#relay", relay)
	p.click("#go")
}

// opens waits until the chat can begin.
func (p *page) opens() {
	p.t.Helper()
	p.until(`!document.querySelector("#text").disabled`)
}

// safetyNumber returns what the page shows.
func (p *page) safetyNumber() string {
	p.t.Helper()
	p.until(`document.querySelector("#number").textContent.length > 60`)
	return p.text("#number")
}

// friend is somebody with a client of package client.
type friend struct {
	*client.Client
	t    *testing.T
	self *client.Identity
	mu   sync.Mutex
	conn net.Conn
}

func newFriend(t *testing.T, relay string) *friend {
	t.Helper()
	self, err := client.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	f := &friend{t: t, self: self}
	f.logsIn(relay)
	return f
}

// logsIn starts the friend's program, again if there was one.
func (f *friend) logsIn(relay string) {
	f.t.Helper()
	ctx := f.limited()
	c, err := client.Dial(ctx, relay, client.Options{Reconnect: client.Forever, DialContext: f.dial})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(ctx, f.self); err != nil {
		f.t.Fatal(err)
	}
	f.Client = c
}

func (f *friend) limited() context.Context {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	f.t.Cleanup(cancel)
	return ctx
}

func (f *friend) pem() string { return string(client.MarshalKey(f.self.Key())) }

func (f *friend) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conn = conn
	return conn, err
}

// cut ends the connection without a word.
func (f *friend) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.conn.Close()
}

// asks asks somebody for a session until they accept.
func (f *friend) asks(pem string) *client.Session {
	f.t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for ctx := f.limited(); ; {
		session, err := f.StartSession(ctx, f.key(pem))
		if err == nil {
			return session
		}
		if !client.IsRefused(err, frames.Unavailable) {
			f.t.Fatal(err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			f.t.Fatal("nobody accepts")
		}
	}
}

// accepts accepts the first who asks, who has to be this one.
func (f *friend) accepts(pem string) *client.Session {
	f.t.Helper()
	ctx := f.limited()
	for event, err := range f.Events(ctx) {
		if err != nil {
			f.t.Fatal(err)
		}
		request, is := event.(client.Requested)
		if !is {
			continue
		}
		if string(request.Peer) != string(f.key(pem)) {
			f.t.Fatal("somebody else asks")
		}
		session, err := f.AcceptSession(ctx, request.Peer)
		if err != nil {
			f.t.Fatal(err)
		}
		return session
	}
	f.t.Fatal("nobody asks")
	return nil
}

func (f *friend) key(pem string) frames.Key {
	f.t.Helper()
	key, err := client.ParseKey([]byte(pem))
	if err != nil {
		f.t.Fatal(err)
	}
	return key
}

// hears returns the next so many texts.
func (f *friend) hears(session *client.Session, many int) (texts []string) {
	f.t.Helper()
	for text, err := range session.Messages(f.limited()) {
		if err != nil {
			f.t.Errorf("the friend has heard %d of %d texts: %v", len(texts), many, err)
			return slices.Grow(texts, many)[:many]
		}
		if texts = append(texts, string(text)); len(texts) == many {
			break
		}
	}
	return texts
}

func (f *friend) says(session *client.Session, texts ...string) {
	f.t.Helper()
	for _, text := range texts {
		if err := session.Send(f.limited(), []byte(text)); err != nil {
			f.t.Fatal(err)
		}
	}
}

// ends says its last, and waits until the other side has done so as well.
func (f *friend) ends(session *client.Session, reason string) {
	f.t.Helper()
	if err := session.End(f.limited(), reason); err != nil {
		f.t.Error(err)
	}
	for text, err := range session.Messages(f.limited()) {
		f.t.Errorf("the friend hears %q, %v", text, err)
	}
	select {
	case <-session.Done():
	case <-f.limited().Done():
		f.t.Error("the session is not over")
	}
}
