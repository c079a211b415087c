package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// capacity is how many connections there may be, and why.
type capacity struct {
	asked int    // by the setting; 0 for the default
	files uint64 // that the process may open: Go raises what is called the soft limit to the hard one. 0 if it is not known
	who   string // the process
}

func (e *examination) capacity() capacity {
	m := capacity{files: e.process.files, who: "the relay"}
	if m.files == 0 {
		m.files, m.who = ownFiles(), "a relay that is started from here"
	}
	if e.command.origin(e.kong, "connections") != fromDefault("connections") {
		m.asked = e.Connections
	}
	return m
}

// connections is how many there may be.
func (m capacity) connections() int {
	usual := cmp.Or(m.asked, supervisor.UsualConnections)
	if m.asked > 0 || m.files == 0 || m.files >= uint64(usual+supervisor.OtherFiles) { //nolint:gosec // not negative
		return usual
	}
	return max(int(m.files)-supervisor.OtherFiles, 1) //nolint:gosec // it is less than the usual
}

// files looks whether the relay may open as many files as it needs for its connections.
func (e *examination) files(context.Context) []finding { return checkFiles(e.capacity()) }

func checkFiles(m capacity) []finding {
	const what, raise = "files", "raise that: LimitNOFILE= in a unit of systemd, ulimit -n in a shell"
	has := fmt.Sprintf("%s may open %d files", m.who, m.files)
	n := m.connections()
	switch {
	case m.files == 0:
		return []finding{{isNote, what, "how many may be open is not known", ""}}
	case m.asked > 0 && m.files < uint64(n+supervisor.OtherFiles): //nolint:gosec // not negative
		return []finding{{isWrong, what, fmt.Sprintf("%s, too few for %d connections", has, n), raise + "; or lower --connections"}}
	case m.asked == 0 && n < supervisor.UsualConnections:
		return []finding{{isWarning, what, fmt.Sprintf("%s, so it takes %d connections at most, not %d", has, n, supervisor.UsualConnections), raise}}
	}
	return []finding{{isOK, what, fmt.Sprintf("%s, enough for %d connections", has, n), ""}}
}

// memoryLimit is how much memory there is, in bytes; 0 where it is not known, or not limited.
type memoryLimit struct{ machine, group uint64 }

// memory looks whether there is as much as connections may take.
func (e *examination) memory(context.Context) []finding {
	return checkMemory(e.capacity().connections(), e.Window, lookAtMemory(cmp.Or(e.process.pid, os.Getpid())))
}

func checkMemory(connections, window int, m memoryLimit) []finding {
	const what = "memory"
	limit, of := m.machine, "the machine has"
	if m.group > 0 && (limit == 0 || m.group < limit) {
		limit, of = m.group, "its control group may use"
	}
	if limit == 0 {
		return []finding{{isNote, what, "how much there is is not known", ""}}
	}
	usable := limit / 4 * 3                      // the rest is for all else
	need := uint64(connections) * uint64(window) //nolint:gosec // neither is negative, and both are limited
	text := fmt.Sprintf("%d connections may hold %s, and %s %s", connections, sizeOf(need), of, sizeOf(limit))
	if need <= usable {
		return []finding{{isOK, what, text, ""}}
	}
	fits := max(usable/uint64(window), 1) //nolint:gosec // it is not negative
	return []finding{{isWarning, what, text + ", so hostile clients could use it up", fmt.Sprintf("set --connections %d, or a smaller --window", fits)}}
}

func sizeOf(bytes uint64) string { return size(int64(min(bytes, math.MaxInt64))) }
