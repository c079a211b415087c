package daemon

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// usage is what a process holds. See proc(5).
type usage struct {
	files, threads int
	resident       int64 // bytes
}

func (u usage) String() string {
	return fmt.Sprintf("%d files, %d threads, %.1f MiB", u.files, u.threads, float64(u.resident)/(1<<20))
}

// usageOf looks at a process. Where that cannot be done the test is skipped.
func usageOf(t *testing.T, pid int) (u usage) {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Skip(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip(err)
	}
	u.files = len(files)
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "Threads":
			u.threads = n
		case "VmRSS":
			u.resident = int64(n) << 10
		}
	}
	return u
}
