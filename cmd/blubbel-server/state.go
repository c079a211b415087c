package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/store/disk"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// stateFolder is where the relay keeps what must survive a restart.
type stateFolder struct {
	State string `help:"Folder with what must survive a restart: who the relay is (file identity), and which keys are pinned (folder store). It is ${default} if not named." default:"./blubbel-state" placeholder:"DIR"`
}

// Validate implements kong.Validatable.
func (f stateFolder) Validate() error {
	if f.State == "" {
		return &invalid{"state", " is empty; name a folder, or leave it out"}
	}
	return nil
}

// storeFolder is where the store is.
func (f stateFolder) storeFolder() string { return filepath.Join(f.State, "store") }

// openStore opens the store, and makes it where there is none.
func (f stateFolder) openStore(o disk.Options) (*disk.Store, error) {
	opened, err := disk.Open(f.storeFolder(), o)
	if errors.Is(err, disk.ErrLocked) {
		return nil, heldError{f.State}
	}
	return opened, err
}

// heldError says that a relay has a state folder open.
type heldError struct{ folder string }

// Error implements error.
func (e heldError) Error() string {
	return fmt.Sprintf("another relay has the state folder %s open: stop it first, or choose another folder with --state", e.folder)
}

// state is what survives a restart.
type state struct {
	folder   string
	identity ed25519.PrivateKey
	isNew    bool // it was just made
	store    *disk.Store
	allowed  *allowed // by the file of --allow-keys; none without it
}

// openState opens the folder. Nobody else has it until the state is closed.
func (f stateFolder) openState(log *logrus.Entry, fatal func(string, ...any)) (*state, error) {
	opened, err := f.openStore(disk.Options{Fatal: fatal, Error: func(format string, args ...any) {
		log.WithField("cause", fmt.Sprintf(format, args...)).Warn("something is wrong with the store")
	}})
	if err != nil {
		return nil, err
	}
	identity, isNew, err := f.identity()
	if err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return &state{folder: f.State, identity: identity, isNew: isNew, store: opened}, nil
}

// introduce tells of a new identity.
func (s *state) introduce(log *logrus.Entry) {
	switch log := log.WithField("folder", s.folder); {
	case s.isNew && s.store.Pins() > 0:
		log.Warn("there was no identity in the state folder, and there are pins: the relay is another now, whose address friends do not have")
	case s.isNew:
		log.Info("the relay has a new identity; keep the state folder, and its address stays")
	}
}

// tend does what is to be done now and then while the relay runs, until ctx ends.
func (s *state) tend(ctx context.Context, relay *supervisor.Relay, log *logrus.Entry) {
	go giveBack(ctx, relay)      // ends with ctx
	go expire(ctx, s.store, log) // ends with ctx
	if s.allowed != nil {
		go s.allowed.watch(ctx, relay.Recheck) // ends with ctx
	}
}

func (s *state) close(log *logrus.Entry) {
	if err := s.store.Close(); err != nil {
		log.WithError(err).Error("the store was not closed")
	}
}

// reloaders are what SIGHUP has read again.
func (s *state) reloaders() []reloader {
	if s.allowed == nil {
		return nil
	}
	return []reloader{{"allowed keys", s.allowed.reload}}
}

// relayID is who the relay is.
func (s *state) relayID() frames.RelayID { return relayID(s.identity) }

func relayID(identity ed25519.PrivateKey) frames.RelayID {
	return frames.RelayID(identity[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

// identity reads the relay's key, and makes it at the first start.
func (f stateFolder) identity() (key ed25519.PrivateKey, isNew bool, err error) {
	key, err = f.readIdentity()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = newIdentity(f.identityFile())
		return key, true, err
	}
	return key, false, err
}

func (f stateFolder) identityFile() string { return filepath.Join(f.State, "identity") }

// readIdentity reads the relay's key, if it is there, and nobody else can.
func (f stateFolder) readIdentity() (ed25519.PrivateKey, error) {
	name := f.identityFile()
	text, err := os.ReadFile(name) //nolint:gosec // the operator says where
	if err != nil {
		return nil, fmt.Errorf("cannot read who the relay is: %w; give the file to the user that the relay runs as", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read who the relay is: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read the relay's key; forbid it with: chmod 600 %s", name)
	}
	return parseIdentity(name, text)
}

const identityBlock = "PRIVATE KEY"

func parseIdentity(name string, text []byte) (ed25519.PrivateKey, error) {
	if block, _ := pem.Decode(text); block != nil && block.Type == identityBlock {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if key, ok := parsed.(ed25519.PrivateKey); err == nil && ok {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s is not an Ed25519 key (PKCS #8, in PEM): put a copy of it back; or move it away for a new one, with which the relay's address changes", name)
}

// newIdentity makes a key, and the file with it: either all of it is there, or nothing.
func newIdentity(name string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := writeWhole(name, pem.EncodeToMemory(&pem.Block{Type: identityBlock, Bytes: der})); err != nil {
		return nil, fmt.Errorf("cannot write who the relay is: %w", err)
	}
	return key, nil
}

// writeWhole writes a file that is there as a whole, or not at all, even if the power fails.
func writeWhole(name string, text []byte) error {
	draft := name + ".new"                                                     // only who has the folder open writes there; what was left there by a crash is written over
	file, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the operator says where
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(draft))
	}
	if err := os.Rename(draft, name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// syncFolder makes what was renamed in a folder durable. On Windows folders cannot be synced.
func syncFolder(name string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(name) //nolint:gosec // the operator says where
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// exitStore is the exit code when the store cannot go on. It is EX_SOFTWARE of sysexits.
const exitStore = 70

// fatal returns what is to be called when the store cannot go on. Nothing else is done in good order then: whoever waits for a pin must not be told
// that it is kept.
func fatal(log *logrus.Entry, written func(), exit func(int)) func(string, ...any) {
	return func(format string, args ...any) {
		log.WithField("cause", fmt.Sprintf(format, args...)).Error("the store cannot go on; the relay ends")
		written()
		exit(exitStore)
	}
}

const (
	pinLife     = 366 * 24 * time.Hour // a year, and a day because a pin's time is no more exact
	expireEvery = 24 * time.Hour
)

// expire forgets old pins, at once and every day, until ctx ends.
func expire(ctx context.Context, pins store.Store, log *logrus.Entry) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		n, err := pins.Expire(time.Now().Add(-pinLife))
		switch {
		case ctx.Err() != nil: // the store may be closed already
			return
		case err != nil:
			log.WithError(err).Warn("old pins were not forgotten")
		case n > 0:
			log.WithField("pins", n).Info("old pins forgotten")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
