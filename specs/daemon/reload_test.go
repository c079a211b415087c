package daemon

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// configured is a daemon with a file of settings, in which limits by rate are on.
type configured struct {
	*daemon
	file string
}

func startConfigured(t *testing.T, text string, args ...string) *configured {
	t.Helper()
	c := &configured{file: filepath.Join(t.TempDir(), "blubbel.yaml")}
	c.write(t, text)
	c.daemon, _ = startTLS(t, append([]string{"--tls-self-signed", "--rate-limits", "on", "--config", c.file}, args...)...)
	return c
}

func (c *configured) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(c.file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(c.file+".new", c.file); err != nil {
		t.Fatal(err)
	}
}

// reloads has the file read again, and returns the line that begins like this.
func (c *configured) reloads(t *testing.T, text, says string) line {
	t.Helper()
	c.write(t, text)
	c.signals(t, syscall.SIGHUP)
	return c.says(t, says)
}

// stranger logs in with a key of its own, and stays. It returns whether it is turned away.
func (c *configured) stranger(t *testing.T) (turnedAway bool) {
	t.Helper()
	plain, _, _ := strings.Cut(c.address, ",")
	conn, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(frames.Login{Key: freshKey()}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	raw, err := frames.Read(conn, frames.MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	said, err := frames.DefaultKeys().Decode(frames.FromRelay, raw)
	if err != nil {
		t.Fatal(err)
	}
	refused, turnedAway := said.(frames.Error)
	if turnedAway && refused.Code != frames.Limit {
		t.Errorf("it is told %v", refused)
	}
	return turnedAway
}

func TestHangupTakesNewSettings(t *testing.T) {
	c := startConfigured(t, "online-per-address: 3\n")
	address := encrypted.FindStringSubmatch(c.address)[1]
	alice, bob := logsIn(t, address), logsIn(t, address)
	meet(t, alice, bob)
	if c.stranger(t) {
		t.Error("the third is turned away")
	}
	if !c.stranger(t) {
		t.Error("the fourth is let in")
	}
	said := c.reloads(t, "online-per-address: 5\nlog-level: debug\ndrain-time: 1m\n", "SIGHUP: a setting has changed, and needs a restart")
	if said["setting"] != "drain-time" || said["new"] != "1m0s" || said["origin"] != c.file+":3" {
		t.Errorf("it says %v", said)
	}
	if c.stranger(t) {
		t.Error("the fourth is turned away, though five may come now")
	}
	c.says(t, "connection opened") // which is said at debug
	chat(t, alice, bob)

	said = c.reloads(t, "online-per-address: 0\n", "SIGHUP: the configuration cannot be used; everything stays as it is")
	if want := c.file + ":1: online-per-address is 0; leave it out for the default"; said["error"] != want {
		t.Errorf("it says %v, want %s", said["error"], want)
	}
	if c.stranger(t) {
		t.Error("the fifth is turned away")
	}
	if !c.stranger(t) {
		t.Error("the sixth is let in")
	}
	chat(t, alice, bob)
	c.signals(t, syscall.SIGTERM)
	c.says(t, "relay stopped")
	if code := c.ends(t, drainTime+patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Whatever stands in the environment is used before the file, also when the file is read again.
func TestHangupKeepsToTheEnvironment(t *testing.T) {
	t.Setenv("BLUBBEL_ONLINE_PER_ADDRESS", "1")
	c := startConfigured(t, "online-per-address: 5\n")
	said := c.reloads(t, "online-per-address: 6\npins: 7\n", "SIGHUP: a setting has changed")
	if said["setting"] != "pins" {
		t.Errorf("it says %v", said)
	}
	if c.stranger(t) {
		t.Error("the first is turned away")
	}
	if !c.stranger(t) {
		t.Error("the second is let in")
	}
}

// A pipe can be read once. At a hangup it is neither waited for nor taken for an empty file.
func TestHangupWithSettingsFromAPipe(t *testing.T) {
	command := exec.Command(built, "--listen", "127.0.0.1:0", "--state", t.TempDir(), "--config", "/dev/stdin")
	command.Stdin = strings.NewReader("sessions: 7\nlog-format: json\n")
	d := starts(t, command)
	d.signals(t, syscall.SIGHUP)
	said := d.says(t, "SIGHUP: the configuration cannot be used; everything stays as it is")
	if said["error"] != "/dev/stdin is no file that can be read twice" {
		t.Errorf("it says %v", said)
	}
}
