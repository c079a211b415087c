package daemon

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// finding is what doctor has found.
type finding struct{ Mark, What, Found, Advice string }

// findings are all that doctor has found, and its exit code.
type findings struct {
	list []finding
	code int
}

// examines runs doctor with settings of a relay.
func examines(t *testing.T, args ...string) findings {
	t.Helper()
	return examinedBy(t, exec.Command(built, append([]string{"doctor", "--json"}, args...)...))
}

// examinedBy runs doctor, which prints JSON.
func examinedBy(t *testing.T, command *exec.Cmd) (f findings) {
	t.Helper()
	out, _ := command.Output() // the exit code is looked at
	if err := json.Unmarshal(out, &f.list); err != nil {
		t.Fatalf("it prints %q: %v", out, err)
	}
	f.code = command.ProcessState.ExitCode()
	wrong := slices.ContainsFunc(f.list, func(f finding) bool { return f.Mark == "wrong" })
	if wrong != (f.code == 1) || f.code > 1 {
		t.Errorf("exit code %d: %+v", f.code, f.list)
	}
	return f
}

// has wants something to be found where somebody looked, with these words in it.
func (f findings) has(t *testing.T, mark, what string, words ...string) {
	t.Helper()
	var said []string
	for _, is := range f.list {
		if is.What != what {
			continue
		}
		said = append(said, fmt.Sprint(is))
		lacks := func(word string) bool { return !strings.Contains(is.Found+"; "+is.Advice, word) }
		if is.Mark == mark && !slices.ContainsFunc(words, lacks) {
			return
		}
	}
	t.Errorf("%s %s: %q is not found, but %q", mark, what, words, said)
}

// wrong are where something is wrong.
func (f findings) wrong() (list []string) {
	for _, is := range f.list {
		if is.Mark == "wrong" {
			list = append(list, is.What)
		}
	}
	return list
}

// isWrong wants this to be wrong, with these words, and nothing else.
func (f findings) isWrong(t *testing.T, what string, words ...string) {
	t.Helper()
	f.has(t, "wrong", what, words...)
	if all := f.wrong(); len(all) != 1 {
		t.Errorf("wrong are %q: %+v", all, f.list)
	}
}

// settings are those with which doctor finds a daemon.
func (d *daemon) settings(others ...string) []string {
	for at := range strings.SplitSeq(d.address, ",") {
		others = append(others, "--listen", at)
	}
	return others
}

// A relay that runs, with every kind of listener, is well, whether proxies are expected or not.
func TestDoctorFindsARelayThatIsWell(t *testing.T) {
	for name, behind := range map[string][]string{
		"in front": nil, "behind proxies": {"--proxy-from", "127.0.0.1", "--proxy-from", "unix"}, "behind proxies of HTTP": {"--forwarded-from", "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			if err := os.Chmod(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			admin := "unix://" + filepath.Join(t.TempDir(), "admin.sock")
			args := append([]string{"--state", folder, "--admin", admin, "--tls-self-signed"}, behind...)
			d := start(t, append([]string{
				"--listen", "tls://127.0.0.1:0", "--listen", "ws://127.0.0.1:0/a%20b", "--listen", "wss://localhost:0",
				"--listen", "unix://" + filepath.Join(t.TempDir(), "relay.sock"),
			}, args...)...)
			f := examines(t, d.settings(args...)...)
			if all := f.wrong(); len(all) > 0 {
				t.Errorf("wrong are %q: %+v", all, f.list)
			}
			for at := range strings.SplitSeq(d.address, ",") {
				f.has(t, "ok", "listen "+at, "the relay answers within ")
			}
			id, _, _ := strings.Cut(strings.TrimPrefix(d.invites[0], "blubbel://"), "@")
			f.has(t, "ok", "identity", id)
			f.has(t, "ok", "state folder", folder)
			f.has(t, "ok", "relay", fmt.Sprintf("it runs (blubbel-server, process %d)", d.process.Pid))
			f.has(t, "ok", "admin", "has been ready for", "connections: none")
			f.has(t, "ok", "files", "the relay may open ")
			f.has(t, "ok", "addresses", "connections: 0, too few")
			f.has(t, "ok", "certificate", "it is for localhost, 127.0.0.1")
			f.has(t, "warning", "certificate", "browsers do not take")
			f.has(t, "note", "logins", "everybody may log in")
		})
	}
}

// version is a file as it was.
type version struct {
	mode fs.FileMode
	size int64
	at   time.Time
}

// versions are all files in a folder.
func versions(t *testing.T, folder string) map[string]version {
	t.Helper()
	all := map[string]version{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		all[path] = version{info.Mode(), info.Size(), info.ModTime()}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Nothing is made or changed, neither for a relay that never ran nor for one that did.
func TestDoctorChangesNothing(t *testing.T) {
	parent := t.TempDir()
	folder := filepath.Join(parent, "state")
	f := examines(t, "--state", folder, "--listen", "127.0.0.1:0", "--admin", "unix://"+filepath.Join(parent, "a.sock"))
	if is := versions(t, parent); len(is) != 1 || f.code != 0 {
		t.Errorf("%d files: %+v", len(is), f)
	}
	f.has(t, "note", "state folder", folder+" is not there yet")
	f.has(t, "note", "identity", "there is none yet")
	f.has(t, "ok", "admin", "can be shown")
	f.has(t, "note", "addresses", "not known")

	d := start(t, "--state", folder)
	d.signals(t, syscall.SIGTERM)
	d.ends(t, patience)
	before := versions(t, folder)
	f = examines(t, d.settings("--state", folder)...)
	f.has(t, "note", "relay", "it does not run")
	f.has(t, "ok", "listen "+d.address, "it is free for the relay")
	f.has(t, "note", "listen "+d.address, "only this machine can connect there")
	if err := os.Remove(filepath.Join(folder, "identity")); err != nil {
		t.Fatal(err)
	}
	f = examines(t, d.settings("--state", folder)...)
	f.has(t, "warning", "identity", "at its next start the relay will be another", "put a copy")
	after := versions(t, folder)
	delete(before, filepath.Join(folder, "identity"))
	delete(before, folder) // which we have changed
	delete(after, folder)
	for path, is := range after {
		if is != before[path] {
			t.Errorf("%s is %+v, and was %+v", path, is, before[path])
		}
	}
	if len(after) != len(before) {
		t.Errorf("there are %d files, and there were %d", len(after), len(before))
	}
}

func TestDoctorFindsWhoHasThePort(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	go func() { // ends with the listener
		for conn, err := other.Accept(); err == nil; conn, err = other.Accept() {
			_, _ = conn.Write([]byte("220 mail.test ESMTP\r\n"))
			_ = conn.Close()
		}
	}()
	at := other.Addr().String()
	process := fmt.Sprintf(", process %d)", os.Getpid())
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		process = "another program"
	}
	examines(t, "--state", t.TempDir(), "--listen", at).isWrong(t, "listen "+at, "another program listens there", process, "stop it")
	examines(t, "--state", t.TempDir(), "--listen", "tls://"+at, "--tls-self-signed").
		isWrong(t, "listen tls://"+at, "another program listens there", process, "stop it")

	d := start(t)
	examines(t, d.settings("--state", t.TempDir())...).isWrong(t, "listen "+d.address, "another relay answers", "name the state folder")
	folder := t.TempDir()
	start(t, "--state", folder)
	examines(t, d.settings("--state", folder)...).isWrong(t, "listen "+d.address, "another relay answers", "name the state folder")
	_ = other.Close()
	examines(t, "--state", folder, "--listen", at).isWrong(t, "listen "+at, "nobody listens there, though the relay runs", "restart it")
}

func TestDoctorFindsACertificateThatHasExpired(t *testing.T) {
	pair := certificates(t.TempDir())
	pair.putUntil(t, 1, time.Now().Add(-time.Hour))
	args := append([]string{"--state", t.TempDir(), "--listen", "tls://127.0.0.1:0"}, pair.flags()...)
	examines(t, args...).isWrong(t, "certificate", "cert.pem expired on "+time.Now().Add(-time.Hour).UTC().Format(time.DateOnly), "renew it")
	pair.putUntil(t, 2, time.Now().Add(10*24*time.Hour+time.Minute))
	examines(t, args...).has(t, "warning", "certificate", "expires in 10 days", "renew it")
}

func TestDoctorFindsThatAnotherCertificateIsShown(t *testing.T) {
	pair, folder := certificates(t.TempDir()), t.TempDir()
	pair.put(t, 1)
	d := start(t, append([]string{"--listen", "tls://127.0.0.1:0", "--state", folder}, pair.flags()...)...)
	settings := d.settings(append([]string{"--state", folder}, pair.flags()...)...)
	for _, is := range examines(t, settings...).list {
		if strings.Contains(is.Found, "shows another") {
			t.Errorf("%+v", is)
		}
	}
	other := certificates(t.TempDir())
	other.put(t, 2)
	examines(t, d.settings(append([]string{"--state", folder}, other.flags()...)...)...).has(t, "warning", "certificate", "the relay shows another", "SIGHUP")
}

func TestDoctorFindsAListOfNobody(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list.txt")
	args := []string{"--state", t.TempDir(), "--listen", "127.0.0.1:0", "--allow-keys", list}
	examines(t, args...).isWrong(t, "logins", "cannot be read", "no such file")
	for text, words := range map[string][]string{
		"# nobody yet\n": {"nobody may log in", "list.txt lists no key", "what blubbel id prints"},
		"Alice\n":        {"line 1", "not a fingerprint"},
	} {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		examines(t, args...).isWrong(t, "logins", words...)
	}
}

// Behind a proxy that does not say for whom it asks, everybody has its address.
func TestDoctorFindsThatAllHaveOneAddress(t *testing.T) {
	folder := t.TempDir()
	admin := "unix://" + filepath.Join(t.TempDir(), "admin.sock")
	d := start(t, "--state", folder, "--admin", admin, "--rate-limits", "on")
	for range 64 {
		u, err := connect(d.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = u.conn.Close() }()
		if _, err := u.conn.Write(u.login(u.key)); err != nil {
			t.Fatal(err)
		}
		if err := u.next(); err != nil || u.heardLast(frames.TypeLogin, 0) != nil {
			t.Fatalf("%v: heard %+v", err, u.heard)
		}
	}
	f := examines(t, d.settings("--state", folder, "--admin", admin)...)
	f.has(t, "warning", "addresses", "64 of 64 connections come from one address, so that limits by address may hold for all of them together", "--proxy-from")
	f.has(t, "ok", "admin", "connections: 64 (tcp online 64)")
	f.has(t, "ok", "listen "+d.address, "the relay answers")
}

// What a person reads: one line for each, of which each begins with a word that says how it is.
func TestDoctorIsReadByPeople(t *testing.T) {
	command := exec.Command(built, "doctor", "--state", t.TempDir(), "--listen", "127.0.0.1:0", "--log-level", "debug")
	out, err := command.Output()
	if err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	for _, line := range lines[:len(lines)-1] {
		if mark, rest := strings.TrimRight(line[:9], " "), line[9:]; !slices.Contains([]string{"ok", "note", "warning"}, mark) || !strings.Contains(rest, ": ") {
			t.Errorf("it says %q", line)
		}
	}
	if !strings.Contains(string(out), "\nnote     log: at the level debug it has the addresses of clients; set --log-level info") ||
		!strings.HasSuffix(lines[len(lines)-1], ", wrong 0") {
		t.Errorf("it says\n%s", out)
	}
}
