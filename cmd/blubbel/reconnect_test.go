package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/term"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// pinned is an address with an id.
func pinned(hostPort string, id frames.RelayID) string {
	return client.Address{HostPort: hostPort, Pinned: true, ID: id}.String()
}

// gate forwards connections to a relay, and can cut them.
type gate struct {
	address  string
	silent   bool // the relay does not notice, as when a network vanishes
	mu       sync.Mutex
	relay    string // where it leads
	open     []net.Conn
	silenced []net.Conn // on the relay's side, until the test's end
	passed   int        // bytes, to the relay
	cuts     []int
}

// startGate forwards until the test's end, and cuts all connections whenever so many bytes have gone to the relay.
func startGate(t *testing.T, relay string, silent bool, cuts ...int) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: ln.Addr().String(), relay: relay, silent: silent, cuts: cuts}
	var all sync.WaitGroup
	all.Go(func() { // ends with the listener
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", g.leads())
			if err != nil {
				_ = in.Close()
				continue
			}
			g.mu.Lock()
			g.open = append(g.open, in)
			if silent {
				g.silenced = append(g.silenced, out)
			} else {
				g.open = append(g.open, out)
			}
			g.mu.Unlock()
			all.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() }) // both end with the connection
			all.Go(func() {
				_, _ = io.Copy(io.MultiWriter(out, g), in)
				if !silent {
					_ = out.Close()
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		g.cut()
		for _, c := range g.silenced {
			_ = c.Close()
		}
		all.Wait()
	})
	return g
}

// Write counts what goes to the relay.
func (g *gate) Write(b []byte) (int, error) {
	g.mu.Lock()
	g.passed += len(b)
	due := len(g.cuts) > 0 && g.passed >= g.cuts[0]
	if due {
		g.cuts = g.cuts[1:]
	}
	g.mu.Unlock()
	if due {
		g.cut()
	}
	return len(b), nil
}

func (g *gate) leads() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.relay
}

// lead leads to another relay from now on, as if the one before had been restarted and knew of no sessions.
func (g *gate) lead(relay string) {
	g.mu.Lock()
	g.relay = relay
	g.mu.Unlock()
	g.cut()
}

func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.open {
		_ = c.Close()
	}
	g.open = nil
}

func TestAPipeCarriesTheTextByteForByteOverConnectionsThatBreak(t *testing.T) {
	for name, silent := range map[string]bool{"and the relay notices": false, "and the relay does not": true} {
		t.Run(name, func(t *testing.T) {
			text := strings.Repeat("Grüße aus Köln 👋\n\n\x00\xff\r\n", 40_000)
			folder := keys(t)
			address, _ := startRelay(t)
			file := func(name string) string { return filepath.Join(folder, name) }
			alices := startGate(t, address, silent, 20_000, 300_000, 600_000)
			bobs := startGate(t, address, silent, 4_000, 6_000)
			bob := start(t, nil, "listen", "--once", "--key", file("bob.pem"), "--peer", file("alice.pub"), "--relay", bobs.address)
			bob.err.says(t, "listening")
			alice := start(t, strings.NewReader(text), "chat", "--key", file("alice.pem"), "--peer", file("bob.pub"), "--relay", alices.address)
			alice.ends(t, exitOK)
			bob.ends(t, exitOK)
			if bob.out.String() != text {
				t.Errorf("what arrived differs: %d bytes, not %d", len(bob.out.String()), len(text))
			}
			if n := strings.Count(alice.err.String(), "connected again"); n < 2 {
				t.Errorf("Alice connects again %d times: %s", n, alice.err)
			}
			bob.err.says(t, "connected again")
		})
	}
}

func TestASessionThatARestartedRelayHasForgottenIsOverForBoth(t *testing.T) {
	folder := keys(t)
	before, _ := startRelay(t)
	after, _ := startRelay(t)
	file := func(name string) string { return filepath.Join(folder, name) }
	g := startGate(t, before, false)
	bob := start(t, nil, "listen", "--once", "--key", file("bob.pem"), "--peer", file("alice.pub"), "--relay", g.address)
	bob.err.says(t, "listening")
	in, _ := io.Pipe()
	alice := start(t, in, "chat", "--key", file("alice.pem"), "--peer", file("bob.pub"), "--relay", g.address)
	alice.err.says(t, "bob is here")
	bob.err.says(t, "alice is here")
	g.lead(after)
	alice.ends(t, exitUnconfirmed)
	alice.err.says(t, "blubbel: while we were away, bob has left, or the relay has forgotten the session\n")
	bob.ends(t, exitUnconfirmed)
	bob.err.says(t, "* the session with alice is over: while we were away, alice has left, or the relay has forgotten the session\n")
}

// TestAFriendWhoComesBackIsAnnouncedOnce has a relay restart, and Bob come back to it after Alice, who sits at a terminal.
func TestAFriendWhoComesBackIsAnnouncedOnce(t *testing.T) {
	folder := keys(t)
	before, _ := startRelay(t)
	after, _ := startRelay(t)
	g := startGate(t, before, false)
	conn, self := user(t, folder, "alice", g.address)
	chatsWithAlice := func(relay string) *running {
		in, _ := io.Pipe()
		return start(t, in, "chat", "--key", filepath.Join(folder, "bob.pem"), "--peer", filepath.Join(folder, "alice.pub"), "--relay", relay)
	}
	bob, err := readFriend(filepath.Join(folder, "bob.pub"), self)
	if err != nil {
		t.Fatal(err)
	}
	out, asked := newOutput(), make(chan struct{}, 1)
	s := streams{err: newOutlet(out)}
	go watch(t.Context(), conn, s, bob, asked, &absence{}) // ends with the test
	meet := func(ctx context.Context) (*client.Session, error) { return chat{}.meet(ctx, conn, s, bob, asked) }
	old := chatsWithAlice(before)
	session, err := meet(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keyboard, typed := io.Pipe()
	screen := struct {
		io.Reader
		io.Writer
	}{keyboard, io.Discard}
	told, asking := make(chan error, 1), make(chan struct{})
	c := &chatting{streams: s, conn: conn, self: self, peer: bob, session: session}
	c.meet = func(ctx context.Context) (*client.Session, error) { defer close(asking); return meet(ctx) }
	c.terminal = &terminal{Terminal: term.NewTerminal(screen, "")}
	go func() { told <- c.terminal.talk(t.Context(), c, asked) }()
	out.says(t, "bob is here; Ctrl-D ends")
	old.err.says(t, "alice is here")
	g.lead("127.0.0.1:1") // nobody
	out.says(t, "lost the relay")
	_, _ = io.WriteString(typed, "hello?\r")
	out.says(t, "there is no connection; what you say waits until it is back")
	g.lead(after)
	out.says(t, "bob is away; asking again every 10s")
	chatsWithAlice(after).err.says(t, "alice is here")
	<-asking // it ends at once, or when it would ask again
	for range 10 {
		_, _ = io.WriteString(typed, "/help\r")
	}
	_, _ = io.WriteString(typed, "/end\r")
	if err := <-told; err != nil || strings.Count(out.String(), "bob is here") != 2 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestWhoeverLogsInElsewhereIsNotFought(t *testing.T) {
	bob, args, _ := talking(t)
	in, _ := io.Pipe()
	alice := start(t, in, args...)
	alice.err.says(t, "bob is here")
	again := start(t, in, args...)
	alice.ends(t, exitRelay)
	alice.err.says(t, "you are logged in elsewhere now")
	again.err.says(t, "bob is here")
	again.stop()
	again.ends(t, exitInterrupted)
	bob.stop()
	bob.ended(t)
}

func TestAFriendWhoLeavesIsToldAtOnce(t *testing.T) {
	bob, args, _ := talking(t)
	in, _ := io.Pipe()
	alice := start(t, in, args...)
	bob.err.says(t, "alice is here")
	bob.stop()
	bob.ends(t, exitInterrupted)
	alice.ends(t, exitUnconfirmed)
	alice.err.says(t, "bob has ended the session, says the relay")
}

// TestAPipeGivesWayToAFriendWhoBeginsAnew has Bob's program crash: the relay keeps his session, for he proved his login.
func TestAPipeGivesWayToAFriendWhoBeginsAnew(t *testing.T) {
	folder := keys(t)
	address, _ := startRelay(t)
	file := func(name string) string { return filepath.Join(folder, name) }
	aliceIn, _ := io.Pipe()
	bobIn, _ := io.Pipe()
	alice := start(t, aliceIn, "chat", "--key", file("alice.pem"), "--peer", file("bob.pub"), "--relay", address)
	bob := start(t, bobIn, "chat", "--key", file("bob.pem"), "--peer", file("alice.pub"), "--relay", address)
	alice.err.says(t, "bob is here")
	bob.err.says(t, "alice is here")
	again := start(t, bobIn, "chat", "--key", file("bob.pem"), "--peer", file("alice.pub"), "--relay", address)
	bob.ends(t, exitRelay) // as if crashed: it cannot tell anybody
	alice.ends(t, exitUnconfirmed)
	alice.err.says(t, "bob has begun a new session")
	again.ends(t, exitUnconfirmed)
	again.err.says(t, "alice has ended the session")
}

func TestAnUnprovenFriendIsTalkedToAsWell(t *testing.T) {
	bob, args, _ := talking(t)
	alice := start(t, strings.NewReader("hello"), append(args, "--unproven")...)
	alice.ends(t, exitOK)
	bob.ends(t, exitOK)
	if bob.out.String() != "hello" {
		t.Errorf("Bob gets %q", bob.out)
	}
	start(t, strings.NewReader(""), append(args, "--wait=0")...).ends(t, exitAway) // it proves
	refused := start(t, strings.NewReader(""), append(args, "--wait=0", "--unproven")...)
	refused.ends(t, exitRelay)
	refused.err.says(t, "leave out --unproven")
}

func TestARelayIsPinged(t *testing.T) {
	address, _ := startRelay(t)
	r := start(t, nil, "ping", address, "-n3", "-i1ms")
	r.ends(t, exitOK)
	form := `^pinging [0-9.:]+: \S.*, with the id [A-Za-z0-9_-]{43}
answer 1: \d+\.\d{3} ms
answer 2: \d+\.\d{3} ms
answer 3: \d+\.\d{3} ms
--- [0-9.:]+ ---
3 sent, 3 answered, in \S+
min/avg/max/mdev = \d+\.\d{3}/\d+\.\d{3}/\d+\.\d{3}/\d+\.\d{3} ms
$`
	if out := r.out.String(); !regexp.MustCompile(form).MatchString(out) {
		t.Errorf("it prints %s", out)
	}
	web, _ := startRelay(t, overWebSocket)
	start(t, nil, "ping", "ws://"+web+"/relay", "-n1").ends(t, exitOK)
	endless := start(t, nil, "ping", address, "-n1000", "-i1h")
	endless.out.says(t, "answer 1")
	endless.stop()
	endless.ends(t, exitOK)
	endless.out.says(t, "1 sent, 1 answered")
}

// TestAnOlderRelayIsNamed plays a relay that knows neither Hello nor pings.
func TestAnOlderRelayIsNamed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() { // ends with the listener
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				for n := uint64(1); ; n++ {
					f, err := frames.Read(conn, frames.MaxLoginPayload)
					if err != nil {
						return
					}
					_, _ = conn.Write(frames.Error{Code: frames.Unsupported, Request: f.Type, Number: n}.Append(nil))
				}
			}()
		}
	}()
	folder := keys(t)
	for text, args := range map[string][]string{
		"this is an older relay, which answers no pings": {"ping", ln.Addr().String()},
		"say --unproven": {
			"chat", "--key", filepath.Join(folder, "alice.pem"), "--peer", filepath.Join(folder, "bob.pub"), "--relay", ln.Addr().String(),
		},
		"it does not say who it is": {
			"chat", "--key", filepath.Join(folder, "alice.pem"), "--peer", filepath.Join(folder, "bob.pub"),
			"--relay", pinned(ln.Addr().String(), frames.RelayID{1}),
		},
	} {
		r := start(t, strings.NewReader(""), args...)
		if code := r.ended(t); code != exitRelay && code != exitTampering {
			t.Errorf("exit code %d", code)
		}
		r.err.says(t, text)
	}
}

func TestNewsAreToldOnceAndAboutFriendsOnly(t *testing.T) {
	out := newOutput()
	n := newNews(streams{err: newOutlet(out)})
	bob, carol := frames.Key("bob"), frames.Key("carol")
	known := func(key frames.Key) (string, bool) { return "bob", string(key) == "bob" }
	for _, e := range []client.Event{
		client.Presence{Peer: bob, Online: true}, // which goes without saying
		client.Presence{Peer: carol},
		client.Presence{Peer: bob},
		client.Presence{Peer: bob},
		client.Presence{Peer: bob, Online: true},
		client.Restarting{In: 1700 * time.Millisecond},
		client.Reconnecting{Err: client.ErrDisconnected},
		client.Reconnecting{Err: io.EOF},
		client.Reconnected{},
		client.Trouble{Err: fmt.Errorf("something")},
	} {
		n.tell(e, known)
	}
	want := `* bob is away; what you say waits
* bob is online again
* the relay restarts; it should be back in 2s
* lost the relay (the connection to the relay is lost); connecting again
* connected again
* ignored something from the relay: something
`
	if out.String() != want {
		t.Errorf("it says %s", out)
	}
}
