package browser

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/mdeiml/blubbel-server/admin"
	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

func TestTheOperatorSeesWhatHappens(t *testing.T) {
	w := watch(t, admin.Options{})
	p := w.opened()
	p.reads("#state", "Ready.")
	p.reads("#version", "v1.2.3")
	p.reads("#uptime", "3 h 1 min")
	p.reads("#id", w.About.Relay)
	p.reads("#listen", "tcp://"+w.address)
	p.shows(".none", "Nobody is connected.")

	alice, bob := newFriend(t, w.address), newFriend(t, w.address)
	session := talks(alice, bob)
	for id, want := range map[string]string{"connections": "2", "users": "2", "sessions": "1", "pins": "2", "in-flight": "0", "crashes": "0"} {
		p.reads("#"+id, want)
	}
	p.row("#connections-body", "online", "2")
	p.row("#logins-body", "proof")
	p.until(`document.querySelector("#logins-body tr:nth-child(3)").cells[2].textContent === "2"`)
	p.until(`Number(document.querySelector("#delivered-all").textContent) >= 4`)
	p.until(`document.querySelector("#p99").textContent.startsWith("≤ ")`)
	p.until(`document.querySelector("#delivered-curve path:last-child").getAttribute("d").includes("L")`)

	if _, err := alice.StartSession(alice.limited(), stranger(t)); !client.IsRefused(err, frames.Unavailable) {
		t.Fatal(err)
	}
	p.row("#refusals-body", "UNAVAILABLE", "1", "0", "1", "Who was asked for a session is unknown")
	p.reads("#refused-all", "1")

	w.showsItsActors(p)
	w.bombs.Store(1)
	alice.says(session, "boom")
	p.reads("#crashes", "1")
	p.shows("#crashed summary", "runtime error: index out of range")
	p.shows("#registry-body tr.trouble", "✕ 1")
	p.until(`!document.querySelector("#crashed pre").checkVisibility()`)
	p.click("#crashed summary")
	p.shows("#crashed pre", "watched_test.go")

	if err := bob.Close(); err != nil {
		t.Fatal(err)
	}
	p.reads("#connections", "1")
	p.row("#closes-body", "client", "1", "1", "The client closed it.")
	p.until(`document.querySelector("#closed tr")?.textContent.includes("client")`)
	p.until(`document.querySelector("#crashed details").open`) // still
}

// talks has Alice ask Bob for a session, and say something that he hears.
func talks(alice, bob *friend) *client.Session {
	alice.t.Helper()
	asked := make(chan *client.Session, 1)
	go func() { // ends when Bob accepts
		session, err := alice.StartSession(alice.limited(), bob.self.Key())
		if err != nil {
			alice.t.Error(err)
		}
		asked <- session
	}()
	heard := bob.accepts(alice.pem())
	session := <-asked
	alice.says(session, "Hello Bob")
	bob.hears(heard, 1)
	return session
}

func stranger(t *testing.T) frames.Key {
	t.Helper()
	self, err := client.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return self.Key()
}

// showsItsActors waits until the page shows who is there, by the names that the log has.
func (w *watched) showsItsActors(p *page) {
	w.t.Helper()
	top, _ := w.Tree(50)
	for i, body := range []string{"#registry-body", "#connections-list"} {
		children := top.Children[i].Children
		if len(children) != 2 {
			w.t.Fatal(children)
		}
		for _, child := range children {
			p.row(body, child.Name, child.User, "online")
		}
	}
	p.shows("#registry-vitals", "2 users")
	p.shows("#connections-vitals", "2 connections")
}

func TestTheOperatorIsToldThatTheRelayIsGone(t *testing.T) {
	w := watch(t, admin.Options{})
	p := w.opened()
	p.reads("#state", "Ready.")
	p.ignores("Failed to load resource")
	for range 2 {
		w.stops()
		p.shows("#state.unreachable", "Asking again; what you see is older.")
		p.shows("#relay", "Delivered")
		w.serves()
		p.reads("#state.ready", "Ready.")
	}
	if err := w.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	p.shows("#state.stopping", "Stopping.")
	p.shows("#relay-vitals", "the relay has stopped")
	w.stops()
	p.shows("#state.unreachable", "Not reachable since")
}

func TestTheTokenIsAskedFor(t *testing.T) {
	w := watch(t, admin.Options{Token: "secret", Guarded: true})
	first, second := w.handler, admin.Handler(w.Relay, admin.Options{Token: "another", Guarded: true})
	var isSecond atomic.Bool
	w.handler = http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		if isSecond.Load() {
			second.ServeHTTP(to, r)
		} else {
			first.ServeHTTP(to, r)
		}
	})
	p := w.opened()
	p.ignores("Failed to load resource")
	p.focused("token")
	p.until(`!document.querySelector("#relay").checkVisibility()`)
	p.looks("operator-locked")
	p.inserts("wrong")
	p.press("Enter")
	p.shows("#wrong", "This is not the relay’s token.")
	p.focused("token")
	p.inserts("secret")
	p.press("Enter")
	p.reads("#state", "Ready.")
	p.until(`!document.querySelector("#unlock").checkVisibility()`)
	p.do(chromedp.Reload())
	p.reads("#state", "Ready.")
	if url := get(p, chromedp.Location()); url != "http://"+w.page+"/" {
		t.Errorf("the page is at %s", url)
	}
	isSecond.Store(true)
	p.shows("#wrong", "This is not the relay’s token.")
	p.until(`!document.querySelector("#relay").checkVisibility()`)
}

func TestAPageThatIsNotSeenAsksNothing(t *testing.T) {
	w := watch(t, admin.Options{})
	p := w.opened()
	p.reads("#state", "Ready.")
	p.isSeen(false)
	again := time.NewTicker(3 * time.Second) // longer than it waits while it is seen
	defer again.Stop()
	limit := time.After(patience)
	for before := int64(-1); before != w.requests.Load(); {
		before = w.requests.Load()
		select {
		case <-again.C:
		case <-limit:
			t.Fatal("it asks on")
		}
	}
	newFriend(t, w.address)
	p.isSeen(true)
	p.reads("#connections", "1")
	p.shows("#connections-vitals", "1 connection ")
}

// isSeen has the page believe that its tab is in front, or not.
func (p *page) isSeen(is bool) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`
		Object.defineProperty(document, "hidden", { value: %t, configurable: true });
		document.dispatchEvent(new Event("visibilitychange"))`, !is)))
}

func TestTheIdIsCopied(t *testing.T) {
	w := watch(t, admin.Options{})
	p := w.opened()
	p.reads("#state", "Ready.")
	p.tabs("copy")
	p.press("Enter")
	p.until(`document.querySelector("#copy").textContent !== "Copy"`)
	if got := get(p, chromedp.Evaluate[string](`getSelection().toString()`)); got != w.About.Relay {
		t.Errorf("%q is selected", got)
	}
	p.reads("#copy", "Copy")
}
