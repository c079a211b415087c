package disk

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mdeiml/blubbel-server/store/storetest"
)

// image is what the files of a store hold, by name.
type image map[string][]byte

func readImage(t *testing.T, files vfs.FS) image {
	names, err := files.List("/store")
	if err != nil {
		t.Fatal(err)
	}
	i := image{}
	for _, name := range names {
		file, err := files.Open("/store/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if i[name], err = io.ReadAll(file); err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
	}
	return i
}

// files returns a file system with the files of the store.
func (i image) files(t *testing.T) *vfs.MemFS {
	files := vfs.NewMem()
	if err := files.MkdirAll("/store", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range i {
		file, err := files.Create("/store/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(text); err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
	}
	return files
}

// A bit has flipped in a store that lay closed: it does not open, or says what it cannot read, or has every pin, and no other.
func TestFlippedBits(t *testing.T) {
	const keys = 300
	for name, prepare := range map[string]func(*Store) error{
		"in the log":    func(*Store) error { return nil },
		"in tables":     func(s *Store) error { return s.db.Flush() },
		"in both":       func(s *Store) error { return half(s, keys) },
		"after changes": func(s *Store) error { return changed(s, keys) },
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			s := opened(t, "/store", Options{fs: mem})
			for n := range keys {
				pinned(t, s, n, storetest.Midnight)
			}
			if err := prepare(s); err != nil {
				t.Fatal(err)
			}
			closed(t, s)
			flip(t, readImage(t, mem), keys)
		})
	}
}

// half has half of the pins in tables, and the others in the log.
func half(s *Store, keys int) error {
	if err := s.db.Flush(); err != nil {
		return err
	}
	for n := range keys / 2 {
		if err := s.Pin(storetest.Key(n), storetest.Midnight.Add(dayLength)); err != nil {
			return err
		}
	}
	return nil
}

// changed has a list of files that has changed more than once.
func changed(s *Store, keys int) error {
	for range 3 {
		if err := half(s, keys); err != nil {
			return err
		}
		for n := range keys / 4 {
			if _, err := s.Unpin(storetest.Key(n)); err != nil {
				return err
			}
		}
	}
	return s.db.Flush()
}

func flip(t *testing.T, i image, keys int) {
	want := state(t, i, keys)
	random := rand.New(rand.NewPCG(5, 6))
	var names []string
	for name, text := range i {
		if len(text) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	opens := 0
	for range 250 * *rounds {
		name := names[random.IntN(len(names))]
		text := slices.Clone(i[name])
		at, bit := random.IntN(len(text)), random.IntN(8)
		text[at] ^= 1 << bit
		bad := image{}
		for other := range i {
			bad[other] = i[other]
		}
		bad[name] = text
		what := fmt.Sprintf("bit %d of byte %d of %d of %s", bit, at, len(text), name)
		files := bad.files(t)
		s, err := Open("/store", Options{fs: files, Fatal: func(format string, args ...any) {
			t.Errorf("%s: fatal: "+format, append([]any{what}, args...)...)
		}})
		if err != nil {
			if strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "cannot open the store in /store: ") {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		opens++
		for n := range keys {
			at, ok, err := s.Pinned(storetest.Key(n))
			if answer := fmt.Sprint(at, ok); err == nil && answer != want[n] {
				t.Errorf("%s: key %d: %s, want %s", what, n, answer, want[n])
				break
			}
		}
		_ = s.Close()
	}
	t.Logf("%d opened", opens)
	if all := 250 * *rounds; opens == 0 || opens == all {
		t.Errorf("%d of %d opened", opens, all)
	}
}

// state returns what a store says about each key.
func state(t *testing.T, i image, keys int) (all []string) {
	s := opened(t, "/store", Options{fs: i.files(t)})
	defer closed(t, s)
	for n := range keys {
		at, ok, err := s.Pinned(storetest.Key(n))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(at, ok))
	}
	return all
}
