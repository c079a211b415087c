package browser

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var shots = flag.String("shots", "", "folder for pictures of the page, to look at")

// faults finds what can be judged without eyes: what is wider than the window, too small to press, without a name for those who
// cannot see it, or hard to read.
const faults = `((least) => {
	const found = [];
	const visible = (one) => one.checkVisibility() && !one.closest(".unseen");
	const say = (one, what) => found.push(what + ": " + (one.id || one.className || one.tagName));
	const root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) say(root, "wider than the window");
	if (document.querySelector("#chat")?.checkVisibility() && root.scrollHeight > innerHeight) say(root, "taller than the window");
	const scrolls = (one) => one && one !== document.body && (getComputedStyle(one).overflowX !== "visible" || scrolls(one.parentElement));
	for (const one of document.querySelectorAll("body *")) {
		if (!visible(one) || scrolls(one.parentElement)) continue;
		const box = one.getBoundingClientRect();
		if (box.right > innerWidth + 0.5 || box.left < -0.5) say(one, "outside of the window");
	}
	for (const one of [...document.querySelectorAll("button, input, select, textarea")].filter(visible)) {
		if (one.getBoundingClientRect().height < least) say(one, "too small to press");
		if (!one.labels?.length && !one.textContent.trim()) say(one, "without a name");
	}
	const rgb = (color) => color.match(/[\d.]+/g).map(Number);
	const light = (color) => rgb(color).slice(0, 3).map((c) => c / 255)
		.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (one) => {
		const color = getComputedStyle(one).backgroundColor;
		return (rgb(color)[3] ?? 1) > 0 || !one.parentElement ? color : behind(one.parentElement);
	};
	for (const one of [...document.querySelectorAll("body *")].filter(visible)) {
		const says = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) || one.value;
		if (!says || one.disabled) continue;
		const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
		if ((a + 0.05) / (b + 0.05) < 4.5) say(one, "hard to read, " + ((a + 0.05) / (b + 0.05)).toFixed(1));
	}
	return found;
})`

// looks looks at the page as it is, in two sizes, light and dark.
func (p *page) looks(name string) {
	p.t.Helper()
	for _, size := range [][2]int64{{360, 640}, {1280, 800}} {
		for _, scheme := range []string{"light", "dark"} {
			p.do(chromedp.EmulateViewport(size[0], size[1]), prefers(scheme))
			for _, fault := range get(p, chromedp.Evaluate[[]string](fmt.Sprintf("%s(%d)", faults, p.least))) {
				p.t.Errorf("%s, %d pixels wide, %s: %s", name, size[0], scheme, fault)
			}
			if *shots == "" {
				continue
			}
			file := filepath.Join(*shots, fmt.Sprintf("%s-%d-%s.png", name, size[0], scheme))
			if err := os.WriteFile(file, get(p, chromedp.FullScreenshot(100)), 0o600); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

func prefers(scheme string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})
}

func TestLooks(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	alice, bob := c.open(t, origin), newFriend(t, d.tcp)
	alice.looks("without-key")
	pem := alice.makesKey()
	alice.fill("#name", "Bob")
	alice.fill("#friend", bob.pem())
	alice.looks("with-key")
	alice.starts("ws://127.0.0.1:80000", "Bob", bob.pem())
	alice.shows("#problem", "This is no address")
	alice.looks("problem")
	alice.starts(d.web, strings.Repeat("Bob of the long name ", 2), bob.pem())
	session := bob.accepts(pem)
	alice.opens()
	alice.looks("nothing-said")
	bob.says(session, "Hello Alice, are you there?", "https://example.org/"+strings.Repeat("a-long-word", 20), "שלום עולם", "👋")
	alice.shows(".message.theirs", "👋")
	alice.types("Yes. " + strings.Repeat("That is a sentence of some length. ", 5))
	alice.types("Grüße!")
	if got := bob.hears(session, 2); got[1] != "Grüße!" {
		t.Errorf("the friend hears %q", got)
	}
	alice.shows(".message.mine:last-of-type .state", "✓")
	alice.looks("chat")
	alice.safetyNumber()
	alice.click("#safety summary")
	alice.looks("safety-number")
	alice.click("#safety summary")
	session.GiveUp()
	alice.shows("[role=alert]", "The session was given up.")
	alice.shows("#end", "Back")
	alice.looks("over")
}
