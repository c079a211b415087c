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

// handed is a command that starts a daemon with a socket that is open already, as systemd does: see sd_listen_fds(3).
func handed(t *testing.T, ln net.Listener, args ...string) *exec.Cmd {
	t.Helper()
	file, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	args = append([]string{"-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`, built, "--state", t.TempDir(), "--log-format", "json"}, args...)
	command := exec.Command("/bin/sh", args...)
	command.ExtraFiles = []*os.File{file} // the first behind standard error, as it must be
	return command
}

// Whoever connects while the relay is restarted waits, and is let in.
func TestASocketOfSystemdsOutlivesTheRelay(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tcp.Close() }()
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "relay.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close() }()
	for at, ln := range map[string]net.Listener{tcp.Addr().String(): tcp, "unix://" + unix.Addr().String(): unix} {
		t.Run(at, func(t *testing.T) {
			d := starts(t, handed(t, ln, "--listen", at))
			if d.address != at {
				t.Errorf("it listens on %s", d.address)
			}
			comes(t, ln)
			d.signals(t, syscall.SIGTERM)
			if code := d.ends(t, patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
			meanwhile, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = meanwhile.Close() }()
			starts(t, handed(t, ln, "--listen", at))
			logsInOver(t, meanwhile)
			comes(t, ln)
		})
	}
}

// comes connects, and logs in.
func comes(t *testing.T, ln net.Listener) {
	t.Helper()
	conn, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	logsInOver(t, conn)
}

func logsInOver(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(frames.Login{Key: freshKey()}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if answer, err := frames.Read(conn, frames.MaxPayload); err != nil || answer.Type != frames.TypeLogin {
		t.Errorf("it is answered %v, %v", answer, err)
	}
}

// Somebody expects the relay where systemd listens for it.
func TestASocketThatNobodyAskedForIsWrong(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	command, complaint := handed(t, ln, "--listen", "127.0.0.1:0"), &strings.Builder{}
	command.Stderr = complaint
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { _ = command.Process.Kill() }).Stop()
	err = command.Wait()
	want := "blubbel-server: systemd has opened a socket at " + ln.Addr().String() + " for the relay, where it is not to listen; name it with --listen"
	if err == nil || !strings.HasPrefix(complaint.String(), want) || strings.Count(complaint.String(), "\n") != 1 {
		t.Errorf("%v: %s", err, complaint)
	}
}
