// Package disk keeps the store of a relay in a folder, by means of Pebble. It is a package of its own, so that programs which embed a relay
// with a store in memory link none of that. docs/decisions/0004-store.md says why it is Pebble.
//
// Each kind of thing has a prefix, so that there is room for others:
//
//	v                    the version of this format, one byte
//	p/ fingerprint (32)  the day of the key's last proof, in days since 1970 (4, big endian)
//
// The values have no checksum of their own: Pebble's blocks and log records have. But it takes a log, and its list of files, to end where they
// cannot be read, so that a bit that has flipped there loses everything behind it without a word. For that there is the [seal].
package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mdeiml/blubbel-server/store"
)

// Options are what can be set about a store. The zero value of a field stands for its default.
type Options struct {
	// MinFree is how many bytes must be free on the disk for a new pin. Pebble ends the process when its log cannot be written, so it is not
	// to come to that. Default: 64 MiB. Where it is unknown how much is free, nothing is refused.
	MinFree uint64
	// Error is told what went wrong behind the scenes, and may be mended. Default: nobody is.
	Error func(format string, args ...any)
	// Fatal is told why the store cannot go on, and is to end the process. Default: it panics.
	Fatal func(format string, args ...any)

	fs vfs.FS // the file system; a test's may lose what was not synced
}

// Store is a [store.Store] in a folder.
type Store struct {
	dir  string
	fs   vfs.FS
	db   *pebble.DB
	lock *pebble.Lock
	room guard

	using  sync.RWMutex // for writing by Close alone
	closed bool

	// shares are the pins by the first byte of their fingerprint. Who changes one holds its share until that is on the disk: so nobody is told
	// that a key is pinned already before it is, and as many can wait for the disk together.
	shares [256]sync.Mutex
	pins   atomic.Int64
	sum    atomic.Uint64 // of all pins, see seal
}

var _ store.Store = (*Store)(nil)

// errClosed is the answer to who comes too late.
var errClosed = errors.New("the store is closed")

// use says that the store is in use, until done is called.
func (s *Store) use() (done func(), err error) {
	s.using.RLock()
	if s.closed {
		s.using.RUnlock()
		return nil, errClosed
	}
	return s.using.RUnlock, nil
}

// Pin implements store.Store.
func (s *Store) Pin(key store.Fingerprint, at time.Time) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	share := &s.shares[key[0]]
	share.Lock()
	defer share.Unlock()
	before, was, err := s.get(key)
	now := dayOf(at)
	if err != nil || was && now <= before {
		return err
	}
	if !s.room.enough() {
		return store.ErrNoRoom
	}
	if err := s.db.Set(pinKey(key), now.value(), pebble.Sync); err != nil {
		return fmt.Errorf("cannot write a pin: %w", err)
	}
	if was {
		s.forget(key, before)
	}
	s.pins.Add(1)
	s.sum.Add(digest(key, now))
	return nil
}

// Pinned implements store.Store.
func (s *Store) Pinned(key store.Fingerprint) (at time.Time, ok bool, err error) {
	done, err := s.use()
	if err != nil {
		return time.Time{}, false, err
	}
	defer done()
	d, ok, err := s.get(key)
	return d.time(), ok, err
}

// Unpin implements store.Store.
func (s *Store) Unpin(key store.Fingerprint) (was bool, err error) {
	done, err := s.use()
	if err != nil {
		return false, err
	}
	defer done()
	share := &s.shares[key[0]]
	share.Lock()
	defer share.Unlock()
	before, was, err := s.get(key)
	if err != nil || !was {
		return false, err
	}
	if err := s.db.Delete(pinKey(key), pebble.Sync); err != nil {
		return false, fmt.Errorf("cannot delete a pin: %w", err)
	}
	s.forget(key, before)
	return true, nil
}

// Expire implements store.Store.
func (s *Store) Expire(before time.Time) (n int, err error) {
	for first := range s.shares {
		gone, err := s.expire(byte(first), before)
		n += gone
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// expire is Expire for a share of the pins.
func (s *Store) expire(first byte, before time.Time) (n int, err error) {
	done, err := s.use()
	if err != nil {
		return 0, err
	}
	defer done()
	s.shares[first].Lock()
	defer s.shares[first].Unlock()
	old := map[store.Fingerprint]day{}
	batch := s.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	err = s.each([]byte{first}, func(key store.Fingerprint, d day) error {
		if !d.time().Before(before) {
			return nil
		}
		old[key] = d
		return batch.Delete(pinKey(key), nil)
	})
	if err != nil || len(old) == 0 {
		return 0, err
	}
	if err := batch.Commit(pebble.Sync); err != nil {
		return 0, fmt.Errorf("cannot delete pins: %w", err)
	}
	for key, d := range old {
		s.forget(key, d)
	}
	return len(old), nil
}

// Pins implements store.Store.
func (s *Store) Pins() int { return int(s.pins.Load()) }

// Close implements store.Store.
func (s *Store) Close() error {
	s.using.Lock()
	defer s.using.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.db.Close()
	if err == nil {
		err = s.seal().write(s.fs, s.dir)
	}
	return errors.Join(err, s.lock.Close())
}

// forget takes a pin off the books.
func (s *Store) forget(key store.Fingerprint, d day) {
	s.pins.Add(-1)
	s.sum.Add(-digest(key, d))
}

// get reads a pin.
func (s *Store) get(key store.Fingerprint) (d day, ok bool, err error) {
	value, closer, err := s.db.Get(pinKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("cannot read a pin: %w", err)
	}
	d, err = readDay(value)
	return d, err == nil, errors.Join(err, closer.Close())
}

// each visits the pins whose fingerprints begin with these bytes, none or one, until one visit fails.
func (s *Store) each(first []byte, visit func(store.Fingerprint, day) error) (err error) {
	from := append([]byte(pinPrefix), first...)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: successor(from)})
	if err != nil {
		return fmt.Errorf("cannot read the pins: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()[len(pinPrefix):]
		d, err := readDay(it.Value())
		if err != nil || len(key) != len(store.Fingerprint{}) {
			return errPin
		}
		if err := visit(store.Fingerprint(key), d); err != nil {
			return err
		}
	}
	return it.Error()
}

const pinPrefix = "p/"

func pinKey(key store.Fingerprint) []byte { return append([]byte(pinPrefix), key[:]...) }

// successor returns the first key behind all that begin with this one, none if there is none.
func successor(key []byte) []byte {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] < 0xff {
			next := append([]byte(nil), key[:i+1]...)
			next[i]++
			return next
		}
	}
	return nil
}

// day is a day since 1970, in UTC. More exactly it is not remembered when somebody was here.
type day uint32

const dayLength = 24 * time.Hour

func dayOf(at time.Time) day {
	return day(max(at.Unix(), 0) / int64(dayLength/time.Second)) //nolint:gosec // for the next ten million years
}

func (d day) time() time.Time { return time.Unix(int64(d)*int64(dayLength/time.Second), 0).UTC() }

func (d day) value() []byte { return binary.BigEndian.AppendUint32(nil, uint32(d)) }

// errPin says that what stands behind the prefix of pins is none. The checksums are right, so somebody has put it there.
var errPin = errors.New("the store holds a pin that is none")

func readDay(value []byte) (day, error) {
	if len(value) != 4 {
		return 0, errPin
	}
	return day(binary.BigEndian.Uint32(value)), nil
}
