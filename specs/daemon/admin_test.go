package daemon

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/mdeiml/blubbel-server/client"
)

// asks runs ctl, and returns what it prints and its exit code.
func asks(t *testing.T, args ...string) (out, complaint string, code int) {
	t.Helper()
	command := exec.Command(built, append([]string{"ctl"}, args...)...)
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	_ = command.Run()
	return stdout.String(), stderr.String(), command.ProcessState.ExitCode()
}

// logsIn has somebody log in, with a proof, and returns the fingerprint of the key.
func (d *daemon) logsIn(t *testing.T) (fingerprint string) {
	t.Helper()
	self, err := client.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), d.address, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	digest := self.Key().Fingerprint()
	return hex.EncodeToString(digest[:])
}

func TestARelayIsAskedByAUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	d := start(t, "--admin", "unix://"+socket)
	fingerprint := d.logsIn(t)
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	for _, ask := range []struct {
		command string
		wants   []string
	}{
		{"status", []string{"ready for", "tcp online 1", "1 online", "proof 1", "1 keys pinned", d.address}},
		{"tree", []string{"relay  running", "├── registry", "└── connections", "online, tcp, user "}},
		{"recent", []string{"The last 0 connections", "The last 0 crashes"}},
		{"--json status", []string{`"accepted": 1`}},
		{"tree --children=0", []string{"└── and 1 more"}},
		{"unpin " + fingerprint, []string{"unpinned " + fingerprint}},
		{"status", []string{"0 keys pinned"}},
	} {
		out, complaint, code := asks(t, append([]string{"--admin", "unix://" + socket}, strings.Fields(ask.command)...)...)
		if code != 0 || complaint != "" {
			t.Errorf("%s: %d, %s", ask.command, code, complaint)
		}
		for _, want := range ask.wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s does not say %q:\n%s", ask.command, want, out)
			}
		}
	}
	if out, complaint, code := asks(t, "--admin", "unix://"+socket, "drain"); code != 0 {
		t.Error(out, complaint)
	}
	d.says(t, "relay stopped")
	if code := d.ends(t, patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is still there")
	}
	_, complaint, code := asks(t, "--admin", "unix://"+socket, "status")
	if code != 1 || strings.Count(complaint, "\n") != 1 || !strings.Contains(complaint, "cannot ask the relay at unix://"+socket) {
		t.Errorf("%d %s", code, complaint)
	}
}

func TestARelayIsAskedByTCPWithTheToken(t *testing.T) {
	folder := t.TempDir()
	d := start(t, "--admin", "127.0.0.1:0", "--state", folder)
	at, _ := d.said["the relay is shown"]["admin"].(string)
	get := func(path, host string) (int, string) {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, at+path, nil)
		request.Host = host
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	defer http.DefaultClient.CloseIdleConnections()
	if code, text := get("/metrics", ""); code != 200 || !strings.Contains(text, "blubbel_frames_taken_total 0") {
		t.Error(code, text)
	}
	if code, text := get("/", ""); code != 200 || !strings.Contains(text, "<!doctype html>") {
		t.Error(code, text)
	}
	if code, _ := get("/metrics", "evil.example"); code != http.StatusMisdirectedRequest {
		t.Error("a page of a stranger's reads it:", code)
	}
	if code, _ := get("/debug/pprof/", ""); code != http.StatusNotFound {
		t.Error("profiles, though nobody wants them:", code)
	}
	if _, complaint, code := asks(t, "--admin", at, "--state", t.TempDir(), "drain"); code != 1 || !strings.Contains(complaint, "token") {
		t.Errorf("without the token: %d %s", code, complaint)
	}
	info, err := os.Stat(filepath.Join(folder, "admin-token"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if _, complaint, code := asks(t, "--admin", at, "--state", folder, "drain"); code != 0 {
		t.Error(complaint)
	}
	if code := d.ends(t, patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestTheTokenStays(t *testing.T) {
	folder := t.TempDir()
	tokens := map[string]bool{}
	for range 2 {
		d := start(t, "--admin", "127.0.0.1:0", "--state", folder)
		text, err := os.ReadFile(filepath.Join(folder, "admin-token"))
		if err != nil || len(strings.TrimSpace(string(text))) < 32 {
			t.Fatal(string(text), err)
		}
		tokens[string(text)] = true
		d.signals(t, syscall.SIGTERM)
		d.ends(t, patience)
	}
	if len(tokens) != 1 {
		t.Error("it is another after a restart")
	}
}

// By default a relay can be reached where it listens, and nowhere else.
func TestNothingElseListens(t *testing.T) {
	d := start(t)
	listening, err := exec.CommandContext(context.Background(), "ss", "-Htlnp").Output()
	if err != nil {
		t.Skip("there is no ss(8) to ask")
	}
	count := 0
	for line := range strings.Lines(string(listening)) {
		if strings.Contains(line, "pid="+strconv.Itoa(d.process.Pid)+",") {
			count++
			if _, port, _ := net.SplitHostPort(d.address); !strings.Contains(line, ":"+port+" ") {
				t.Errorf("something listens: %s", line)
			}
		}
	}
	if count != 1 {
		t.Errorf("%d listeners", count)
	}
}
