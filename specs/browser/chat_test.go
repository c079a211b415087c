package browser

import (
	"fmt"
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
	relay := start(t).opened(t, origin)
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
	d := start(t)
	alice, bob := c.open(t, origin), newFriend(t, d.address)
	pem := alice.makesKey()
	alice.starts(d.opened(t, origin), "Bob", bob.pem())
	session := bob.accepts(pem)
	alice.opens()
	if got, want := alice.safetyNumber(), client.SafetyNumber(bob.self.Key(), bob.key(pem)); got != want {
		t.Errorf("the page shows the safety number %s, want %s", got, want)
	}
	talk(t, alice, bob, session)

	// The friend's program is started again. The page has a session, so it does not ask, but is asked.
	alice.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#log").replaceChildren()`))
	bob.logsIn(d.address)
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
	d := start(t)
	relay := d.opened(t, origin)
	alice, bob := c.open(t, origin), newFriend(t, d.address)
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
	d, other := start(t), start(t)
	p := c.open(t, origin)
	friend := newFriend(t, d.address)
	p.makesKey()
	right := strings.Replace(d.opened(t, origin), "://", "://"+d.id()+"@", 1)
	wrong := strings.Replace(right, d.id(), other.id(), 1)
	p.starts(wrong, "Bob", friend.pem())
	p.shows("#problem", "This is another relay than the one in the address. Nothing was told to it.")
	p.starts(right, "Bob", friend.pem())
	p.shows("#status", "Asking Bob")
}

func TestWhyItCannotConnectIsSaid(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t)
	p := c.open(t, origin)
	friend := newFriend(t, d.address)
	p.makesKey()
	p.starts(d.opened(t, "https://somewhere.example"), "Bob", friend.pem())
	p.shows("#problem", "or the relay has to be told where this page comes from: --ws-origin "+origin)
	p.complains("WebSocket")
	p.complains("426 (Upgrade Required)") // as a bridge says, or a relay
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

func TestAChangedRecordIsNoticed(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t)
	var messages atomic.Int64
	liar := newBridge(t, d.host(), origin, func(kind frames.Type, payload []byte) {
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
	d := start(t)
	way := newBridge(t, d.host(), origin, func(frames.Type, []byte) {})
	alice, bob := c.open(t, origin), newFriend(t, d.address)
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
	d := start(t)
	way := newBridge(t, d.host(), origin, func(frames.Type, []byte) {})
	alice, bob := c.open(t, origin), newFriend(t, d.address)
	pem := alice.makesKey()
	alice.starts(way.address, "Bob", bob.pem())
	first := bob.accepts(pem)
	alice.opens()
	d.restarts(t)
	alice.shows("#status", "Not connected")
	second := bob.accepts(pem)
	alice.shows("#status", "Encrypted from end to end")
	talk(t, alice, bob, second)
	if first.Err() == nil {
		t.Error("the first session lives yet")
	}
}

func TestTheKeyIsUsedElsewhere(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t)
	p, bob := c.open(t, origin), newFriend(t, d.address)
	p.makesKey()
	p.starts(d.opened(t, origin), "Bob", bob.pem())
	p.shows("#status", "Asking Bob")
	second := p.another(origin)
	second.do(chromedp.WaitVisible("#key"))
	second.click("#go") // what was typed is there
	second.shows("#status", "Asking Bob")
	p.shows("[role=alert]", "REPLACED")
	p.shows("#status", "The chat is over")
}
