package listener_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/listener"
)

func TestAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "relay.sock")
	listens := func() net.Listener {
		t.Helper()
		ln, err := listener.Unix(t.Context(), path, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	isRefused := func(says string) {
		t.Helper()
		if ln, err := listener.Unix(t.Context(), path, 0o640); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, %v", ln, err)
		}
	}
	ln := listens()
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	isRefused("address already in use")
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	ln.(*net.UnixListener).SetUnlinkOnClose(false) // as when it is killed
	_ = ln.Close()
	ln = listens()
	_ = ln.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	isRefused("is no socket")
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
	path = filepath.Join(path, "below", "a", "file")
	isRefused("not a directory")
}
