//go:build unix

package daemon

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestDoctorFindsARelayThatHangs(t *testing.T) {
	folder := t.TempDir()
	d := start(t, "--state", folder)
	d.signals(t, syscall.SIGSTOP)
	defer d.signals(t, syscall.SIGCONT)
	examines(t, d.settings("--state", folder)...).isWrong(t, "listen "+d.address, "the relay does not answer within 5s", "restart it if it hangs")
}

// A state folder that one may not look into, or that others may, is found, and what to do.
func TestDoctorFindsAStateFolderOfAnotherUser(t *testing.T) {
	folder := t.TempDir()
	d := start(t, "--state", folder)
	d.signals(t, syscall.SIGTERM)
	d.ends(t, patience)
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"--state", folder, "--listen", "127.0.0.1:0"}
	examines(t, args...).has(t, "warning", "state folder", "can be looked into by others", "chmod 700 "+folder)
	if err := os.Chmod(filepath.Join(folder, "identity"), 0o644); err != nil {
		t.Fatal(err)
	}
	examines(t, args...).isWrong(t, "identity", "others can read the relay's key", "chmod 600")
	if err := os.Chmod(filepath.Join(folder, "identity"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if err := os.Chmod(folder, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
		f := examines(t, args...)
		f.has(t, "wrong", "state folder", "cannot be written to")
		f.has(t, "wrong", "identity", "permission denied")
		return
	}
	f := examinedBy(t, byNobody(t, append([]string{"doctor", "--json"}, args...)...))
	f.has(t, "wrong", "state folder", "cannot be written to", "it belongs to root", "run doctor as the user that the relay runs as")
	f.has(t, "wrong", "identity", "permission denied", "give the file to the user that the relay runs as")
	f.has(t, "note", "relay", "whether it runs is not known")
	if err := os.Chown(folder, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	examines(t, args...).has(t, "note", "state folder", "belongs to ", "run doctor as that user")
}

// nobody is a user who is not root.
const nobody = 65534

// byNobody is the daemon, run by somebody who may nothing. For that we must be root.
func byNobody(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	whole, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "blubbel-server")
	if err := os.WriteFile(copied, whole, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(copied); dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o005 != 0o005 {
			if !strings.HasPrefix(filepath.Base(dir), "Test") && filepath.Base(dir) != "001" {
				t.Skipf("others may not enter %s", dir)
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	command := exec.Command(copied, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return command
}
