package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mdeiml/blubbel-server/store/disk"
)

// home looks at the state folder, and who has it open.
func (e *examination) home(context.Context) []finding {
	e.process = lookAtProcess(disk.Holder(e.storeFolder()))
	e.identity, e.identityErr = e.readIdentity()
	_, noStore := os.Stat(e.storeFolder())
	f := lookAtFolder(e.State)
	found := append(checkFolder(f), checkIdentity(e.identity, e.identityErr, noStore == nil)...)
	space, err := lookAtSpace(f.existing)
	return append(found, checkSpace(space, err)...)
}

// folder is what is known of the state folder.
type folder struct {
	path     string
	existing string // the folder, or the one above it that is there
	isFile   bool
	mode     fs.FileMode
	err      error // why it cannot be looked at
	owner    account
	we       account
	writable error // why one cannot write to what is there
}

// account is a user of this machine.
type account struct {
	id   int
	name string
}

func lookAtFolder(path string) folder {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	f := folder{path: path, existing: path, we: accountOf(os.Geteuid())}
	info, err := os.Stat(path)
	for errors.Is(err, fs.ErrNotExist) && f.existing != filepath.Dir(f.existing) {
		f.existing = filepath.Dir(f.existing)
		_, err = os.Stat(f.existing)
	}
	if f.err = err; err != nil {
		return f
	}
	f.writable = writable(f.existing)
	if info != nil {
		f.isFile, f.mode, f.owner = !info.IsDir(), info.Mode(), ownerOf(info)
	}
	return f
}

func (f *folder) there() bool { return f.existing == f.path }

func checkFolder(f folder) []finding {
	const what, root = "state folder", 0
	one := func(m mark, advice, format string, args ...any) []finding {
		return []finding{{m, what, f.path + " " + fmt.Sprintf(format, args...), advice}}
	}
	const give = "run doctor as the user that the relay runs as; if that is this one, give it the folder and what is in it"
	switch {
	case f.err != nil:
		return one(isWrong, give, "cannot be looked at (%v)", f.err)
	case f.isFile:
		return one(isWrong, "move it away, or name another with --state", "is a file where a folder should be")
	case !f.there() && f.writable != nil:
		return one(isWrong, "make it, and give it to the user that the relay runs as; or name another with --state",
			"is not there and cannot be made, as nothing can be written to %s (%v)", f.existing, f.writable)
	case !f.there():
		return one(isNote, "", "is not there yet; the relay makes it when it is started for the first time")
	case f.owner != f.we && f.we.id == root:
		return one(isNote, "if the relay runs as "+f.owner.name+", run doctor as that user: it sees what the relay sees", "belongs to %s", f.owner.name)
	case f.writable != nil:
		return one(isWrong, give, "cannot be written to by %s (%v); it belongs to %s", f.we.name, f.writable, f.owner.name)
	case f.owner != f.we:
		return one(isWarning, give, "belongs to %s, not to %s", f.owner.name, f.we.name)
	case f.mode.Perm()&0o077 != 0:
		return one(isWarning, "forbid it with: chmod 700 "+f.path, "can be looked into by others on this machine (%v)", f.mode)
	}
	return one(isOK, "", "belongs to %s alone", cmp.Or(f.owner.name, "its owner"))
}

func checkIdentity(identity ed25519.PrivateKey, err error, store bool) []finding {
	const what = "identity"
	switch {
	case errors.Is(err, fs.ErrNotExist) && store:
		return []finding{{
			isWarning, what, "there is none, though keys may be pinned: at its next start the relay will be another, whose address friends do not have",
			"put a copy of the file identity back",
		}}
	case errors.Is(err, fs.ErrNotExist):
		return []finding{{isNote, what, "there is none yet; it is made when the relay is started for the first time", ""}}
	case err != nil:
		return []finding{fault(what, err)}
	}
	return []finding{{isOK, what, "this relay is " + relayID(identity).String(), ""}}
}

// space is the file system that the state folder is in.
type space struct {
	kind   string // such as tmpfs, of those that are not just a disk
	free   uint64 // bytes, for this user
	inodes uint64 // of which each file takes one; 0 where they are not counted
	unused uint64 // of those
}

const (
	leastSpace  = 64 << 20  // below it the store takes no more pins
	littleSpace = 512 << 20 // is soon as little as that
	fewFiles    = 1000
)

// ofMemory, ofContainer and ofNetwork are the file systems that one has to know about.
var (
	ofMemory    = map[string]bool{"tmpfs": true, "ramfs": true}
	ofContainer = map[string]bool{"overlayfs": true}
	ofNetwork   = map[string]bool{"NFS": true, "SMB": true, "CIFS": true, "9p": true, "Ceph": true, "AFS": true, "FUSE": true}
)

func checkSpace(s space, err error) (found []finding) {
	const what = "disk"
	if err != nil {
		return []finding{{isNote, what, fmt.Sprintf("how much is free is not known (%v)", err), ""}}
	}
	free := sizeOf(s.free) + " are free"
	switch {
	case s.free < leastSpace:
		found = append(found, finding{isWrong, what, "only " + free + ", so no key is pinned any more", "make room"})
	case s.free < littleSpace:
		found = append(found, finding{isWarning, what, "only " + free, "make room: below 64 MiB no key is pinned any more"})
	case s.inodes > 0 && s.unused < fewFiles:
		found = append(found, finding{isWarning, what, fmt.Sprintf("there is room for only %d more files (inodes)", s.unused), "remove some files"})
	default:
		found = append(found, finding{isOK, what, free, ""})
	}
	return append(found, checkKind(s.kind)...)
}

func checkKind(kind string) []finding {
	const what, move = "disk", "name a folder on a disk of this machine with --state"
	switch {
	case ofMemory[kind]:
		return []finding{{
			isWarning, what, "the state folder is in memory (" + kind + "): who the relay is, and all pins, are lost when the machine is restarted", move,
		}}
	case ofContainer[kind]:
		return []finding{{
			isWarning, what, "the state folder is in a container's own layer (" + kind + "): who the relay is, and all pins, are lost with the container",
			"put it on a volume",
		}}
	case ofNetwork[kind]:
		return []finding{{
			isWarning, what, "the state folder is on a network (" + kind + "), where what was written may be lost, or be written by two relays at once", move,
		}}
	}
	return nil
}

// process is what is known of the process that has the state folder open.
type process struct {
	held  bool
	err   error // why it is not known whether there is one
	pid   int   // 0 if it is not known
	name  string
	owner account
	files uint64 // that it may open; 0 if it is not known
}

func lookAtProcess(pid int, held bool, err error) process {
	p := process{held: held, err: err, pid: pid}
	if held && pid != 0 {
		p.look()
	}
	return p
}

// String names it.
func (p process) String() string {
	if p.pid == 0 {
		return "a process that cannot be seen from here"
	}
	return fmt.Sprintf("%s, process %d", cmp.Or(p.name, "unknown"), p.pid)
}

// running tells whether the relay runs.
func (e *examination) running(context.Context) []finding { return checkRunning(e.process) }

func checkRunning(p process) []finding {
	const what = "relay"
	switch {
	case p.err != nil:
		return []finding{{isNote, what, fmt.Sprintf("whether it runs is not known (%v)", p.err), ""}}
	case !p.held:
		return []finding{{isNote, what, "it does not run, so what only a relay that runs can tell is left out", ""}}
	case p.owner.name == "":
		return []finding{{isOK, what, fmt.Sprintf("it runs (%v)", p), ""}}
	}
	return []finding{{isOK, what, fmt.Sprintf("it runs (%v) as %s", p, p.owner.name), ""}}
}
