package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// keyFile is where the user's own key is.
type keyFile struct {
	Key string `help:"File with your secret key (${default})." default:"${key}" placeholder:"FILE" env:"BLUBBEL_KEY"`
}

// keygen makes a key.
type keygen struct{ keyFile }

// Run implements the command.
func (k keygen) Run(s streams) error {
	self, err := client.NewIdentity()
	if err != nil {
		return err
	}
	text, err := self.MarshalPEM()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(k.Key), 0o700); err != nil {
		return fmt.Errorf("cannot make the folder of the key: %w", err)
	}
	if err := writeNew(k.Key, text); err != nil {
		return err
	}
	s.say("made %s; keep it to yourself", k.Key)
	s.say("your fingerprint: %s", self.Key().Hex())
	s.say("give your friends what this prints: blubbel id%s", k.flag())
	return nil
}

// flag is the flag that this key needs, if it is not the usual one.
func (k keyFile) flag() string {
	if k.Key == defaultKey() {
		return ""
	}
	return " --key " + k.Key
}

// writeNew writes a file that must not be there, and leaves no half of one.
func writeNew(name string, text []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the user says where
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; choose another file with --key (a key that is overwritten is lost)", name)
	}
	if err != nil {
		return fmt.Errorf("cannot write the key: %w", err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		_ = os.Remove(name)
		return fmt.Errorf("cannot write the key: %w", err)
	}
	return nil
}

// read reads the user's own key.
func (k keyFile) read() (*client.Identity, error) {
	text, err := os.ReadFile(k.Key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no key in %s; make one with: blubbel keygen --key %s", k.Key, k.Key)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read your key: %w", err)
	}
	if state, err := os.Stat(k.Key); err == nil && runtime.GOOS != "windows" && state.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read your key; forbid it with: chmod 600 %s", k.Key)
	}
	self, err := client.ParseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Key, err)
	}
	return self, nil
}

// id prints the public key.
type id struct{ keyFile }

// Run implements the command.
func (i id) Run(s streams) error {
	self, err := i.read()
	if err != nil {
		return err
	}
	if _, err := s.out.Write(client.MarshalKey(self.Key())); err != nil {
		return err
	}
	s.say("fingerprint: %s", self.Key().Hex())
	return nil
}

// safety prints the safety number.
type safety struct {
	keyFile
	Peer string `help:"File with your friend's public key." required:"" placeholder:"FILE"`
}

// Run implements the command.
func (c safety) Run(s streams) error {
	self, err := c.read()
	if err != nil {
		return err
	}
	peer, err := readFriend(c.Peer, self)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, client.SafetyNumber(self.Key(), peer.key))
	s.say("%s should see the same number; compare them where nobody can change them: face to face, or on the phone", peer.name)
	return err
}

// friend is a user whom we know, by the name of a file.
type friend struct {
	name string
	key  frames.Key
}

func readFriend(file string, self *client.Identity) (friend, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the user says which
	if err != nil {
		return friend{}, fmt.Errorf("cannot read your friend's key: %w", err)
	}
	key, err := client.ParseKey(text)
	if err != nil {
		return friend{}, fmt.Errorf("%s: %w", file, err)
	}
	if string(key) == string(self.Key()) {
		return friend{}, fmt.Errorf("%s: this is your own key", file)
	}
	base := filepath.Base(file)
	return friend{name: printable(strings.TrimSuffix(base, filepath.Ext(base))), key: key}, nil
}
