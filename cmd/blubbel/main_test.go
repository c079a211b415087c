package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/listener"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// keys are the users of client/testdata, as files that only we can read, and their public halves.
func keys(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, name := range []string{"alice", "bob", "carol"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "client", "testdata", "keys", name+".pem"))
		if err != nil {
			t.Fatal(err)
		}
		secret := filepath.Join(folder, name+".pem")
		if err := os.WriteFile(secret, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var public, stderr bytes.Buffer
		if code := run(t.Context(), []string{"id", "--key", secret}, streams{out: &public, err: newOutlet(&stderr)}); code != exitOK {
			t.Fatal(stderr.String())
		}
		if err := os.WriteFile(filepath.Join(folder, name+".pub"), public.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// quiet is a log that nobody reads.
func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// startRelay starts a relay until the test's end. Around its listener there may be another.
func startRelay(t *testing.T, around ...func(net.Listener) net.Listener) (address string, stop func()) {
	t.Helper()
	log := quiet()
	relay, err := supervisor.New(supervisor.Config{Log: logrus.NewEntry(log)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Spawn(supervisor.NewSystem(logrus.NewEntry(log)).Root, "relay"); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	for _, f := range around {
		ln = f(ln)
	}
	served := make(chan error)
	go func() { served <- relay.Serve(context.Background(), ln) }()
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(relay.Stop(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return address, stop
}

// overWebSocket has a relay speak WebSocket, at /relay.
func overWebSocket(ln net.Listener) net.Listener {
	return listener.WebSocket(ln, listener.Web{Path: "/relay"})
}

// running is the program, started.
type running struct {
	out, err *output
	code     chan int
	stop     context.CancelFunc // as a signal does
}

// start runs the program with these arguments; in place of ALICE, BOB and RELAY stand files and an address.
func start(t *testing.T, in io.Reader, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	r := &running{out: newOutput(), err: newOutput(), code: make(chan int, 1), stop: stop}
	go func() { r.code <- run(ctx, args, streams{in: in, out: r.out, err: newOutlet(r.err)}) }()
	return r
}

// ends waits until it has ended with this code.
func (r *running) ends(t *testing.T, code int) {
	t.Helper()
	if got := r.ended(t); got != code {
		t.Errorf("exit code %d, not %d: %s", got, code, r.err)
	}
}

// ended waits until it has ended.
func (r *running) ended(t *testing.T) (code int) {
	t.Helper()
	select {
	case code = <-r.code:
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end: %s", r.err)
	}
	return code
}

// output is what was written, for somebody who waits for it.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{}
}

func newOutput() *output { return &output{written: make(chan struct{}, 1)} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.written <- struct{}{}:
	default:
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// says waits until a text was written.
func (o *output) says(t *testing.T, text string) {
	t.Helper()
	for late := time.After(20 * time.Second); !strings.Contains(o.String(), text); {
		select {
		case <-o.written:
		case <-late:
			t.Fatalf("nothing says %q: %s", text, o)
		}
	}
}

func TestAKeyIsMadeOnceAndForItsOwnerAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a", "new", "folder", "key.pem")
	start(t, nil, "keygen", "--key", file).ends(t, exitOK)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(before, []byte("-----BEGIN PRIVATE KEY-----")) {
		t.Errorf("it begins with %.30s", before)
	}
	if state, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && state.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", state.Mode(), err)
	}
	again := start(t, nil, "keygen", "--key", file)
	again.ends(t, exitFailure)
	again.err.says(t, "is there already; choose another file")
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Error("the key was overwritten")
	}
}

func TestTheIDIsThePublicKeyAlone(t *testing.T) {
	folder := keys(t)
	r := start(t, nil, "id", "--key", filepath.Join(folder, "alice.pem"))
	r.ends(t, exitOK)
	if out := r.out.String(); !strings.HasPrefix(out, "-----BEGIN PUBLIC KEY-----\n") || !strings.HasSuffix(out, "-----END PUBLIC KEY-----\n") {
		t.Errorf("printed %q", out)
	}
	r.err.says(t, "fingerprint: ")
}

func TestBothSeeTheSameSafetyNumber(t *testing.T) {
	folder := keys(t)
	var numbers []string
	for _, pair := range [][2]string{{"alice", "bob"}, {"bob", "alice"}, {"alice", "carol"}} {
		r := start(t, nil, "safety", "--key", filepath.Join(folder, pair[0]+".pem"), "--peer", filepath.Join(folder, pair[1]+".pub"))
		r.ends(t, exitOK)
		numbers = append(numbers, r.out.String())
	}
	if numbers[0] != numbers[1] || numbers[0] == numbers[2] || len(strings.Fields(numbers[0])) != 12 {
		t.Errorf("%q", numbers)
	}
}

func TestWhatIsWrongIsOneClearLine(t *testing.T) {
	folder := keys(t)
	address, _ := startRelay(t)
	file := func(name string) string { return filepath.Join(folder, name) }
	selfSigned, err := listener.NewSelfSigned(logrus.NewEntry(quiet()), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := selfSigned.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}))
	for name, text := range map[string]string{"nonsense": "nonsense", "empty": "", "ca.pem": authority} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if secret, err := os.ReadFile(file("alice.pem")); err != nil || os.WriteFile(file("open.pem"), secret, 0o600) != nil ||
		os.Chmod(file("open.pem"), 0o644) != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // a server that speaks something else
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		}
	}()
	web, _ := startRelay(t, overWebSocket)
	ca, withCA := "--tls-ca="+file("ca.pem"), "with --tls-ca the address has to begin with tls://"
	alice, bob, relay := "--key="+file("alice.pem"), "--peer="+file("bob.pub"), "--relay="+address
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitUsage, "see blubbel --help", nil},
		{exitUsage, "unexpected argument dance", []string{"dance"}},
		{exitUsage, "missing flags: --peer", []string{"chat", alice}},
		{exitUsage, "invalid duration", []string{"chat", alice, bob, "--wait=soon"}},
		{exitUsage, "give it as host:port", []string{"chat", alice, bob, "--relay=nowhere"}},
		{exitUsage, "the relay's id is missing", []string{"chat", alice, bob, "--relay=blubbels://127.0.0.1:1"}},
		{exitUsage, "--unproven does not ask the relay who it is", []string{"chat", alice, bob, "--unproven", "--relay=" + pinned(address, frames.RelayID{1})}},
		{exitRelay, "this is not the relay of that address", []string{"chat", alice, bob, "--relay=" + pinned(address, frames.RelayID{1})}},
		{exitRelay, "does not speak TLS", []string{"chat", alice, bob, "--relay=tls://" + address}},
		{exitFailure, "cannot read --tls-ca", []string{"chat", alice, bob, "--tls-ca=" + file("none")}},
		{exitFailure, "there is no certificate in it", []string{"ping", address, "--tls-ca=" + file("nonsense")}},
		{exitUsage, withCA, []string{"ping", address, ca}},
		{exitUsage, withCA, []string{"ping", "tcp://" + address, ca}},
		{exitUsage, withCA, []string{"ping", "ws://" + address, ca}},
		{exitUsage, "BLUBBEL_RELAY) " + address + ": " + withCA, []string{"chat", alice, bob, relay, ca}},
		{exitUsage, withCA, []string{"listen", alice, ca, "--relay=" + pinned(address, frames.RelayID{1})}},
		{exitUsage, withCA, []string{"listen", alice, ca, "--relay=" + strings.Replace(pinned(address, frames.RelayID{1}), "blubbel", "blubbels", 1)}},
		{exitRelay, "does not speak TLS", []string{"ping", "tls://" + address, ca}},
		{exitRelay, "opens no WebSocket there; is the path right? (the answer is 404 Not Found", []string{"ping", "ws://" + web + "/elsewhere"}},
		{exitRelay, `"this port speaks WebSocket, which you do not"; with TLS the address begins`, []string{"ping", web}},
		{exitRelay, "does not speak TLS", []string{"ping", "wss://" + web + "/relay"}},
		{exitUsage, "the port is missing", []string{"ping", "nowhere"}},
		{exitUsage, "at least 1", []string{"ping", address, "-n0"}},
		{exitRelay, "cannot reach the relay at 127.0.0.1:1;", []string{"ping", "127.0.0.1:1"}},
		{exitFailure, "make one with: blubbel keygen", []string{"id", "--key=" + file("none.pem")}},
		{exitFailure, "others can read your key; forbid it with: chmod 600", []string{"id", "--key=" + file("open.pem")}},
		{exitFailure, "not a key in PEM", []string{"id", "--key=" + file("nonsense")}},
		{exitFailure, "not a key in PEM", []string{"id", "--key=" + file("empty")}},
		{exitFailure, "this is a public key", []string{"id", "--key=" + file("bob.pub")}},
		{exitFailure, "cannot read your friend's key", []string{"chat", alice, relay, "--peer=" + file("none.pub")}},
		{exitFailure, "not a key in PEM", []string{"safety", alice, "--peer=" + file("nonsense")}},
		{exitFailure, "never send this around", []string{"safety", alice, "--peer=" + file("bob.pem")}},
		{exitFailure, "this is your own key", []string{"listen", alice, relay, "--peer=" + file("alice.pub")}},
		{exitRelay, "cannot reach the relay at 127.0.0.1:1;", []string{"chat", alice, bob, "--relay=127.0.0.1:1"}},
		{exitRelay, "not a blubbel relay", []string{"chat", alice, bob, "--relay=" + silent.Addr().String()}},
		{exitAway, "bob is away, or nobody has this key", []string{"chat", alice, bob, relay, "--wait=0"}},
	} {
		if runtime.GOOS == "windows" && strings.Contains(c.says, "chmod") {
			continue
		}
		r := start(t, strings.NewReader(""), c.args...)
		r.ends(t, c.code)
		text := r.err.String()
		if !strings.HasPrefix(text, "blubbel: ") || strings.Count(text, "\n") != 1 || !strings.Contains(text, c.says) {
			t.Errorf("%v: %s", c.args, text)
		}
		if out := r.out.String(); out != "" {
			t.Errorf("%v prints %q", c.args, out)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"chat", "--help"}, {"--version"}} {
		r := start(t, nil, args...)
		r.ends(t, exitOK)
		r.out.says(t, "blubbel")
	}
}

// talking starts Bob, who listens for Alice, and returns what both need.
func talking(t *testing.T) (bob *running, alice []string, stopRelay func()) {
	t.Helper()
	folder := keys(t)
	address, stop := startRelay(t)
	file := func(name string) string { return filepath.Join(folder, name) }
	bob = start(t, nil, "listen", "--once", "--key", file("bob.pem"), "--peer", file("alice.pub"), "--relay", address)
	bob.err.says(t, "listening")
	return bob, []string{"chat", "--key", file("alice.pem"), "--peer", file("bob.pub"), "--relay", address}, stop
}

func TestAPipeCarriesTheTextByteForByte(t *testing.T) {
	text := strings.Repeat("Grüße aus Köln 👋\n\n\x00\xff\r\n", 40_000) + "no newline at the end"
	bob, args, _ := talking(t)
	alice := start(t, strings.NewReader(text), args...)
	alice.ends(t, exitOK)
	bob.ends(t, exitOK)
	if bob.out.String() != text {
		t.Error("what arrived differs")
	}
	if alice.out.String() != "" {
		t.Errorf("Alice gets %q", alice.out)
	}
}

func TestNothingToSayIsFine(t *testing.T) {
	bob, args, _ := talking(t)
	start(t, strings.NewReader(""), args...).ends(t, exitOK)
	bob.ends(t, exitOK)
}

// Whoever listens has to know whether that was all.
func TestASenderThatIsInterruptedDoesNotSayThatItWasAll(t *testing.T) {
	bob, args, _ := talking(t)
	in, out := io.Pipe()
	alice := start(t, in, args...)
	if _, err := io.WriteString(out, "and the password is"); err != nil {
		t.Fatal(err)
	}
	bob.out.says(t, "and the password is")
	alice.stop()
	alice.ends(t, exitInterrupted)
	bob.err.says(t, "alice is here")
	bob.stop() // it may take 15 s until Bob asks whether Alice is there
	if code := bob.ended(t); code != exitInterrupted && code != exitUnconfirmed {
		t.Errorf("exit code %d: %s", code, bob.err)
	}
}

func TestTwoPipesCarryBothTexts(t *testing.T) {
	folder := keys(t)
	address, _ := startRelay(t)
	file := func(name string) string { return filepath.Join(folder, name) }
	for _, size := range []int{1, 1 << 20} { // who has less to say waits for the other
		texts := map[string]string{"alice": strings.Repeat("a", size), "bob": "b"}
		both := map[string]*running{}
		for _, pair := range [][2]string{{"alice", "bob"}, {"bob", "alice"}} {
			both[pair[0]] = start(t, strings.NewReader(texts[pair[0]]),
				"chat", "--key", file(pair[0]+".pem"), "--peer", file(pair[1]+".pub"), "--relay", address)
		}
		for name, other := range map[string]string{"alice": "bob", "bob": "alice"} {
			both[name].ends(t, exitOK)
			if got := both[name].out.String(); got != texts[other] {
				t.Errorf("%s gets %d bytes, not %d", name, len(got), len(texts[other]))
			}
		}
	}
}

func TestTheEndOfTheRelayIsTold(t *testing.T) {
	bob, args, stop := talking(t)
	in, _ := io.Pipe()
	alice := start(t, in, append(args, "--reconnect=0")...)
	alice.err.says(t, "bob is here")
	stop()
	alice.ends(t, exitRelay)
	alice.err.says(t, "the relay is shutting down; try again when it is back")
	bob.err.says(t, "the relay is shutting down; connecting again")
	bob.stop()
	bob.ends(t, exitInterrupted)
}

func TestWhoeverIsNotNamedIsToldOfAndNotAccepted(t *testing.T) {
	folder := keys(t)
	address, _ := startRelay(t)
	file := func(name string) string { return filepath.Join(folder, name) }
	bob := start(t, nil, "listen", "--key", file("bob.pem"), "--peer", file("alice.pub"), "--relay", address)
	bob.err.says(t, "listening")
	carol := start(t, nil, "chat", "--key", file("carol.pem"), "--peer", file("bob.pub"), "--relay", address)
	bob.err.says(t, "is not among those named with --peer: ")
	carol.stop()
	carol.ends(t, exitInterrupted)
	bob.stop()
	bob.ends(t, exitInterrupted)
}

func TestTwoWhoChatAtOnceFindEachOther(t *testing.T) {
	folder := keys(t)
	address, _ := startRelay(t)
	file := func(name string) string { return filepath.Join(folder, name) }
	var both []*running
	var mouths []*io.PipeWriter
	for _, pair := range [][2]string{{"alice", "bob"}, {"bob", "alice"}} {
		in, out := io.Pipe()
		mouths = append(mouths, out)
		both = append(both, start(t, in, "chat", "--key", file(pair[0]+".pem"), "--peer", file(pair[1]+".pub"), "--relay", address))
	}
	for i, r := range both {
		r.err.says(t, "is here")
		if _, err := io.WriteString(mouths[i], "hello\n"); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range both {
		r.out.says(t, "hello\n")
	}
	_ = mouths[0].Close()
	both[0].ends(t, exitOK)
	if _, err := io.WriteString(mouths[1], "are you there?\n"); err != nil {
		t.Fatal(err)
	}
	both[1].ends(t, exitUnconfirmed)
	both[1].err.says(t, "has ended the session")
}

func TestATerminalIsNotObeyed(t *testing.T) {
	for text, want := range map[string]string{
		"hello":                  "bob: hello\n",
		"hello\n":                "bob: hello\n",
		"two\nlines":             "bob: two\nbob: lines\n",
		"\x1b[2Jgone\a":          "bob: \ufffd[2Jgone\ufffd\n",
		"a\rb":                   "bob: a\ufffdb\n",
		"\u202egnp.exe":          "bob: \ufffdgnp.exe\n",
		"\u0085\u009bm\x7f":      "bob: \ufffd\ufffdm\ufffd\n",
		"not \xff UTF-8":         "bob: not \ufffd UTF-8\n",
		"* alice is here\n> yes": "bob: * alice is here\nbob: > yes\n",
		"tab\tand Grüße 👋":       "bob: tab\tand Grüße 👋\n",
		"":                       "bob: \n",
	} {
		if got := said("bob", []byte(text)); got != want {
			t.Errorf("%q is shown as %q, not %q", text, got, want)
		}
	}
}
