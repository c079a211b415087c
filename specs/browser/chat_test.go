package browser

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// texts are what somebody might say, and what must not become a part of the page.
var texts = []string{
	"Grüße aus Köln, Äpfel und Öl", "👋🏽 emoji 👩‍👩‍👧‍👦", `<img src=x onerror="document.title='got in'"> <b>bold</b> &amp;`, "שלום עולם", strings.Repeat("long ", 3000),
}

func TestTwoBrowsersTalk(t *testing.T) {
	c, origin := newChromium(t), site(t)
	relay := start(t, origin).web
	alice, bob := c.open(t, origin), c.open(t, origin)
	toAlice, toBob := alice.makesKey(), bob.makesKey()
	alice.starts(relay, "Bob", toBob)
	bob.starts(relay, "Alice", toAlice)
	alice.opens()
	bob.opens()
	if a, b := alice.safetyNumber(), bob.safetyNumber(); a != b {
		t.Errorf("Alice sees the safety number %s, and Bob %s", a, b)
	}
	alice.types("Hello Bob, grüße! 👋")
	bob.shows(".message.theirs", "Hello Bob, grüße! 👋")
	bob.types("Hello Alice! Schön 🎉")
	alice.shows(".message.theirs", "Hello Alice! Schön 🎉")
	alice.shows(".message.mine .state", "✓")
	bob.click("#end")
	alice.shows("#log", "Bob has ended the chat")
	for _, p := range []*page{alice, bob} {
		p.shows("#log", "Both of you have said everything.")
		p.shows("#end", "Back")
	}
	bob.click("#end")
	bob.do(chromedp.WaitVisible("#setup"))
}

func TestAFriendWithAnotherProgram(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	alice, bob := c.open(t, origin), newFriend(t, d.tcp)
	pem := alice.makesKey()
	alice.starts(d.web, "Bob", bob.pem())
	session := bob.accepts(pem)
	alice.opens()
	if got, want := alice.safetyNumber(), client.SafetyNumber(bob.self.Key(), bob.key(pem)); got != want {
		t.Errorf("the page shows the safety number %s, want %s", got, want)
	}
	talk(t, alice, bob, session)

	// The friend's program is started again. The page has a session, so it does not ask, but is asked.
	alice.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#log").replaceChildren()`))
	bob.logsIn(d.tcp)
	session = bob.asks(pem)
	alice.shows("#log", "Bob has begun anew.")
	talk(t, alice, bob, session)
	bob.ends(session, "bis später")
	alice.shows("#log", "Bob has ended the chat: bis später")
	alice.shows("#log", "Both of you have said everything.")
}

// talk has both say something, and each hear it.
func talk(t *testing.T, p *page, f *friend, session *client.Session) {
	t.Helper()
	p.opens()
	f.says(session, texts...)
	p.until(fmt.Sprintf(`document.querySelectorAll(".message.theirs").length === %d`, len(texts)))
	if got := p.messages(); !slices.Equal(got, texts) {
		t.Errorf("the page shows %q", got)
	}
	p.types("Schön! 🎉")
	if got := f.hears(session, 1); got[0] != "Schön! 🎉" {
		t.Errorf("the friend hears %q", got)
	}
	p.shows(".message.mine .state", "✓")
	if err := session.Flush(f.limited()); err != nil {
		t.Error(err)
	}
}

func TestReloadingKeepsTheKey(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	relay := d.web
	alice, bob := c.open(t, origin), newFriend(t, d.tcp)
	pem := alice.makesKey()
	alice.starts(relay, "Bob", bob.pem())
	first := bob.accepts(pem)
	alice.opens()
	bob.says(first, "one")
	alice.shows(".message.theirs", "one")
	alice.do(chromedp.Reload(), chromedp.WaitVisible("#key"))
	if got := alice.value("#key"); got != pem {
		t.Errorf("after the reload the key is %s", got)
	}
	if got := alice.value("#friend"); strings.TrimSpace(got) != strings.TrimSpace(bob.pem()) {
		t.Errorf("after the reload the friend's key is %s", got)
	}
	alice.click("#go") // the friend has the old session yet
	second := bob.accepts(pem)
	alice.opens()
	bob.says(second, "two")
	alice.shows(".message.theirs", "two")
}

func TestAnotherRelayIsRefused(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d, other := start(t, origin), start(t, origin)
	p := c.open(t, origin)
	friend := newFriend(t, d.tcp)
	p.makesKey()
	p.starts(strings.Replace(d.web, d.id, other.id, 1), "Bob", friend.pem())
	p.shows("#problem", "This is another relay than the one in the address. Nothing was told to it.")
	p.starts(d.web, "Bob", friend.pem())
	p.shows("#status", "Asking Bob")
	p.click("#end")
	p.shows("#end", "Back")
	p.click("#end")
	p.starts(strings.Replace(d.web, d.id+"@", "", 1), "Bob", friend.pem())
	p.shows("#status", "Asking Bob")
}

func TestWhyItCannotConnectIsSaid(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, "https://somewhere.example")
	p := c.open(t, origin)
	friend := newFriend(t, d.tcp)
	p.makesKey()
	p.starts(d.web, "Bob", friend.pem())
	p.shows("#problem", "or the relay has to be told where this page comes from: --ws-origin "+origin)
	p.complains("WebSocket connection")
	p.complains("426 (Upgrade Required)")
	p.starts("ws://127.0.0.1:9999/", "Bob", friend.pem())
	p.shows("#problem", "Nobody answers at 127.0.0.1:9999.")
	p.complains("127.0.0.1:9999/")
	p.complains("ERR_CONNECTION_REFUSED")
	for address, said := range map[string]string{
		"http://127.0.0.1/":    "A relay's address looks like",
		"ws://abc@127.0.0.1/":  "is the relay's id",
		"127.0.0.1:8000":       "A relay's address looks like",
		"ws://127.0.0.1:80000": "This is no address",
	} {
		p.starts(address, "Bob", friend.pem())
		p.shows("#problem", said)
	}
	p.starts("ws://127.0.0.1:9999/", "Bob", "no key")
	p.shows("#problem", "A public key begins with")
	p.starts("ws://127.0.0.1:9999/", "Me", p.value("#key"))
	p.shows("#problem", "This is your own key.")
}

func TestAnEndBeforeThereIsAConnection(t *testing.T) {
	c, origin := newChromium(t), site(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() }) // behind the page, which would complain
	p, bob := c.open(t, origin), newFriend(t, start(t, origin).tcp)
	p.makesKey()
	p.starts("ws://"+silent.Addr().String(), "Bob", bob.pem())
	p.shows("#status", "Connecting")
	p.click("#end")
	p.shows("#end", "Back")
	p.click("#end")
	p.do(chromedp.WaitVisible("#setup"))
}

func TestAChangedRecordIsNoticed(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	var messages atomic.Int64
	liar := newBridge(t, d, origin, func(kind frames.Type, payload []byte) {
		if kind == frames.TypeMessage && messages.Add(1) == 4 {
			payload[len(payload)-1] ^= 1
		}
	})
	alice, bob := c.open(t, origin), c.open(t, origin)
	toAlice, toBob := alice.makesKey(), bob.makesKey()
	alice.starts(liar.address, "Bob", toBob)
	bob.starts(liar.address, "Alice", toAlice)
	alice.opens()
	bob.opens()
	alice.types("one")
	for _, p := range []*page{alice, bob} {
		p.shows("[role=alert]", "A message was forged or changed on its way.")
		p.shows("[role=alert]", "somebody tampers with it")
		p.shows("#end", "Back")
	}
}

func TestConnectionsBreak(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	way := newBridge(t, d, origin, func(frames.Type, []byte) {})
	alice, bob := c.open(t, origin), newFriend(t, d.tcp)
	pem := alice.makesKey()
	alice.starts(way.address, "Bob", bob.pem())
	session := bob.accepts(pem)
	alice.opens()
	said := 0
	for _, cut := range []func(){way.cut, bob.cut, func() { way.cut(); bob.cut() }} {
		for range 3 {
			said++
			text := fmt.Sprintf("text %d", said)
			bob.says(session, text)
			alice.types(text)
			if said%3 == 2 {
				cut()
			}
		}
		alice.shows(".message.theirs", fmt.Sprintf("text %d", said))
		alice.shows("#status", "Encrypted from end to end")
		if got, want := bob.hears(session, 3), alice.messages()[said-3:]; !slices.Equal(got, want) {
			t.Errorf("the friend hears %q, and the page %q", got, want)
		}
	}
	alice.until(fmt.Sprintf(`[...document.querySelectorAll(".state")].filter((one) => one.textContent === "✓").length === %d`, said))
	if err := session.Flush(bob.limited()); err != nil {
		t.Error(err)
	}
	if got := len(alice.messages()); got != said {
		t.Errorf("the page shows %d messages, want %d", got, said)
	}
}

func TestTheRelayIsRestarted(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	alice, bob := c.open(t, origin), newFriend(t, d.tcp)
	pem := alice.makesKey()
	alice.starts(d.web, "Bob", bob.pem())
	first := bob.accepts(pem)
	alice.opens()
	alice.ignores("ERR_CONNECTION_REFUSED") // if it is away for long enough to be noticed
	d.restarts(t)
	alice.shows("#status", "Not connected")
	second := bob.accepts(pem)
	alice.shows("#status", "Encrypted from end to end")
	talk(t, alice, bob, second)
	if first.Err() == nil {
		t.Error("the first session lives yet")
	}
}

func TestMuchIsSaidBothWays(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	p, bob := c.open(t, origin), newFriend(t, d.tcp)
	pem := p.makesKey()
	p.starts(d.web, "Bob", bob.pem())
	session := bob.accepts(pem)
	p.opens()
	const many = 500
	heard := make(chan []string, 1)
	go func() { heard <- bob.hears(session, many) }() // ends when all was said
	p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`for (let i = 0; i < %d; i++) {
		document.querySelector("#text").value = "text " + i;
		document.querySelector("#composer").requestSubmit();
	}`, many)))
	var want []string
	for i := range many {
		want = append(want, fmt.Sprintf("text %d", i))
	}
	bob.says(session, want...)
	if got := <-heard; !slices.Equal(got, want) {
		t.Errorf("the friend hears %q", got)
	}
	p.until(fmt.Sprintf(`document.querySelectorAll(".message.theirs").length === %d`, many))
	if got := p.messages(); !slices.Equal(got, want) {
		t.Errorf("the page shows %q", got)
	}
	p.until(fmt.Sprintf(`[...document.querySelectorAll(".state")].filter((one) => one.textContent === "✓").length === %d`, many))
}

func TestPingsAreAnswered(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin, "--ping-interval", "1s")
	p, bob := c.open(t, origin), newFriend(t, d.tcp)
	pem := p.makesKey()
	p.starts(d.web, "Bob", bob.pem())
	session := bob.accepts(pem)
	p.opens()
	began := get(p, chromedp.Evaluate[float64](`performance.now()`))
	p.until(fmt.Sprintf(`performance.now() > %f`, began+4000)) // who is silent is closed after three seconds
	p.types("yes")
	if got := bob.hears(session, 1); got[0] != "yes" {
		t.Errorf("the friend hears %q", got)
	}
	if got := p.text("#log"); strings.Contains(got, "Connecting again") {
		t.Errorf("the page shows %q", got)
	}
}

func TestOverTLS(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin, "--tls-self-signed")
	p, bob := c.open(t, origin), newFriend(t, d.tcp)
	pem := p.makesKey()
	p.starts(d.web, "Bob", bob.pem())
	talk(t, p, bob, bob.accepts(pem))
}

func TestTheKeyIsUsedElsewhere(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	p, bob := c.open(t, origin), newFriend(t, d.tcp)
	p.makesKey()
	p.starts(d.web, "Bob", bob.pem())
	p.shows("#status", "Asking Bob")
	second := p.another(origin)
	second.do(chromedp.WaitVisible("#key"))
	second.click("#go") // what was typed is there
	second.shows("#status", "Asking Bob")
	p.shows("[role=alert]", "REPLACED")
	p.shows("#status", "The chat is over")
}
