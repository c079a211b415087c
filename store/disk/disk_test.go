package disk

import (
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/store/storetest"
)

var rounds = flag.Int("store.rounds", 1, "how many times as long the tests by chance are to take")

func TestMain(m *testing.M) {
	if dir := os.Getenv(pinnerDir); dir != "" {
		pinner(dir)
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

func TestDisk(t *testing.T) {
	storetest.Conform(t, func(t *testing.T) store.Store { return opened(t, t.TempDir(), Options{}) })
}

// opened opens a store.
func opened(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func pinned(t testing.TB, s *Store, n int, at time.Time) {
	t.Helper()
	if err := s.Pin(storetest.Key(n), at); err != nil {
		t.Fatal(err)
	}
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir, Options{})
	for n := range 100 {
		pinned(t, s, n, storetest.Midnight.Add(time.Duration(n)*dayLength))
	}
	for range 3 {
		closed(t, s)
		if _, ok, err := readSeal(vfs.Default, dir); !ok || err != nil {
			t.Errorf("it is closed, and sealed: %v, %v", ok, err)
		}
		s = opened(t, dir, Options{})
		if _, ok, err := readSeal(vfs.Default, dir); ok || err != nil {
			t.Errorf("it is open, and sealed: %v, %v", ok, err)
		}
		if s.Pins() != 100 {
			t.Errorf("%d pins, want 100", s.Pins())
		}
		for n := range 100 {
			want := storetest.Midnight.Add(time.Duration(n) * dayLength)
			if at, ok, err := s.Pinned(storetest.Key(n)); err != nil || !ok || !at.Equal(want) {
				t.Errorf("key %d: %v, %v, %v", n, at, ok, err)
			}
		}
	}
	closed(t, s)
	if state, err := os.Stat(dir); err != nil || !state.IsDir() {
		t.Error(err)
	}
}

// What comes after Close is told so, and ends no process.
func TestWhoComesTooLate(t *testing.T) {
	s := opened(t, t.TempDir(), Options{})
	closed(t, s)
	_, _, got := s.Pinned(storetest.Key(1))
	_, unpinned := s.Unpin(storetest.Key(1))
	_, expired := s.Expire(storetest.Midnight)
	for _, err := range []error{s.Pin(storetest.Key(1), storetest.Midnight), got, unpinned, expired} {
		if !errors.Is(err, errClosed) {
			t.Errorf("%v", err)
		}
	}
	closed(t, s)
}

// Who changes a pin waits for who else does: so a pin that is renewed cannot expire, and is not said to be kept before it is.
func TestOneAtATimeChangesAPin(t *testing.T) {
	key := storetest.Key(1)
	for name, change := range map[string]func(*Store) error{
		"Pin":    func(s *Store) error { return s.Pin(key, storetest.Midnight) },
		"Unpin":  func(s *Store) error { _, err := s.Unpin(key); return err },
		"Expire": func(s *Store) error { _, err := s.Expire(storetest.Midnight); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := opened(t, "store", Options{fs: vfs.NewMem()})
			share := &s.shares[key[0]]
			share.Lock()
			done := make(chan error)
			go func() { done <- change(s) }() // ends when the share is free
			select {
			case err := <-done:
				t.Fatalf("it does not wait: %v", err)
			case <-time.After(30 * time.Millisecond): // if it waits, no time is too long
			}
			share.Unlock()
			if err := <-done; err != nil {
				t.Error(err)
			}
			closed(t, s)
		})
	}
}

func TestFolderOfANewStoreIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	dir := t.TempDir() + "/new/store"
	closed(t, opened(t, dir, Options{}))
	if state, err := os.Stat(dir); err != nil || state.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", state, err)
	}
}

// A file system that fails, as a test has it.
type badFS struct {
	vfs.FS
	mkdir, lock error
	sync        atomic.Pointer[func() error] // instead of syncing a file
}

func (f *badFS) MkdirAll(dir string, mode os.FileMode) error {
	if f.mkdir != nil {
		return f.mkdir
	}
	return f.FS.MkdirAll(dir, mode)
}

func (f *badFS) Lock(name string) (io.Closer, error) {
	if f.lock != nil {
		return nil, f.lock
	}
	return f.FS.Lock(name)
}

func (f *badFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return badFile{file, f}, err
}

func (f *badFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(from, to, c)
	return badFile{file, f}, err
}

type badFile struct {
	vfs.File
	fs *badFS
}

func (f badFile) Sync() error {
	if instead := f.fs.sync.Load(); instead != nil {
		return (*instead)()
	}
	return f.File.Sync()
}

func (f badFile) SyncData() error { return f.Sync() }

func (f badFile) SyncTo(int64) (bool, error) { return true, f.Sync() }

func TestWhatDoesNotOpenIsOneClearLine(t *testing.T) {
	failed := func(err error) error { return &os.PathError{Op: "open", Path: "x", Err: err} }
	for says, prepare := range map[string]func(t *testing.T, dir string) vfs.FS{
		"another process has it open": func(t *testing.T, dir string) vfs.FS {
			s := opened(t, dir, Options{})
			t.Cleanup(func() { closed(t, s) })
			return vfs.Default
		},
		"a newer version of this program has written it": func(t *testing.T, dir string) vfs.FS {
			s := opened(t, dir, Options{})
			if err := s.db.Set([]byte(formatKey), []byte{format + 1}, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			closed(t, s)
			return vfs.Default
		},
		"it has no version": func(t *testing.T, dir string) vfs.FS {
			s := opened(t, dir, Options{})
			pinned(t, s, 1, storetest.Midnight)
			if err := s.db.Delete([]byte(formatKey), pebble.Sync); err != nil {
				t.Fatal(err)
			}
			closed(t, s)
			return vfs.Default
		},
		"there is a file where a folder should be": func(t *testing.T, dir string) vfs.FS {
			if err := os.WriteFile(dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return vfs.Default
		},
		"not permitted":                func(*testing.T, string) vfs.FS { return &badFS{FS: vfs.Default, lock: failed(syscall.EACCES)} },
		"not permitted; give":          func(*testing.T, string) vfs.FS { return &badFS{FS: vfs.Default, mkdir: failed(syscall.EPERM)} },
		"the file system is read-only": func(*testing.T, string) vfs.FS { return &badFS{FS: vfs.Default, lock: failed(syscall.EROFS)} },
		"the disk is full":             func(*testing.T, string) vfs.FS { return &badFS{FS: vfs.Default, mkdir: failed(syscall.ENOSPC)} },
		"it was closed with 7 pins, and now has 1": func(t *testing.T, dir string) vfs.FS {
			s := opened(t, dir, Options{})
			pinned(t, s, 1, storetest.Midnight)
			closed(t, s)
			if err := (seal{pins: 7}).write(vfs.Default, dir); err != nil {
				t.Fatal(err)
			}
			return vfs.Default
		},
		"its seal cannot be read": func(t *testing.T, dir string) vfs.FS {
			closed(t, opened(t, dir, Options{}))
			if err := os.WriteFile(dir+"/"+sealName, []byte("pins x"), 0o600); err != nil {
				t.Fatal(err)
			}
			return vfs.Default
		},
	} {
		t.Run(says, func(t *testing.T) {
			dir := t.TempDir() + "/store"
			s, err := Open(dir, Options{fs: prepare(t, dir)})
			if err == nil {
				closed(t, s)
				t.Fatal("it opens")
			}
			clear := strings.HasPrefix(err.Error(), "cannot open the store in "+dir+": ")
			if !clear || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), says) {
				t.Errorf("%v", err)
			}
			if errors.Is(err, ErrLocked) != strings.HasPrefix(says, "another process") {
				t.Errorf("is it locked? %v", err)
			}
		})
	}
}

// An older version may be all there is.
func TestOlderVersionIsRead(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir, Options{})
	pinned(t, s, 1, storetest.Midnight)
	if err := s.db.Set([]byte(formatKey), []byte{format - 1}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	s = opened(t, dir, Options{})
	defer closed(t, s)
	if _, ok, err := s.Pinned(storetest.Key(1)); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestNoRoom(t *testing.T) {
	files := vfs.NewMem()
	const least = 64 << 20
	for _, c := range []struct {
		free uint64
		want error
	}{{least, nil}, {least - 1, store.ErrNoRoom}, {0, store.ErrNoRoom}, {1 << 40, nil}} {
		files.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: c.free, TotalBytes: 1 << 41})
		s := opened(t, "store", Options{fs: files}) // anew, or it would not look again within the second
		if err := s.Pin(storetest.Key(1), storetest.Midnight); !errors.Is(err, c.want) {
			t.Errorf("with %d bytes free: %v, want %v", c.free, err, c.want)
		}
		pins := s.Pins()
		if was, err := s.Unpin(storetest.Key(1)); err != nil || was != (c.want == nil) {
			t.Errorf("with %d bytes free: unpinned %v, %v", c.free, was, err)
		}
		if (pins == 1) != (c.want == nil) {
			t.Errorf("with %d bytes free: %d pins", c.free, pins)
		}
		closed(t, s)
	}
}

// Who forgets needs no room.
func TestUnpinNeedsNoRoom(t *testing.T) {
	files := vfs.NewMem()
	s := opened(t, "store", Options{fs: files})
	for n := range 3 {
		pinned(t, s, n, storetest.Midnight)
	}
	closed(t, s)
	files.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 1})
	s = opened(t, "store", Options{fs: files})
	if err := s.Pin(storetest.Key(0), storetest.Midnight); err != nil {
		t.Errorf("it is pinned already: %v", err)
	}
	if was, err := s.Unpin(storetest.Key(0)); err != nil || !was {
		t.Errorf("%v, %v", was, err)
	}
	if n, err := s.Expire(storetest.Midnight.Add(dayLength)); err != nil || n != 2 {
		t.Errorf("%v, %v", n, err)
	}
	closed(t, s)
}

func TestFreeSpaceIsLookedAtOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks, free := 0, uint64(10)
		var fails error
		g := guard{least: 10, free: func() (uint64, error) { looks++; return free, fails }}
		for _, c := range []struct {
			free  uint64
			fails error
			after time.Duration
			want  bool
			looks int
		}{
			{10, nil, 0, true, 1},
			{9, nil, lookAgain - 1, true, 1},
			{9, nil, 1, false, 2},
			{10, nil, lookAgain - 1, false, 2},
			{10, nil, 1, true, 3},
			{0, errors.ErrUnsupported, lookAgain, true, 4},
		} {
			<-time.After(c.after)
			free, fails = c.free, c.fails
			if got := g.enough(); got != c.want || looks != c.looks {
				t.Errorf("%+v: %v, %d looks", c, got, looks)
			}
		}
	})
}

// When the log cannot be written, no pin is said to be kept.
func TestFatal(t *testing.T) {
	files := &badFS{FS: vfs.NewMem()}
	var said atomic.Pointer[string]
	s := opened(t, "store", Options{fs: files, Fatal: func(format string, _ ...any) { // the process would end here
		said.Store(&format)
		runtime.Goexit()
	}})
	pinned(t, s, 1, storetest.Midnight)
	broken := func() error { return syscall.EIO }
	files.sync.Store(&broken)
	var all sync.WaitGroup
	all.Go(func() {
		t.Errorf("it is not kept, and Pin returns %v", s.Pin(storetest.Key(2), storetest.Midnight))
	})
	all.Wait()
	if said.Load() == nil {
		t.Error("nothing was said")
	}
}

const pinnerDir = "BLUBBEL_TEST_PINNER"

// command runs this test again, as a process that pins.
func command(dir string) *exec.Cmd {
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), pinnerDir+"="+dir)
	c.Stderr = os.Stderr
	return c
}
