package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestStateFolders(t *testing.T) {
	root, alice, relay := account{0, "root"}, account{1000, "alice"}, account{998, "blubbel"}
	const give = "run doctor as the user that the relay runs as; if that is this one, give it the folder and what is in it"
	for want, f := range map[string]folder{
		"ok       state folder: /s belongs to blubbel alone":                                                   {mode: 0o700, owner: relay, we: relay},
		"ok       state folder: /s belongs to its owner alone":                                                 {mode: 0o700},
		"note     state folder: /s is not there yet; the relay makes it when it is started for the first time": {existing: "/"},
		"wrong    state folder: /s is not there and cannot be made, as nothing can be written to / (permission denied); " +
			"make it, and give it to the user that the relay runs as; or name another with --state": {existing: "/", writable: syscall.EACCES},
		"wrong    state folder: /s is a file where a folder should be; move it away, or name another with --state": {isFile: true},
		"wrong    state folder: /s cannot be looked at (permission denied); " + give:                               {err: syscall.EACCES},
		"wrong    state folder: /s cannot be written to by alice (permission denied); it belongs to blubbel; " + give: {
			mode: 0o700, owner: relay, we: alice, writable: syscall.EACCES,
		},
		"wrong    state folder: /s cannot be written to by alice (read-only file system); it belongs to alice; " + give: {
			mode: 0o700, owner: alice, we: alice, writable: syscall.EROFS,
		},
		"warning  state folder: /s belongs to blubbel, not to alice; " + give: {mode: 0o770, owner: relay, we: alice},
		"note     state folder: /s belongs to blubbel; if the relay runs as blubbel, run doctor as that user: it sees what the relay sees": {
			mode: 0o700, owner: relay, we: root,
		},
		"warning  state folder: /s can be looked into by others on this machine (drwxr-x---); forbid it with: chmod 700 /s": {
			mode: fs.ModeDir | 0o750, owner: relay, we: relay,
		},
	} {
		f.path = "/s"
		if f.existing == "" {
			f.existing = f.path
		}
		says(t, checkFolder(f), want)
	}
}

func TestAFolderIsLookedAt(t *testing.T) {
	t.Chdir(t.TempDir())
	here, _ := os.Getwd()
	if f := lookAtFolder("a/b"); f.path != filepath.Join(here, "a/b") || f.existing != here || f.there() || f.err != nil || f.writable != nil {
		t.Errorf("%+v", f)
	}
	replace(t, "a", "")
	if f := lookAtFolder("a"); !f.isFile || !f.there() {
		t.Errorf("%+v", f)
	}
	if f := lookAtFolder("a/b"); f.err == nil {
		t.Errorf("%+v", f)
	}
	if f := lookAtFolder("."); f.isFile || f.err != nil || f.owner != f.we || f.mode.Perm() == 0 {
		t.Errorf("%+v", f)
	}
}

func TestIdentities(t *testing.T) {
	identity := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	says(t, checkIdentity(identity, nil, true), "ok       identity: this relay is O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik")
	says(t, checkIdentity(nil, fmt.Errorf("x: %w", fs.ErrNotExist), false),
		"note     identity: there is none yet; it is made when the relay is started for the first time")
	says(t, checkIdentity(nil, fmt.Errorf("x: %w", fs.ErrNotExist), true),
		"warning  identity: there is none, though keys may be pinned: at its next start the relay will be another, whose address friends do not have; "+
			"put a copy of the file identity back")
	says(t, checkIdentity(nil, errors.New("others can read the relay's key; forbid it with: chmod 600 x"), true),
		"wrong    identity: others can read the relay's key; forbid it with: chmod 600 x")
}

func TestSpaces(t *testing.T) {
	const (
		gib  = 1 << 30
		fine = "ok       disk: 100 GiB are free"
		move = "; name a folder on a disk of this machine with --state"
		lost = "who the relay is, and all pins, are lost "
	)
	for _, c := range []struct {
		space
		want []string
	}{
		{space{"", 100 * gib, 0, 0}, []string{fine}},
		{space{"", 100 * gib, 5000, 1000}, []string{fine}},
		{space{"", 100 * gib, 5000, 999}, []string{"warning  disk: there is room for only 999 more files (inodes); remove some files"}},
		{space{"", 512<<20 - 1, 0, 0}, []string{"warning  disk: only 511 MiB are free; make room: below 64 MiB no key is pinned any more"}},
		{space{"", 64<<20 - 1, 0, 0}, []string{"wrong    disk: only 63 MiB are free, so no key is pinned any more; make room"}},
		{space{"tmpfs", 100 * gib, 0, 0}, []string{fine, "warning  disk: the state folder is in memory (tmpfs): " + lost + "when the machine is restarted" + move}},
		{space{"overlayfs", 100 * gib, 0, 0}, []string{
			fine, "warning  disk: the state folder is in a container's own layer (overlayfs): " + lost + "with the container; put it on a volume",
		}},
		{space{"NFS", 100 * gib, 0, 0}, []string{
			fine, "warning  disk: the state folder is on a network (NFS), where what was written may be lost, or be written by two relays at once" + move,
		}},
	} {
		says(t, checkSpace(c.space, nil), c.want...)
	}
	says(t, checkSpace(space{}, errors.ErrUnsupported), "note     disk: how much is free is not known (unsupported operation)")
}

func TestWhetherTheRelayRuns(t *testing.T) {
	says(t, checkRunning(process{}), "note     relay: it does not run, so what only a relay that runs can tell is left out")
	says(t, checkRunning(process{err: syscall.EACCES}), "note     relay: whether it runs is not known (permission denied)")
	says(t, checkRunning(process{held: true}), "ok       relay: it runs (a process that cannot be seen from here)")
	says(t, checkRunning(process{held: true, pid: 7}), "ok       relay: it runs (unknown, process 7)")
	says(t, checkRunning(process{held: true, pid: 7, name: "blubbel-server", owner: account{998, "blubbel"}}),
		"ok       relay: it runs (blubbel-server, process 7) as blubbel")
}
