package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/mdeiml/blubbel-server/store"
)

// seal is what a store knows of its pins when it is closed. It lies in a file beside Pebble's until the store is opened again, so that there
// is none after a crash. A store that is not as it was sealed has lost pins, or has some back that were forgotten.
type seal struct {
	pins int64
	sum  uint64 // of the digests of all pins, whatever their order
}

const (
	sealName = "seal"
	sealForm = "pins %d, sum %016x\n"
)

// digest is what a pin adds to the sum. With a lesser hash the days of several pins would make up for each other.
func digest(key store.Fingerprint, d day) uint64 {
	hash := sha256.Sum256(binary.BigEndian.AppendUint32(key[:], uint32(d)))
	return binary.BigEndian.Uint64(hash[:])
}

func (s *Store) seal() seal { return seal{pins: s.pins.Load(), sum: s.sum.Load()} }

// readSeal returns the seal of the store in this folder, if it has one.
func readSeal(fs vfs.FS, dir string) (s seal, ok bool, err error) {
	file, err := fs.Open(fs.PathJoin(dir, sealName))
	if errors.Is(err, os.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(file)
	if err != nil {
		return s, false, err
	}
	_, err = fmt.Sscanf(string(text), sealForm, &s.pins, &s.sum)
	if err != nil || fmt.Sprintf(sealForm, s.pins, s.sum) != string(text) {
		return s, false, errors.New("its seal cannot be read")
	}
	return s, true, nil
}

// breakSeal removes a seal, durably: what is written from now on does not agree with it.
func breakSeal(fs vfs.FS, dir string) error {
	if err := fs.Remove(fs.PathJoin(dir, sealName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncFolder(fs, dir)
}

// write seals the store in this folder. Without a whole seal it has none.
func (s seal) write(fs vfs.FS, dir string) error {
	name := fs.PathJoin(dir, sealName)
	draft := name + ".new"
	file, err := fs.Create(draft, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, sealForm, s.pins, s.sum)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, fs.Remove(draft))
	}
	if err := fs.Rename(draft, name); err != nil {
		return err
	}
	return syncFolder(fs, dir)
}

func syncFolder(fs vfs.FS, dir string) error {
	folder, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
