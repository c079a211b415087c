package main

import (
	"syscall"
	"time"
)

// pause sleeps by a system call: while nothing else is to be done, Go's timers are rounded up to a millisecond, which is
// more than most Messages are under way.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // cut short by a signal, its caller looks at the clock
}
