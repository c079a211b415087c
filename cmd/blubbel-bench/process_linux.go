package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: the kernel's USER_HZ is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// openProcess finds the server, whose times and memory are to be read.
func openProcess(pid int) (*process, error) {
	p := &process{files: os.DirFS(fmt.Sprintf("/proc/%d", pid))}
	if _, err := fs.ReadFile(p.files, "stat"); err != nil {
		return nil, withCode(exitUsage, "--pid %d: there is no such process", pid)
	}
	return p, nil
}

// cpu returns the processor time the process has used, in user mode and in the kernel.
//
// The scheduler's account of each thread is exact, but forgets threads that have ended; the process's account forgets
// nothing, but comes in ticks. So the greater of the two is returned.
func (p *process) cpu() time.Duration {
	if p == nil {
		return 0
	}
	var exact time.Duration
	threads, _ := fs.Glob(p.files, "task/*/schedstat")
	for _, name := range threads {
		text, err := fs.ReadFile(p.files, name)
		if err != nil {
			continue // it has ended
		}
		first, _, _ := bytes.Cut(text, []byte(" "))
		ran, _ := strconv.ParseInt(string(first), 10, 64)
		exact += time.Duration(ran)
	}
	return max(exact, p.ticks())
}

// ticks returns utime and stime of /proc/PID/stat; see proc(5). They are counted from behind the program's name, which may
// contain anything.
func (p *process) ticks() time.Duration {
	text, _ := fs.ReadFile(p.files, "stat")
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	utime, _ := strconv.ParseInt(fields[11], 10, 64)
	stime, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(utime+stime) * tick
}

// machine returns the processor time that everything on this machine has used together; see proc(5), /proc/stat.
func (p *process) machine() time.Duration {
	const idle, wait, guest = 4, 5, 9 // guests' time is in user time already
	if p == nil {
		return 0
	}
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	var ticks int64
	for i, field := range strings.Fields(line) {
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && i != idle && i != wait && i < guest {
			ticks += n
		}
	}
	return time.Duration(ticks) * tick
}

// descriptors returns how many files the process has open, or 0 where we may not know.
func (p *process) descriptors() int {
	if p == nil {
		return 0
	}
	open, _ := fs.ReadDir(p.files, "fd")
	return len(open)
}

// descriptorLimit returns how many files the process may have open, or 0 where that is not known; see proc(5).
func (p *process) descriptorLimit() int {
	if p == nil {
		return 0
	}
	text, _ := fs.ReadFile(p.files, "limits")
	_, line, _ := strings.Cut(string(text), "Max open files")
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return 0
	}
	most, _ := strconv.Atoi(fields[0])
	return most
}

// memory returns the resident memory of the process in bytes: now, and the most there ever was.
func (p *process) memory() (now, peak int64) {
	if p == nil {
		return 0, 0
	}
	text, _ := fs.ReadFile(p.files, "status")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			now = kib << 10
		case "VmHWM:":
			peak = kib << 10
		}
	}
	return now, peak
}
