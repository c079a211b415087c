package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/store/disk"
)

// unpin forgets that a key has proved possession.
type unpin struct {
	stateFolder
	Fingerprint fingerprint `arg:"" help:"The key's fingerprint: 64 hexadecimal digits, as blubbel id prints them."`
}

const unpinned = "unpinned %s; the next to prove possession of this key pins it again\n"

// fingerprint is a fingerprint as an argument.
type fingerprint store.Fingerprint

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *fingerprint) UnmarshalText(text []byte) error {
	key, err := parseFingerprint(string(text))
	*f = fingerprint(key)
	return err
}

// Run implements the command.
func (u unpin) Run(s streams) (err error) {
	if _, err := os.Stat(u.storeFolder()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store in %s; name the relay's folder with --state", u.State)
	}
	pins, err := u.openStore(disk.Options{})
	if errors.As(err, &heldError{}) {
		return fmt.Errorf("the relay runs: stop it first, or ask it: blubbel-server ctl unpin %s --admin ADDRESS", hex.EncodeToString(u.Fingerprint[:]))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pins.Close()) }()
	was, err := pins.Unpin(store.Fingerprint(u.Fingerprint))
	if err != nil {
		return err
	}
	if !was {
		return fmt.Errorf("%s is not pinned", hex.EncodeToString(u.Fingerprint[:]))
	}
	_, err = fmt.Fprintf(s.out, unpinned, hex.EncodeToString(u.Fingerprint[:]))
	return err
}
