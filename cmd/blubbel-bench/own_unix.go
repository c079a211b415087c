//go:build unix

package main

import (
	"math"
	"syscall"
	"time"
)

// ownCPU returns the processor time that we have used, in user mode and in the kernel.
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// ownFiles returns how many files we may have open. Go has raised the limit as far as it goes.
func ownFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}
