//go:build unix

package main

import (
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
