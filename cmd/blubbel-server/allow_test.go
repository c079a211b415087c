package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/store/storetest"
)

// publicKey returns what looks like a key of so many bits, and is PEM.
func publicKey(t *testing.T, bits int) (frames.Key, string) {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return der, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func digits(n int) string {
	key := storetest.Key(n)
	return hex.EncodeToString(key[:])
}

// replace replaces a file as a whole.
func replace(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Error(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Error(err)
	}
}

func TestAllowedKeysAreRead(t *testing.T) {
	first, firstPEM := publicKey(t, 2048)
	second, secondPEM := publicKey(t, 4096)
	text := "# those who work here\r\n\n" + digits(1) + "\n  " + strings.ToUpper(digits(2)) + " Bob, on his phone\r\n" + firstPEM +
		strings.ReplaceAll(secondPEM, "\n", "\r\n") + digits(3)
	list, line, err := parseAllowed([]byte(text), frames.DefaultKeys())
	if err != nil {
		t.Fatalf("line %d: %v", line, err)
	}
	for _, key := range []store.Fingerprint{storetest.Key(1), storetest.Key(2), storetest.Key(3), first.Fingerprint(), second.Fingerprint()} {
		if _, ok := list[key]; !ok {
			t.Errorf("%x is not in the list", key)
		}
	}
	if len(list) != 5 {
		t.Errorf("there are %d keys", len(list))
	}
}

func TestBadLinesOfAllowedKeys(t *testing.T) {
	_, good := publicKey(t, 2048)
	_, small := publicKey(t, 1024)
	for _, c := range []struct {
		text string
		line int
		says string
	}{
		{"abc", 1, `"abc" is not a fingerprint; expected are 64 hexadecimal digits`},
		{digits(1) + "\n\n# x\n" + digits(2) + "0\n", 4, "is not a fingerprint"},
		{digits(1)[:63] + "g", 1, "is not a fingerprint"},
		{digits(1) + digits(1), 1, "is not a fingerprint"},
		{good + "\n" + good + "x", strings.Count(good, "\n")*2 + 2, `"x" is not a fingerprint`},
		{good + small, strings.Count(good, "\n") + 1, "this key may not log in: "},
		{"\n" + strings.ReplaceAll(good, "PUBLIC", "PRIVATE"), 2, "not from BEGIN PUBLIC KEY to END PUBLIC KEY"},
		{good[:100], 1, "not from BEGIN PUBLIC KEY to END PUBLIC KEY"},
		{"-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n", 1, "this is not a key in PEM"},
		{"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 1, "this key may not log in: "},
	} {
		list, line, err := parseAllowed([]byte(c.text), frames.DefaultKeys())
		if err == nil || line != c.line || list != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: line %d, %v; want line %d, %s", c.text, line, err, c.line, c.says)
		}
	}
}

func TestBadListKeepsTheRelayFromStarting(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("friends", []byte("# friends\nAlice\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	code := run(t.Context(), strings.Fields("--listen 127.0.0.1:0 --log-level error --allow-keys friends"), os.Stdout, &stderr)
	want := "blubbel-server: friends, line 2: \"Alice\" is not a fingerprint; expected are 64 hexadecimal digits, as blubbel id prints them\n"
	if code != 1 || stderr.String() != want {
		t.Errorf("%d, %s", code, stderr.String())
	}
}

// The list follows its file, and outlives versions that are none.
func TestAllowedKeysFollowTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "keys")
		replace := func(text string) { replace(t, name, text) }
		replace(digits(1))
		var log lines
		a, err := readAllowed(name, frames.DefaultKeys(), logTo(&log))
		if err != nil {
			t.Fatal(err)
		}
		bad := 0
		expect := func(what string, key int, warnings int) {
			t.Helper()
			for n := range 4 {
				if got := a.allows(storetest.Key(n)); got != (n == key) {
					t.Errorf("%s: key %d may log in: %v", what, n, got)
				}
			}
			if bad += warnings; log.said("the list of allowed keys cannot be read; the old one stays") != bad {
				t.Errorf("%s: want %d warnings: %s", what, bad, log.text.String())
			}
		}
		later := func() { <-time.After(lookAgain) }

		expect("at first", 1, 0)
		replace(digits(2))
		expect("within the second", 1, 0)
		later()
		expect("changed", 2, 0)
		replace("this is no key")
		for range 3 {
			later()
			expect("bad", 2, min(1, 1-bad))
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			later()
			expect("gone", 2, min(1, 2-bad))
		}
		replace(digits(3))
		later()
		expect("back", 3, 0)
		replace(digits(1))
		if err := a.reload(); err != nil {
			t.Error(err)
		}
		expect("reloaded", 1, 0)
		replace("bad again")
		if err := a.reload(); err == nil || !strings.Contains(err.Error(), name+", line 1: ") {
			t.Errorf("%v", err)
		}
		expect("not reloaded", 1, 0)
		later()
		expect("told already", 1, 0)
		replace("# nobody")
		later()
		expect("empty: somebody is just writing it", 1, 1)
	})
}

// Whoever asks while the list is replaced gets the old answer or the new one.
func TestAllowedKeysAreReplacedAsAWhole(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys")
	write := func(n int) { replace(t, name, digits(0)+"\n"+digits(n)+"\n") }
	write(1)
	a, err := readAllowed(name, frames.DefaultKeys(), logTo(&lines{}))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				if !a.allows(storetest.Key(0)) {
					t.Error("who is in each version may not log in")
				}
			}
		})
	}
	for n := range 50 {
		write(n%2 + 1)
		if err := a.reload(); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}
