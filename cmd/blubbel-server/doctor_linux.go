package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What Linux tells doctor: proc(5), cgroups(7), statfs(2), adjtimex(2).

func accountOf(id int) account {
	a := account{id, fmt.Sprintf("user %d", id)}
	if known, err := user.LookupId(strconv.Itoa(id)); err == nil {
		a.name = known.Username
	}
	return a
}

func ownerOf(info fs.FileInfo) account {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok { // which is what there is on Linux
		return account{}
	}
	return accountOf(int(stat.Uid))
}

// writable says why we cannot make files in a folder.
func writable(folder string) error {
	return unix.Faccessat(unix.AT_FDCWD, folder, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}

// kinds are the file systems that one has to know about.
var kinds = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
	unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.SMB2_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "CIFS",
	unix.V9FS_MAGIC: "9p", unix.CEPH_SUPER_MAGIC: "Ceph", unix.AFS_SUPER_MAGIC: "AFS", unix.FUSE_SUPER_MAGIC: "FUSE",
}

func lookAtSpace(path string) (space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return space{}, err
	}
	return space{kinds[int64(s.Type)], s.Bavail * uint64(s.Bsize), s.Files, s.Ffree}, nil //nolint:gosec,unconvert // no size of a block is negative; the type's size differs among machines
}

// look finds out about the process with this id, as far as we may.
func (p *process) look() {
	about := procOf(p.pid)
	p.name = nameOf(p.pid)
	if info, err := os.Stat(about); err == nil {
		p.owner = ownerOf(info)
	}
	text, _ := os.ReadFile(filepath.Join(about, "limits")) //nolint:gosec // of the kernel
	p.files = parseLimits(string(text))
}

func procOf(pid int) string { return "/proc/" + strconv.Itoa(pid) }

func nameOf(pid int) string {
	name, _ := os.ReadFile(procOf(pid) + "/comm")
	return strings.TrimSpace(string(name))
}

// parseLimits reads how many files a process may open. It is 0 if that is not there.
func parseLimits(text string) uint64 {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if fields := strings.Fields(rest); ok && len(fields) > 0 {
			return parseLimit(fields[0])
		}
	}
	return 0
}

func parseLimit(text string) uint64 {
	if text == "unlimited" || text == "max" {
		return math.MaxUint64
	}
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// ownFiles is how many files we may open, as the relay might if we were it; 0 if that is not known.
func ownFiles() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return l.Cur
}

// lookAtMemory returns how much memory the machine has, and how much the control groups of a process may use. Each is 0 if it is not known.
func lookAtMemory(pid int) (m memoryLimit) {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			m.machine = parseLimit(fields[1]) << 10
		}
	}
	groups, _ := os.ReadFile(procOf(pid) + "/cgroup")
	for line := range strings.Lines(string(groups)) {
		if group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			m.group = groupLimit("/sys/fs/cgroup", group)
		}
	}
	return m
}

// groupLimit is the least limit of a control group and of those above it, or 0.
func groupLimit(root, group string) (least uint64) {
	for group = filepath.Clean("/" + group); ; group = filepath.Dir(group) {
		text, err := os.ReadFile(filepath.Join(root, group, "memory.max"))
		limit := parseLimit(string(bytes.TrimSpace(text)))
		if err == nil && limit != math.MaxUint64 && (least == 0 || limit < least) {
			least = limit
		}
		if group == "/" {
			return least
		}
	}
}

// isSynchronised reports whether something keeps the clock right.
func isSynchronised() (bool, error) {
	var t unix.Timex // which changes nothing
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, err
}
