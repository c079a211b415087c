package browser

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

func TestByKeyboardAlone(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	p, bob := c.open(t, origin), newFriend(t, d.tcp)
	p.tabs("make")
	p.press("Enter")
	p.focused("copy")
	pem := p.value("#key")
	for _, typed := range []struct{ field, text string }{
		{"name", "Bob"}, {"friend", bob.pem()}, {"relay", d.web},
	} {
		p.tabs(typed.field)
		p.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.select()`))
		p.inserts(typed.text)
	}
	p.tabs("go")
	p.press("Enter")
	session := bob.accepts(pem)
	p.opens()
	p.focused("text")
	p.inserts("Hello Bob")
	p.press("Enter")
	if got := bob.hears(session, 1); got[0] != "Hello Bob" {
		t.Errorf("the friend hears %q", got)
	}
	p.tabs("end")
	p.press("Enter")
	p.shows("#end", "Back")
	p.focused("end")
	p.press("Enter")
	p.focused("title")
}

// tabs presses the Tab key until this element has the focus.
func (p *page) tabs(id string) {
	p.t.Helper()
	for range 12 {
		p.press("Tab")
		if get(p, chromedp.Evaluate[string](`document.activeElement.id`)) == id {
			return
		}
	}
	p.t.Fatalf("the Tab key does not lead to %s", id)
}

// focused waits until this element has the focus.
func (p *page) focused(id string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.activeElement.id === %s`, quoted(id)))
}

var keys = map[string]input.DispatchKeyEventParams{
	"Enter": {Key: "Enter", Code: "Enter", Text: "\r", WindowsVirtualKeyCode: 13},
	"Tab":   {Key: "Tab", Code: "Tab", WindowsVirtualKeyCode: 9},
}

// press presses a key. (The library's own way sends what the key types even if the page has prevented it.)
func (p *page) press(name string) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		key := keys[name]
		for _, key.Type = range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
			if _, err := cdp.Call(ctx, target, input.DispatchKeyEvent, key); err != nil {
				return err
			}
		}
		return nil
	}))
}

// inserts types a text at once, as who pastes it, or writes it with an input method.
func (p *page) inserts(text string) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
}
