package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/store/storetest"
)

// A disk that fills up refuses pins while it still has room, keeps those it has, and takes pins again when there is room.
func TestDiskThatFillsUp(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	const least = 8 << 20
	folder, rest := filepath.Join(dir, "store"), filepath.Join(dir, "rest")
	s := opened(t, folder, Options{MinFree: least})
	pinned(t, s, 1, storetest.Midnight)
	closed(t, s)
	if err := os.WriteFile(rest, make([]byte, 25<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s = opened(t, folder, Options{MinFree: least})
	if err := s.Pin(storetest.Key(2), storetest.Midnight); !errors.Is(err, store.ErrNoRoom) {
		t.Errorf("%v", err)
	}
	if _, ok, err := s.Pinned(storetest.Key(1)); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if was, err := s.Unpin(storetest.Key(1)); !was || err != nil {
		t.Errorf("%v, %v", was, err)
	}
	if err := os.Remove(rest); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	s = opened(t, folder, Options{MinFree: least})
	pinned(t, s, 2, storetest.Midnight)
	closed(t, s)
}
