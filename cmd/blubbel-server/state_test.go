package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/store/disk"
	"github.com/mdeiml/blubbel-server/store/storetest"
)

// logTo returns a log in JSON.
func logTo(l *lines) *logrus.Entry {
	logger := logrus.New()
	logger.SetOutput(l)
	logger.SetFormatter(&logrus.JSONFormatter{})
	return logrus.NewEntry(logger)
}

// said counts the lines with a message.
func (l *lines) said(msg string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		var fields struct{ Msg string }
		if json.Unmarshal([]byte(line), &fields) == nil && fields.Msg == msg {
			n++
		}
	}
	return n
}

func TestStateFolderIsMadeOnce(t *testing.T) {
	f := stateFolder{State: filepath.Join(t.TempDir(), "state")}
	var ids []frames.RelayID
	for range 2 {
		s, err := f.openState(logTo(&lines{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.relayID())
		if len(ids) == 1 {
			if err := s.store.Pin(storetest.Key(1), storetest.Midnight); err != nil {
				t.Error(err)
			}
		}
		if s.store.Pins() != 1 {
			t.Errorf("there are %d pins", s.store.Pins())
		}
		s.close(logTo(&lines{}))
	}
	if ids[0] != ids[1] || ids[0] == (frames.RelayID{}) {
		t.Errorf("first it is %v, then %v", ids[0], ids[1])
	}
	for name, mode := range map[string]os.FileMode{"": 0o700, "identity": 0o600, "store": 0o700} {
		info, err := os.Stat(filepath.Join(f.State, name))
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v", name, info, err)
		}
	}
	if _, err := os.Stat(filepath.Join(f.State, "identity.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a draft of the identity is left: %v", err)
	}
}

// What a crash at the first start may leave does no harm.
func TestDraftOfAnIdentityIsWrittenOver(t *testing.T) {
	f := stateFolder{State: t.TempDir()}
	if err := os.WriteFile(filepath.Join(f.State, "identity.new"), []byte("-----BEGIN PRIV"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, isNew, err := f.identity()
	if err != nil || !isNew {
		t.Fatal(isNew, err)
	}
	if again, isNew, err := f.identity(); err != nil || isNew || !again.Equal(first) {
		t.Errorf("%v", err)
	}
}

func TestStateThatCannotBeUsedIsOneClearLine(t *testing.T) {
	for says, prepare := range map[string]func(t *testing.T, f stateFolder){
		"another relay has the state folder DIR open: stop it first, or choose another folder with --state": func(t *testing.T, f stateFolder) {
			s, err := f.openState(logTo(&lines{}), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.close(logTo(&lines{})) })
		},
		"others can read the relay's key; forbid it with: chmod 600 DIR": func(t *testing.T, f stateFolder) {
			if runtime.GOOS == "windows" {
				t.Skip("no modes")
			}
			writeIdentity(t, f, "", 0o640)
		},
		"identity is not an Ed25519 key": func(t *testing.T, f stateFolder) {
			writeIdentity(t, f, "this is no key", 0o600)
		},
		"is not an Ed25519 key (PKCS #8, in PEM)": func(t *testing.T, f stateFolder) {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			writeIdentity(t, f, string(pem.EncodeToMemory(&pem.Block{Type: identityBlock, Bytes: der})), 0o600)
		},
		"cannot read who the relay is": func(t *testing.T, f stateFolder) {
			if err := os.MkdirAll(filepath.Join(f.State, "identity"), 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"there is a file where a folder should be": func(t *testing.T, f stateFolder) {
			if err := os.WriteFile(f.State, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"it is damaged": func(t *testing.T, f stateFolder) {
			s, err := f.openState(logTo(&lines{}), nil)
			if err != nil {
				t.Fatal(err)
			}
			s.close(logTo(&lines{}))
			if err := os.WriteFile(filepath.Join(f.storeFolder(), "seal"), []byte("pins 9, sum 0000000000000001\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(says, func(t *testing.T) {
			f := stateFolder{State: filepath.Join(t.TempDir(), "state")}
			prepare(t, f)
			var stderr bytes.Buffer
			code := run(t.Context(), []string{"--listen", "127.0.0.1:0", "--state", f.State}, os.Stdout, &stderr)
			says := strings.ReplaceAll(says, "DIR", f.State)
			text := stderr.String()
			if code != 1 || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "blubbel-server: ") || !strings.Contains(text, says) {
				t.Errorf("exit code %d: %s", code, text)
			}
		})
	}
}

func writeIdentity(t *testing.T, f stateFolder, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(f.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.State, "identity"), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// served is a relay that runs until it is stopped.
type served struct {
	log  lines
	stop func()
}

func startServing(t *testing.T, args ...string) *served {
	s := &served{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { // ends with ctx
		ended <- run(ctx, append([]string{"--listen", "127.0.0.1:0", "--log-format", "json"}, args...), os.Stdout, &s.log)
	}()
	s.stop = func() {
		cancel()
		if code := <-ended; code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	s.log.wait(t, "relay ready")
	return s
}

func TestRelaySaysWhereToReachIt(t *testing.T) {
	dir := t.TempDir()
	var ids []string
	for range 2 {
		s := startServing(t, "--state", dir, "--listen", "127.0.0.1:0")
		ready := s.log.wait(t, "relay ready")
		s.stop()
		listens := strings.Split(ready["listen"].(string), ",")
		addresses := strings.Fields(ready["address"].(string))
		if len(addresses) != 2 {
			t.Fatalf("%v", ready)
		}
		for i, address := range addresses {
			id, at, _ := strings.Cut(strings.TrimPrefix(address, "blubbel://"), "@")
			if _, err := frames.ParseRelayID(id); err != nil || at != listens[i] || !strings.HasPrefix(address, "blubbel://") {
				t.Errorf("%s, %v; it listens on %s", address, err, listens[i])
			}
			ids = append(ids, id)
		}
	}
	if ids[0] != ids[1] || ids[0] != ids[2] {
		t.Errorf("it is not the same relay: %v", ids)
	}
}

func TestUnpin(t *testing.T) {
	dir := t.TempDir()
	f := stateFolder{State: dir}
	pins, err := f.openStore(disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if err := pins.Pin(storetest.Key(n), time.Now()); err != nil { // not so old that it expires
			t.Error(err)
		}
	}
	if err := pins.Close(); err != nil {
		t.Error(err)
	}
	key := storetest.Key(1)
	name := strings.ToUpper(hex.EncodeToString(key[:]))
	unpin := func() (code int, out, err string) {
		var stdout, stderr bytes.Buffer
		code = run(t.Context(), []string{"unpin", "--state", dir, name}, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	s := startServing(t, "--state", dir)
	code, out, said := unpin()
	if code != 1 || out != "" || !strings.Contains(said, "the relay runs: stop it first, or ask it: blubbel-server ctl unpin ") {
		t.Errorf("while it runs: %d, %q, %q", code, out, said)
	}
	s.stop()
	if code, out, said := unpin(); code != 0 || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "unpinned "+strings.ToLower(name)) || said != "" {
		t.Errorf("%d, %q, %q", code, out, said)
	}
	if code, out, said := unpin(); code != 1 || out != "" || said != "blubbel-server: "+strings.ToLower(name)+" is not pinned\n" {
		t.Errorf("a second time: %d, %q, %q", code, out, said)
	}
	if pins, err = f.openStore(disk.Options{}); err != nil {
		t.Fatal(err)
	}
	if pins.Pins() != 1 {
		t.Errorf("there are %d pins", pins.Pins())
	}
	if err := pins.Close(); err != nil {
		t.Error(err)
	}
}

func TestOldPinsExpireAtTheStartAndEachDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pins, now := store.NewMemory(), time.Now()
		for n, age := range []time.Duration{pinLife + time.Second, pinLife - time.Hour, pinLife - expireEvery - time.Hour, 0} {
			if err := pins.Pin(storetest.Key(n), now.Add(-age)); err != nil {
				t.Error(err)
			}
		}
		var log lines
		ctx, cancel := context.WithCancel(t.Context())
		go expire(ctx, pins, logTo(&log))
		for day, want := range []int{3, 2, 1, 1} {
			synctest.Wait()
			if pins.Pins() != want {
				t.Errorf("on day %d there are %d pins, want %d", day, pins.Pins(), want)
			}
			<-time.After(expireEvery)
		}
		if n := log.said("old pins forgotten"); n != 3 {
			t.Errorf("it is said %d times", n)
		}
		cancel()
		synctest.Wait() // or the bubble says that somebody is left
	})
}

// noStore is a store that cannot expire.
type noStore struct{ store.Store }

func (noStore) Expire(time.Time) (int, error) { return 0, errors.New("no") }

func TestPinsThatDoNotExpireAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		ctx, cancel := context.WithCancel(t.Context())
		go expire(ctx, noStore{}, logTo(&log))
		<-time.After(expireEvery + time.Second)
		cancel()
		synctest.Wait()
		if n := log.said("old pins were not forgotten"); n != 2 {
			t.Errorf("it is said %d times in two days", n)
		}
	})
}

// Who stops is not to hear of a store that is closed.
func TestNothingExpiresAfterTheEnd(t *testing.T) {
	var log lines
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expire(ctx, noStore{}, logTo(&log))
	if log.text.Len() > 0 {
		t.Errorf("it says %s", log.text.String())
	}
}

func TestOldPinsExpireInTheDaemon(t *testing.T) {
	f := stateFolder{State: t.TempDir()}
	pins, err := f.openStore(disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := pins.Pin(storetest.Key(1), time.Now().Add(-2*pinLife)); err != nil {
		t.Error(err)
	}
	if err := pins.Close(); err != nil {
		t.Error(err)
	}
	s := startServing(t, "--state", f.State)
	s.log.wait(t, "old pins forgotten")
	s.stop()
}

func TestRelayIsGivenTheStateAndTheList(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("keys", []byte(digits(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err := parse([]string{"--allow-keys", "keys"}, os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	home, err := c.Relay.openState(logTo(&lines{}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer home.close(logTo(&lines{}))
	relay, err := c.Relay.relay(logTo(&lines{}), home)
	if err != nil {
		t.Fatal(err)
	}
	got := relay.Config()
	if !got.Identity.Equal(home.identity) || got.Store != store.Store(home.store) {
		t.Errorf("%v, %v", got.Identity.Public(), got.Store)
	}
	if got.Allow == nil || !got.Allow(storetest.Key(1)) || got.Allow(storetest.Key(2)) {
		t.Error("it is not the list who says which keys may log in")
	}
}

func TestStoreThatCannotGoOnEndsTheProcess(t *testing.T) {
	var log lines
	var did []any
	fatal(logTo(&log), func() { did = append(did, "written") }, func(code int) { did = append(did, code) })("log: %v", errors.New("no disk"))
	if line := log.wait(t, "the store cannot go on; the relay ends"); line["cause"] != "log: no disk" || line["level"] != "error" {
		t.Errorf("%v", line)
	}
	if len(did) != 2 || did[0] != "written" || did[1] != 70 {
		t.Errorf("%v", did)
	}
}

func TestLoginProofIsHandedOn(t *testing.T) {
	for _, want := range []string{"sticky", "required"} {
		c, _, err := parse([]string{"--login-proof", want}, os.Stdout)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Relay.config(nil); err != nil || string(got.LoginProof) != want {
			t.Errorf("%v, %v", got.LoginProof, err)
		}
	}
}
