package browser

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is what a program has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // holds one element if something was written
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

// says waits until the program has written this.
func (o *output) says(t *testing.T, what string) {
	t.Helper()
	for limit := time.After(patience); ; {
		o.mu.Lock()
		text := o.text.String()
		o.mu.Unlock()
		if strings.Contains(text, what) {
			return
		}
		select {
		case <-o.more:
		case <-limit:
			t.Fatalf("it does not say %q but %q", what, text)
		}
	}
}

// A browser talks with the program for a terminal, both by WebSocket.
func TestAFriendInATerminal(t *testing.T) {
	c, origin := newChromium(t), site(t)
	d := start(t, origin)
	folder := t.TempDir()
	program := filepath.Join(folder, "blubbel")
	build := exec.Command("go", "build", "-o", program, "./cmd/blubbel")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	blubbel := func(args ...string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), program, args...)
		command.Dir = folder
		return command
	}
	if out, err := blubbel("keygen", "--key", "bob.pem").CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	bobs, err := blubbel("id", "--key", "bob.pem").Output()
	if err != nil {
		t.Fatal(err)
	}
	alice := c.open(t, origin)
	if err := os.WriteFile(filepath.Join(folder, "alice.pub"), []byte(alice.makesKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	chat := blubbel("chat", "--key", "bob.pem", "--peer", "alice.pub", "--relay", d.web)
	heard := &output{more: make(chan struct{}, 1)}
	chat.Stdout = heard
	types, err := chat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := chat.Start(); err != nil {
		t.Fatal(err)
	}
	alice.starts(d.web, "Bob", string(bobs))
	alice.opens()
	alice.types("Grüße aus dem Browser 👋")
	heard.says(t, "Grüße aus dem Browser 👋")
	if _, err := io.WriteString(types, "Grüße aus dem Terminal 🎉\n"); err != nil {
		t.Fatal(err)
	}
	alice.shows(".message.theirs", "Grüße aus dem Terminal 🎉")
	alice.shows(".message.mine .state", "✓")
	if err := types.Close(); err != nil {
		t.Fatal(err)
	}
	alice.shows("#log", "Bob has ended the chat")
	if err := chat.Wait(); err != nil {
		t.Errorf("the program ends with %v", err)
	}
}
