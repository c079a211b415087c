//go:build unix

package supervisor

import "syscall"

// fileLimit returns how many files this process may open. Go has raised the soft limit to the hard one at the start.
func fileLimit() (n uint64, ok bool) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0, false
	}
	return uint64(limit.Cur), true //nolint:unconvert // it is signed on some systems, and never negative
}
