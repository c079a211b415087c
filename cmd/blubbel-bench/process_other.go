//go:build !linux

package main

import "time"

// openProcess refuses: only Linux shows one process's times to another so easily.
func openProcess(int) (*process, error) {
	return nil, withCode(exitUsage, "--pid works on Linux only")
}

func (*process) cpu() time.Duration { return 0 }

func (*process) machine() time.Duration { return 0 }

func (*process) memory() (now, peak int64) { return 0, 0 }

func (*process) descriptors() int { return 0 }

func (*process) descriptorLimit() int { return 0 }
