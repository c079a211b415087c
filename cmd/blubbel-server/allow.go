package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// access says who may log in.
type access struct {
	LoginProof supervisor.ProofPolicy `help:"Which logins need proof of possession: ${enum}. Sticky: those with a key that has proved it within a year." enum:"sticky,required" default:"sticky"`
	AllowKeys  string                 `help:"File with the keys that may log in, and then only with proof: on each line a fingerprint, as blubbel id prints it, or keys in PEM. It is read again when it changes." placeholder:"FILE"`
}

// allowed are the keys that may log in, as a file lists them. A new version of the file is read when somebody asks, at most a second after
// it is there. While a new version cannot be read, the old list stays.
type allowed struct {
	file string
	log  *logrus.Entry

	list atomic.Pointer[map[store.Fingerprint]struct{}]

	mu     sync.Mutex  // of who looks at the file; who asks does not wait for it
	keys   frames.Keys // which the file may hold
	looked time.Time
	seen   fs.FileInfo // of the version that was looked at last, none if there was no file
}

const lookAgain = time.Second

// readAllowed reads the list.
func readAllowed(file string, keys frames.Keys, log *logrus.Entry) (*allowed, error) {
	a := &allowed{file: file, keys: keys, log: log}
	return a, a.reload()
}

// allows reports whether a key may log in. It is supervisor.Config.Allow.
func (a *allowed) allows(key store.Fingerprint) bool {
	if a.mu.TryLock() {
		a.look()
		a.mu.Unlock()
	}
	_, ok := (*a.list.Load())[key]
	return ok
}

// watch looks at the file now and then, until ctx ends, and tells when there is another list: who is not in it any more has to go.
func (a *allowed) watch(ctx context.Context, changed func()) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for last := a.list.Load(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.mu.Lock()
		a.look()
		a.mu.Unlock()
		if now := a.list.Load(); now != last {
			last = now
			changed()
		}
	}
}

// take has the file hold other keys, from when it is read again.
func (a *allowed) take(keys frames.Keys) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys = keys
}

// reload reads the list again, changed or not. If it cannot be read, the old one stays.
func (a *allowed) reload() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looked = time.Now()
	return a.read()
}

// look reads the list again if it has changed. Whoever calls has mu.
func (a *allowed) look() {
	now := time.Now()
	if now.Sub(a.looked) < lookAgain {
		return
	}
	a.looked = now
	info, err := os.Stat(a.file)
	if err == nil && a.seen != nil && sameVersion(info, a.seen) || err != nil && a.seen == nil {
		return
	}
	if err := a.read(); err != nil {
		a.log.WithError(err).Warn("the list of allowed keys cannot be read; the old one stays")
	}
}

func sameVersion(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// read reads the list. Whoever calls has mu.
func (a *allowed) read() error {
	a.seen = nil
	file, err := os.Open(a.file)
	if err != nil {
		return fmt.Errorf("cannot read the allowed keys: %w", err)
	}
	defer func() { _ = file.Close() }()
	if a.seen, err = file.Stat(); err != nil { // before it is read: what changes meanwhile is another version
		return fmt.Errorf("cannot read the allowed keys: %w", err)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("cannot read the allowed keys: %w", err)
	}
	list, line, err := parseAllowed(text, a.keys)
	if err != nil {
		return fmt.Errorf("%s, line %d: %w", a.file, line, err)
	}
	if before := a.list.Load(); len(list) == 0 && before != nil && len(*before) > 0 { // somebody is just writing it, more likely than not
		return fmt.Errorf("%s lists nobody; start the relay anew if that is meant", a.file)
	}
	a.list.Store(&list)
	a.log.WithField("keys", len(list)).Info("allowed keys read")
	if len(list) == 0 {
		a.log.WithField("file", a.file).Warn("nobody may log in: the list of allowed keys is empty")
	}
	return nil
}

// parseAllowed reads fingerprints and keys. With an error it returns the number of the line that it is about.
func parseAllowed(text []byte, keys frames.Keys) (list map[store.Fingerprint]struct{}, line int, err error) {
	list = map[store.Fingerprint]struct{}{}
	for rest := text; len(rest) > 0; {
		var entry []byte
		line++
		entry, after, _ := bytes.Cut(rest, []byte("\n"))
		var key store.Fingerprint
		switch entry = bytes.TrimSpace(entry); {
		case len(entry) == 0 || entry[0] == '#':
			rest = after
			continue
		case bytes.HasPrefix(entry, []byte("-----BEGIN")):
			key, after, err = pemKey(rest, keys)
		default:
			key, err = parseFingerprint(strings.Fields(string(entry))[0])
		}
		if err != nil {
			return nil, line, err
		}
		list[key] = struct{}{}
		line += bytes.Count(rest[:len(rest)-len(after)], []byte("\n")) - 1
		rest = after
	}
	return list, line, nil
}

// pemKey reads the key that a text begins with.
func pemKey(text []byte, keys frames.Keys) (key store.Fingerprint, rest []byte, err error) {
	const last = "-----END PUBLIC KEY-----"
	end := bytes.Index(text, []byte(last))
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN PUBLIC KEY-----")) || end < 0 {
		return key, nil, fmt.Errorf("this is PEM, but not from BEGIN PUBLIC KEY to END PUBLIC KEY")
	}
	block, left := pem.Decode(text[:end+len(last)])
	if block == nil || len(left) > 0 {
		return key, nil, fmt.Errorf("this is not a key in PEM")
	}
	if err := keys.Check(block.Bytes); err != nil {
		return key, nil, fmt.Errorf("this key may not log in: %w", err)
	}
	_, rest, _ = bytes.Cut(text[end:], []byte("\n"))
	return frames.Key(block.Bytes).Fingerprint(), rest, nil
}

// parseFingerprint reads a fingerprint as people write it.
func parseFingerprint(text string) (key store.Fingerprint, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(key) {
		return key, fmt.Errorf("%q is not a fingerprint; expected are 64 hexadecimal digits, as blubbel id prints them", text)
	}
	return store.Fingerprint(b), nil
}
