package main

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

// at reads an address to listen at.
func at(t *testing.T, text string) (a address) {
	t.Helper()
	if err := a.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhereToListenIsRead(t *testing.T) {
	for text, want := range map[string]address{
		"127.0.0.1:8000":            {"tcp", "127.0.0.1", "8000", ""},
		":8000":                     {"tcp", "", "8000", ""},
		"tcp://[::1]:8000":          {"tcp", "::1", "8000", ""},
		"tls://relay.test:8443":     {"tls", "relay.test", "8443", ""},
		"ws://127.0.0.1:8080":       {"ws", "127.0.0.1", "8080", "/"},
		"ws://127.0.0.1:8080/":      {"ws", "127.0.0.1", "8080", "/"},
		"wss://[::]:443/chat/relay": {"wss", "::", "443", "/chat/relay"},
		"ws://[::1]:0/a%20b":        {"ws", "::1", "0", "/a b"},
		"unix:///run/relay.sock":    {"unix", "", "", "/run/relay.sock"},
	} {
		got := at(t, text)
		if got != want {
			t.Errorf("%s is %+v", text, got)
		}
		if again := at(t, got.String()); again != want {
			t.Errorf("%s is written as %s", text, got)
		}
	}
}

// Whoever is invited is to know the relay, and to find it: where it listens everywhere, that is no address to give to others.
func TestInvitations(t *testing.T) {
	id := frames.RelayID{1, 2, 0xff}
	for _, c := range []struct{ at, name, invites string }{
		{"127.0.0.1:0", "relay.test", "blubbel://ID@127.0.0.1:PORT"},
		{"localhost:0", "relay.test", "blubbel://ID@localhost:PORT"},
		{":0", "relay.test", "blubbel://ID@relay.test:PORT"},
		{"0.0.0.0:0", "relay.test", "blubbel://ID@relay.test:PORT"},
		{"0.0.0.0:0", "", "blubbel://ID@HOST:PORT"},
		{"tls://127.0.0.1:0", "", "blubbels://ID@127.0.0.1:PORT"},
		{"tls://0.0.0.0:0", "relay.test", "blubbels://ID@relay.test:PORT"},
		{"ws://127.0.0.1:0/chat", "", "ws://ID@127.0.0.1:PORT/chat"},
		{"wss://:0", "relay.test", "wss://ID@relay.test:PORT/"},
		{"unix://" + filepath.Join(t.TempDir(), "s"), "relay.test", ""},
	} {
		all, err := listening{Listen: []address{at(t, c.at)}, UnixMode: 0o600}.open(t.Context(), &tls.Config{})
		if err != nil {
			t.Fatal(err)
		}
		host, port, _ := net.SplitHostPort(all[0].Addr().String())
		want := strings.NewReplacer("ID", id.String(), "PORT", port, "HOST", joined(host)).Replace(c.invites)
		if got := invitations(all, id, c.name); got != want {
			t.Errorf("%s, as %q: %s, want %s", c.at, c.name, got, want)
		}
		_ = all[0].Close()
	}
}

// joined is a host as it stands in front of a port.
func joined(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

func TestAllListenersAreOpenedOrNone(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "relay.sock")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	l := listening{Listen: []address{at(t, "unix://"+path), at(t, "ws://"+taken.Addr().String())}, UnixMode: 0o600}
	if _, err := l.open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "another program does") {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a socket is left: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "is no socket; remove it") {
		t.Error(err)
	}
}
