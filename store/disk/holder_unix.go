//go:build unix

package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Holder returns which other process has the store in a folder open; 0 if one has that cannot be seen from here. Held is false if none has,
// or if there is no store. A process that has the store open itself must not ask: that would end its lock.
func Holder(dir string) (pid int, held bool, err error) {
	file, err := os.Open(filepath.Join(dir, "LOCK")) //nolint:gosec // the operator says where
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = file.Close() }()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart} // the one that Pebble takes
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, false, err
	}
	if lock.Type == unix.F_UNLCK {
		return 0, false, nil
	}
	return int(lock.Pid), true, nil
}
