package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium is a browser that knows no host but this one.
type chromium struct{ context.Context }

// shared is the browser of all tests; nil if there is none on this machine.
var shared *chromium

// newChromium returns the browser, or skips the test.
func newChromium(t *testing.T) *chromium {
	t.Helper()
	if shared == nil {
		t.Skip("there is no chromium on this machine: install one (apt-get install chromium) to run the browser's tests")
	}
	return shared
}

// startChromium starts the browser, and returns how to end it; nil if there is none.
func startChromium(profile string) (c *chromium, quit func(), err error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, func() {}, nil
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.IgnoreCertErrors, chromedp.UserDataDir(profile),
		chromedp.Flag("headless", "new"), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	quit = func() {
		limited, done := context.WithTimeout(ctx, patience)
		defer done()
		_ = chromedp.Cancel(limited) // waits until it is gone
		cancel()
		stop()
	}
	return &chromium{ctx}, quit, chromedp.Do(ctx)
}

// site serves the example as any web server would.
func site(t *testing.T) (origin string) {
	t.Helper()
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join("..", "..", "docs", "examples", "browser"))))
	t.Cleanup(server.Close)
	return server.URL
}

// page is a page, as somebody has it open.
type page struct {
	context.Context
	t    *testing.T
	mu   sync.Mutex
	said []string // what stands in its console
	not  string   // but for lines with this

	least int // pixels: the height of what is pressed
}

// open opens the page in a profile of its own.
func (c *chromium) open(t *testing.T, origin string) *page {
	t.Helper()
	return newPage(c, t, origin, chromedp.WithNewBrowserContext()).ready()
}

// another opens it once more in the same profile.
func (p *page) another(origin string) *page {
	p.t.Helper()
	return newPage(p, p.t, origin).ready()
}

func (p *page) ready() *page {
	p.t.Helper()
	p.do(chromedp.WaitVisible("#setup"))
	return p
}

// newPage opens a page. When the test ends nothing may stand in its console.
func newPage(parent context.Context, t *testing.T, origin string, options ...chromedp.ContextOption) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p := &page{Context: ctx, t: t, least: 40}
	console := chromedp.Console(ctx)
	go func() { // ends with the page
		for message, err := range console {
			if err != nil {
				return
			}
			p.notes(message.String())
		}
	}()
	p.do(chromedp.Navigate(origin + "/"))
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, line := range p.said {
			t.Errorf("the page's console says: %s", line)
		}
		if t.Failed() {
			t.Logf("the page shows:\n%s", get(p, chromedp.Evaluate[string](`document.body.innerText`)))
		}
	})
	return p
}

func (p *page) notes(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.not == "" || !strings.Contains(line, p.not) {
		p.said = append(p.said, line)
	}
}

// ignores has lines of the console ignored from now on.
func (p *page) ignores(about string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.not = about
}

// complains waits until the console says something about this, and forgets it.
func (p *page) complains(about string) {
	p.t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for limit := time.After(patience); ; {
		p.mu.Lock()
		before := len(p.said)
		p.said = slices.DeleteFunc(p.said, func(line string) bool { return strings.Contains(line, about) })
		found := len(p.said) < before
		p.mu.Unlock()
		if found {
			return
		}
		select {
		case <-again.C:
		case <-limit:
			p.t.Fatalf("the console says nothing about %s", about)
		}
	}
}

// get returns what an action finds.
func get[T any](p *page, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	get(p, chromedp.Steps(actions...))
}

// until waits until an expression is true in the page.
func (p *page) until(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p, patience)
	defer cancel()
	poll := chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(0))
	if err := chromedp.Do(ctx, poll); err != nil {
		p.t.Fatalf("until %s: %v", expression, err)
	}
}

// shows waits until an element shows this text.
func (p *page) shows(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("[...document.querySelectorAll(%s)].some((one) => one.checkVisibility() && one.textContent.includes(%s))",
		quoted(selector), quoted(text)))
}

func (p *page) text(selector string) string {
	p.t.Helper()
	return get(p, chromedp.TextContent(selector))
}

func (p *page) value(selector string) string {
	p.t.Helper()
	return get(p, chromedp.Value(selector))
}

func (p *page) fill(selector, text string) {
	p.t.Helper()
	p.do(chromedp.SetValue(selector, text))
}

func (p *page) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(selector))
}

// types types a message, and sends it with the Enter key.
func (p *page) types(text string) {
	p.t.Helper()
	p.do(chromedp.Focus("#text"))
	p.inserts(text)
	p.press("Enter")
}

// messages returns the texts that the friend has said, as shown.
func (p *page) messages() []string {
	p.t.Helper()
	return get(p, chromedp.Evaluate[[]string](
		`[...document.querySelectorAll(".message.theirs span[dir]")].map((one) => one.textContent)`))
}

func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(b)
}
