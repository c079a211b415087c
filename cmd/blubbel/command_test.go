package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/client"
)

// user logs in somebody with the SDK.
func user(t *testing.T, folder, name, address string) (*client.Client, *client.Identity) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := client.ParseIdentity(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), address, client.Options{Reconnect: client.Forever})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	return c, self
}

// TestALineMayBeACommand types lines in a chat, as if on a terminal.
func TestALineMayBeACommand(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	folder := keys(t)
	address, _ := startRelay(t)
	alice, self := user(t, folder, "alice", address)
	bob, bobs := user(t, folder, "bob", address)
	met := make(chan *client.Session, 1)
	go func() {
		for event, err := range bob.Events(ctx) {
			if _, asks := event.(client.Requested); asks && err == nil {
				s, _ := bob.AcceptSession(ctx, self.Key())
				met <- s
				return
			}
		}
	}()
	session, err := alice.StartSession(ctx, bobs.Key())
	if err != nil {
		t.Fatal(err)
	}
	toAlice := <-met
	out := newOutput()
	c := &chatting{streams: streams{err: newOutlet(out)}, conn: alice, self: self, peer: friend{name: "bob", key: bobs.Key()}, session: session}
	for _, typed := range []struct{ line, told string }{
		{"/help", "/end [REASON] ends"},
		{"/safety", "safety number: " + client.SafetyNumber(self.Key(), bobs.Key())},
		{"/dance now", "there is no /dance; /end"},
		{"/", "there is no /; /end"},
		{"/end " + strings.Repeat("x", 300), "at most 256 bytes"},
		{"hello", ""},
		{"//etc/passwd is a file", ""},
		{" /help is behind a space", ""},
	} {
		if done, err := c.command(ctx, typed.line); done || err != nil {
			t.Fatalf("%s: done %v, %v", typed.line, done, err)
		}
		if !strings.Contains(out.String(), typed.told) {
			t.Errorf("%s says %s", typed.line, out)
		}
	}
	ended := make(chan error, 1)
	go func() {
		done, err := c.command(ctx, "/end  dinner is ready ")
		if !done {
			t.Error("it goes on")
		}
		ended <- err
	}()
	var heard []string
	for text, err := range toAlice.Messages(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, string(text))
	}
	if want := "hello\n|/etc/passwd is a file\n| /help is behind a space\n"; strings.Join(heard, "|") != want {
		t.Errorf("Bob hears %q", heard)
	}
	if got, want := ending(toAlice, "alice"), "alice has ended the session: dinner is ready"; got != want {
		t.Errorf("Bob is told %q", got)
	}
	if err := errors.Join(toAlice.End(ctx, ""), <-ended); err != nil {
		t.Error(err)
	}
	<-toAlice.Done()
	if e, is := errors.AsType[*client.Ended](toAlice.Err()); !is || e.Reason != "dinner is ready" {
		t.Errorf("it ends with %v", toAlice.Err())
	}
}
