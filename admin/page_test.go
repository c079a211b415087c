package admin_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/admin"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var (
	linked   = regexp.MustCompile(`(?:href|src)="([^"/]+)"`)
	imported = regexp.MustCompile(`from "\./([^"]+)"`)
	// inline is what the Content-Security-Policy forbids, and what makes a part of the page of a text.
	inline = regexp.MustCompile(`(?i)<style|<script[^>]*>[^<]|\sstyle="|\son[a-z]+="|javascript:|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`)
)

func TestThePageIsWhole(t *testing.T) {
	h := admin.Handler(start(t).Relay, admin.Options{})
	seen := map[string]bool{}
	var look func(path, kind string)
	look = func(path, kind string) {
		if seen[path] {
			return
		}
		seen[path] = true
		w := ask(h, "GET", "/"+path)
		if got := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(got, kind) {
			t.Errorf("/%s: %d, %s, want %s", path, w.Code, got, kind)
		}
		text := w.Body.String()
		if found := inline.FindString(text); found != "" {
			t.Errorf("/%s has %q", path, found)
		}
		for _, link := range append(linked.FindAllStringSubmatch(text, -1), imported.FindAllStringSubmatch(text, -1)...) {
			kinds := map[string]string{"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
			look(link[1], kinds[link[1][strings.LastIndexByte(link[1], '.')+1:]])
		}
	}
	look("", "text/html")
	if len(seen) < 10 {
		t.Errorf("only these were found: %v", seen)
	}
}

func TestThePageHasASentenceForWhateverIsCounted(t *testing.T) {
	words := ask(admin.Handler(start(t).Relay, admin.Options{}), "GET", "/words.js").Body.String()
	var counted []string
	for code := frames.Code(1); code <= frames.LastCode; code++ {
		counted = append(counted, code.String())
	}
	for _, ending := range []supervisor.Ending{
		0, supervisor.EndingClient, supervisor.EndingNetwork, supervisor.EndingEarly, supervisor.EndingRefused, supervisor.EndingLogin,
		supervisor.EndingSlow, supervisor.EndingReplaced, supervisor.EndingBarred, supervisor.EndingCrash, supervisor.EndingStop,
	} {
		counted = append(counted, ending.String())
	}
	for _, name := range counted {
		if !strings.Contains(words, "\n  "+name+": \"") {
			t.Errorf("there is no sentence for %s", name)
		}
	}
}
