package listener_test

import (
	"crypto"
	"crypto/tls"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"github.com/mdeiml/blubbel-server/listener"
)

func number(t *testing.T, from listener.Source) int64 {
	t.Helper()
	c, err := from.Certificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf.SerialNumber.Int64()
}

// told is what a log has at a level, and is emptied.
func told(hook *test.Hook, level logrus.Level) (list []string) {
	for _, entry := range hook.AllEntries() {
		if entry.Level == level {
			text, _ := entry.String()
			list = append(list, text)
		}
	}
	hook.Reset()
	return list
}

func load(t *testing.T, c tls.Certificate) (pair, *listener.Files, *test.Hook) {
	t.Helper()
	p := pair(t.TempDir())
	p.put(t, c)
	logger, hook := test.NewNullLogger()
	files, err := listener.LoadFiles(p.certificate(), p.key(), logrus.NewEntry(logger))
	if err != nil {
		t.Fatal(err)
	}
	return p, files, hook
}

func TestFilesThatCannotBeUsedAreOneClearLine(t *testing.T) {
	now := time.Now()
	good, other := valid(t, ecdsaKey(t), 1), valid(t, ecdsaKey(t), 2)
	for says, spoil := range map[string]func(pair){
		"cert.pem: no such file": func(p pair) { _ = os.Remove(p.certificate()) },
		"key.pem: no such file":  func(p pair) { _ = os.Remove(p.key()) },
		"cert.pem is not PEM":    func(p pair) { replace(t, p.certificate(), good.Certificate[0]) },
		"key.pem is not PEM":     func(p pair) { replace(t, p.key(), nil) },
		"may have been switched": func(p pair) { swap(t, p) },
		"does not match":         func(p pair) { p.put(t, tls.Certificate{Certificate: other.Certificate, PrivateKey: good.PrivateKey}) },
		"expired on ":            func(p pair) { p.put(t, issue(t, ecdsaKey(t), 1, now.Add(-48*time.Hour), now.Add(-time.Minute))) },
		"is valid from ":         func(p pair) { p.put(t, issue(t, ecdsaKey(t), 1, now.Add(time.Hour), now.Add(2*time.Hour))) },
		"give it without a passphrase": func(p pair) {
			replace(t, p.key(), []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
		},
		"failed to parse private key": func(p pair) {
			replace(t, p.key(), []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
		},
		"malformed certificate": func(p pair) {
			replace(t, p.certificate(), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
		},
		"cert.pem: is a directory": func(p pair) { _ = os.Remove(p.certificate()); _ = os.Mkdir(p.certificate(), 0o700) },
		"key.pem is encrypted; give it ": func(p pair) {
			replace(t, p.key(), []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
		},
	} {
		p := pair(t.TempDir())
		p.put(t, good)
		spoil(p)
		_, err := listener.LoadFiles(p.certificate(), p.key(), silent())
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", says, err)
		} else if text := err.Error(); !strings.Contains(text, says) && !strings.Contains(strings.ReplaceAll(text, "read "+string(p)+"/", ""), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func swap(t *testing.T, p pair) {
	t.Helper()
	certificate, _ := os.ReadFile(p.certificate())
	key, _ := os.ReadFile(p.key())
	replace(t, p.certificate(), key)
	replace(t, p.key(), certificate)
}

func TestFilesAreReadAgainWhenTheyHaveChanged(t *testing.T) {
	first, second := valid(t, ecdsaKey(t), 1), valid(t, ecdsaKey(t), 2)
	synctest.Test(t, func(t *testing.T) {
		p, files, hook := load(t, issued(t, first))
		<-time.After(2 * time.Second)
		if n := number(t, files); n != 1 {
			t.Errorf("number %d", n)
		}
		p.put(t, issued(t, second))
		if n := number(t, files); n != 1 {
			t.Errorf("number %d: it looked twice within a second", n)
		}
		<-time.After(time.Second)
		if n := number(t, files); n != 2 {
			t.Errorf("number %d, a second later", n)
		}
		if list := told(hook, logrus.InfoLevel); len(list) != 1 {
			t.Errorf("it says %q", list)
		}
		<-time.After(time.Hour)
		if n := number(t, files); n != 2 || len(hook.AllEntries()) > 0 {
			t.Errorf("number %d; it says %d lines more", n, len(hook.AllEntries()))
		}
	})
}

// issued signs a certificate again, for a time that is now in a bubble.
func issued(t *testing.T, c tls.Certificate) tls.Certificate {
	t.Helper()
	return valid(t, c.PrivateKey.(crypto.Signer), c.Leaf.SerialNumber.Int64())
}

func TestAPairThatCannotBeUsedLeavesTheOld(t *testing.T) {
	keys := []tls.Certificate{valid(t, ecdsaKey(t), 1), valid(t, ecdsaKey(t), 2)}
	for name, spoil := range map[string]func(*testing.T, pair){
		"mismatched": func(t *testing.T, p pair) {
			p.put(t, tls.Certificate{Certificate: keys[1].Certificate, PrivateKey: keys[0].PrivateKey})
		},
		"expired": func(t *testing.T, p pair) {
			p.put(t, issue(t, keys[0].PrivateKey.(crypto.Signer), 3, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)))
		},
		"gone":        func(_ *testing.T, p pair) { _ = os.Remove(p.key()) },
		"half a file": func(t *testing.T, p pair) { replace(t, p.certificate(), []byte("-----BEGIN CERT")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, files, hook := load(t, issued(t, keys[0]))
				spoil(t, p)
				for range 100 {
					<-time.After(time.Second)
					if n := number(t, files); n != 1 {
						t.Fatalf("number %d", n)
					}
				}
				if list := told(hook, logrus.WarnLevel); len(list) != 1 || !strings.Contains(list[0], "the old certificate stays") {
					t.Errorf("it says %q", list)
				}
				if err := files.Reload(); err == nil {
					t.Error("reloading says nothing")
				}
				p.put(t, issued(t, keys[1]))
				<-time.After(time.Second)
				if n := number(t, files); n != 2 {
					t.Errorf("number %d, when all is well again", n)
				}
			})
		})
	}
}

func TestACertificateAboutToExpireIsToldOnceADay(t *testing.T) {
	key := ecdsaKey(t)
	synctest.Test(t, func(t *testing.T) {
		day := 24 * time.Hour
		now := time.Now()
		_, files, hook := load(t, issue(t, key, 1, now.Add(-100*day), now.Add(13*day)))
		if list := told(hook, logrus.WarnLevel); len(list) != 1 || !strings.Contains(list[0], "expires soon") {
			t.Errorf("at first it says %q", list)
		}
		for range 48 * 5 {
			<-time.After(time.Hour / 2)
			number(t, files)
		}
		if list := told(hook, logrus.WarnLevel); len(list) != 5 {
			t.Errorf("in five days it says %q", list)
		}
		<-time.After(10 * day)
		number(t, files)
		if list := told(hook, logrus.WarnLevel); len(list) != 1 || !strings.Contains(list[0], "has expired") {
			t.Errorf("at last it says %q", list)
		}
		_, _, hook = load(t, issue(t, key, 1, now, now.Add(100*day)))
		if list := told(hook, logrus.WarnLevel); len(list) != 0 {
			t.Errorf("of one that lives longer it says %q", list)
		}
	})
}

func TestAKeyThatEverybodyCanReadIsTold(t *testing.T) {
	p, files, hook := load(t, valid(t, ecdsaKey(t), 1))
	if list := told(hook, logrus.WarnLevel); len(list) != 0 {
		t.Errorf("it says %q", list)
	}
	if err := os.Chmod(p.key(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := files.Reload(); err != nil {
		t.Fatal(err)
	}
	if list := told(hook, logrus.WarnLevel); len(list) != 1 || !strings.Contains(list[0], "chmod o=") {
		t.Errorf("it says %q", list)
	}
}

// Those who talk go on talking while the certificate changes, and whoever comes sees the new one.
func TestNobodyIsDroppedWhenTheCertificateChanges(t *testing.T) {
	p, files, _ := load(t, valid(t, ecdsaKey(t), 1))
	s := serve(t, files)
	const talkers, rotations = 30, 20
	var all sync.WaitGroup
	var over atomic.Bool
	words := make([]atomic.Int64, talkers)
	for i := range talkers {
		conn, err := s.dial(t, &tls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for !over.Load() {
				if err := says(conn); err != nil {
					t.Error(err)
					return
				}
				words[i].Add(1)
			}
		})
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := range int64(rotations) {
		var before [talkers]int64
		for i := range words {
			before[i] = words[i].Load()
		}
		p.put(t, valid(t, ecdsaKey(t), 2+n))
		if err := files.Reload(); err != nil {
			t.Fatal(err)
		}
		conn, err := s.dial(t, &tls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if is := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); is != 2+n {
			t.Errorf("number %d after number %d was put there", is, 2+n)
		}
		for i := range words { // everybody says something after each
			for words[i].Load() == before[i] && !t.Failed() {
				<-tick.C
			}
		}
	}
	over.Store(true)
	all.Wait()
}

func TestACertificateMadeAtStart(t *testing.T) {
	own, err := listener.NewSelfSigned(silent(), "relay.test", "127.0.0.1", "::1")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, own)
	conn, err := s.dial(t, &tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	first := conn.ConnectionState().PeerCertificates[0]
	for _, name := range []string{"relay.test", "127.0.0.1", "::1"} {
		if err := first.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if left := time.Until(first.NotAfter); left < 364*24*time.Hour || left > 366*24*time.Hour {
		t.Errorf("it lives for %v", left)
	}
	if err := own.Reload(); err != nil {
		t.Fatal(err)
	}
	if conn, err = s.dial(t, &tls.Config{}); err != nil {
		t.Fatal(err)
	}
	if conn.ConnectionState().PeerCertificates[0].Equal(first) {
		t.Error("it is the same after reloading")
	}
}
