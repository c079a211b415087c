package daemon

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	systemddaemon "github.com/coreos/go-systemd/v22/daemon"
)

// systemd hears what a daemon says to the service manager that has started it, see sd_notify(3).
type systemd struct{ *net.UnixConn }

func listens(t *testing.T) systemd {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(t.TempDir(), "notify")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return systemd{conn}
}

// starts has a daemon started, with this in its environment as well.
func (s systemd) starts(t *testing.T, environment ...string) *daemon {
	t.Helper()
	return starts(t, s.command(t, environment, "--listen", "127.0.0.1:0"))
}

func (s systemd) command(t *testing.T, environment []string, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command(built, append([]string{"--state", t.TempDir(), "--log-format", "json"}, args...)...)
	command.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+s.LocalAddr().String()), environment...)
	return command
}

// hears returns the next that is said, as a table.
func (s systemd) hears(t *testing.T) map[string]string {
	t.Helper()
	if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := s.Read(b)
	if err != nil {
		t.Fatalf("it says nothing more: %v", err)
	}
	said := map[string]string{}
	for line := range strings.Lines(string(b[:n])) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			t.Errorf("it says %q", line)
		}
		said[name] = value
	}
	return said
}

// hearsOf waits until this is what is said next.
func (s systemd) hearsOf(t *testing.T, name string) map[string]string {
	t.Helper()
	said := s.hears(t)
	if said[name] != "1" {
		t.Fatalf("it does not say %s, but %v", name, said)
	}
	return said
}

func TestSystemdIsToldHowTheRelayIs(t *testing.T) {
	s := listens(t)
	d := s.starts(t)
	if said := s.hearsOf(t, "READY"); said["STATUS"] != "ready" {
		t.Errorf("it says %v", said)
	}
	d.logsIn(t)

	before := monotonic(t)
	d.signals(t, syscall.SIGHUP)
	at, err := strconv.ParseInt(s.hearsOf(t, "RELOADING")["MONOTONIC_USEC"], 10, 64)
	if err != nil || at < before || at > monotonic(t) {
		t.Errorf("it reads the configuration again at %d: %v", at, err)
	}
	s.hearsOf(t, "READY")
	d.says(t, "SIGHUP: nothing has changed")

	d.signals(t, syscall.SIGTERM)
	if said := s.hearsOf(t, "STOPPING"); said["EXTEND_TIMEOUT_USEC"] != "20000000" {
		t.Errorf("for 10s and what is left to say then it asks for %v", said)
	}
	d.says(t, "relay stopped")
	if code := d.ends(t, patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// monotonic is the time that systemd compares with, in microseconds.
func monotonic(t *testing.T) int64 {
	t.Helper()
	_, value, _ := strings.Cut(strings.TrimSpace(systemddaemon.SdNotifyMonotonicUsec()), "=")
	now, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		t.Skip("there is no such clock")
	}
	return now
}

// A relay that cannot start must not be taken for one that has.
func TestARelayThatCannotListenIsNotReady(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	s := listens(t)
	complaint, err := s.command(t, nil, "--listen", taken.Addr().String()).CombinedOutput()
	if err == nil || !strings.Contains(string(complaint), "another program does") {
		t.Errorf("%v: %s", err, complaint)
	}
	we, err := net.DialUnix("unixgram", nil, s.LocalAddr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = we.Close() }()
	if _, err := we.Write([]byte("US=1")); err != nil { // what it has said would come first
		t.Fatal(err)
	}
	s.hearsOf(t, "US")
}

func TestSystemdWatchesARelayThatAnswers(t *testing.T) {
	s := listens(t)
	d := s.starts(t, "WATCHDOG_USEC=200000")
	s.hearsOf(t, "READY")
	s.hearsOf(t, "WATCHDOG")
	d.logsIn(t)
	for s.hearsOf(t, "WATCHDOG")["STATUS"] != "ready; 1 online, 0 sessions" {
	}
	d.signals(t, syscall.SIGTERM)
	for s.hears(t)["STOPPING"] != "1" {
	}
}

// What nobody listens to stops nobody.
func TestARelayRunsThoughSystemdIsDeaf(t *testing.T) {
	s := listens(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d := s.starts(t)
	d.says(t, "systemd cannot be told how the relay is")
	d.logsIn(t)
	d.signals(t, syscall.SIGTERM)
	if code := d.ends(t, patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
