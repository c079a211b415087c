package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mdeiml/blubbel-server/store"
)

// ErrLocked says that another process has the store open.
var ErrLocked = errors.New("another process has it open")

// Open opens the store in a folder, and makes both if they are not there. The error is one line that says what to do; it is an [ErrLocked] when
// another process has the store open.
func Open(dir string, o Options) (*Store, error) {
	o.fs = cmp.Or[vfs.FS](o.fs, vfs.Default)
	if err := o.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, explain(dir, err)
	}
	lock, err := pebble.LockDirectory(dir, o.fs)
	if err != nil {
		return nil, explain(dir, locked(err))
	}
	s := &Store{dir: dir, fs: o.fs, lock: lock, room: guard{least: cmp.Or(o.MinFree, 64<<20), free: func() (uint64, error) {
		usage, err := o.fs.GetDiskUsage(dir)
		return usage.AvailBytes, err
	}}}
	if err := s.open(o); err != nil {
		_ = lock.Close()
		return nil, explain(dir, err)
	}
	return s, nil
}

// open is Open, when the folder is locked.
func (s *Store) open(o Options) (err error) {
	sealed, ok, err := readSeal(s.fs, s.dir)
	if err != nil {
		return err
	}
	if s.db, err = openPebble(s.dir, o.pebble(s.lock)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = s.db.Close()
		}
	}()
	if err := s.checkFormat(); err != nil {
		return err
	}
	err = s.each(nil, func(key store.Fingerprint, d day) error {
		s.pins.Add(1)
		s.sum.Add(digest(key, d))
		return nil
	})
	if err != nil {
		return err
	}
	if is := s.seal(); ok && is != sealed {
		return fmt.Errorf("it was closed with %d pins, and now has %d, or others", sealed.pins, is.pins)
	}
	return breakSeal(s.fs, s.dir)
}

// openPebble is pebble.Open, which may panic about files that are damaged.
func openPebble(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("%v", r)
		}
	}()
	return pebble.Open(dir, o)
}

// pebble returns Pebble's options. A relay is small, and pins are few and short; what is not set here is for much more than that.
func (o Options) pebble(lock *pebble.Lock) *pebble.Options {
	p := &pebble.Options{
		FS:                          o.fs,
		Lock:                        lock,
		FormatMajorVersion:          pebble.FormatValueSeparation, // by name: a newer Pebble is not to make it unreadable for older relays
		Logger:                      logger{o},
		EventListener:               &pebble.EventListener{},
		CacheSize:                   4 << 20,
		MemTableSize:                1 << 20,
		MemTableStopWritesThreshold: 4,
	}
	p.EventListener.DataCorruption = func(info pebble.DataCorruptionInfo) { // whoever reads it is told, too; others may go on
		logger{o}.Errorf("damaged: %v", info)
	}
	p.Levels[0].FilterPolicy = bloom.FilterPolicy(10)
	p.Levels[0].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression } // hashes do not get shorter
	return p
}

// logger hands on what Pebble says.
type logger struct{ Options }

// Infof implements pebble.Logger.
func (logger) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (l logger) Errorf(format string, args ...any) {
	if l.Error != nil {
		l.Error(format, args...)
	}
}

// Fatalf implements pebble.Logger.
func (l logger) Fatalf(format string, args ...any) {
	if l.Fatal == nil {
		panic(fmt.Sprintf(format, args...))
	}
	l.Fatal(format, args...)
}

// format is the version of what this package writes.
const format byte = 1

// formatKey is where the version stands.
const formatKey = "v"

// errNewer says that the store is beyond us.
var errNewer = errors.New("a newer version of this program has written it")

// checkFormat checks the version of what is written, and writes it where nothing is.
func (s *Store) checkFormat() error {
	value, closer, err := s.db.Get([]byte(formatKey))
	if errors.Is(err, pebble.ErrNotFound) {
		return s.writeFormat()
	}
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()
	if len(value) != 1 {
		return errors.New("its version cannot be read")
	}
	if value[0] > format {
		return fmt.Errorf("%w: its format is %d, this one reads formats up to %d", errNewer, value[0], format)
	}
	return nil
}

// writeFormat begins a store.
func (s *Store) writeFormat() error {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return err
	}
	empty := !it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return err
	}
	if !empty {
		return errors.New("it has no version")
	}
	return s.db.Set([]byte(formatKey), []byte{format}, pebble.Sync)
}

// locked says that a lock could not be had because another process has it, unless there is something else the matter.
func locked(err error) error {
	if advice(err) != "" {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrLocked, err)
}

// explain makes one line of what keeps a store from opening.
func explain(dir string, err error) error {
	text := advice(err)
	if text == "" {
		text = "it is damaged: put a copy of it back, or move the folder away to begin anew, with no key pinned"
	}
	return &openError{text: fmt.Sprintf("cannot open the store in %s: %s (%s)", dir, text, strings.Join(strings.Fields(err.Error()), " ")), cause: err}
}

// openError is an error whose text is one line.
type openError struct {
	text  string
	cause error
}

// Error implements error.
func (e *openError) Error() string { return e.text }

// Unwrap returns the cause.
func (e *openError) Unwrap() error { return e.cause }

// advice says what to do about an error that is no damage.
func advice(err error) string {
	switch {
	case errors.Is(err, ErrLocked):
		return "another process has it open; stop that one first, or choose another folder"
	case errors.Is(err, errNewer):
		return "a newer version of this program has written it; run that one, or choose another folder"
	case errors.Is(err, fs.ErrPermission):
		return "not permitted; give the folder and what is in it to the user that this runs as, or choose another folder"
	case errors.Is(err, syscall.EROFS):
		return "the file system is read-only; make it writable, or choose another folder"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return "there is a file where a folder should be; move it away, or choose another folder"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "the disk is full; make room, or choose another folder"
	}
	return ""
}
