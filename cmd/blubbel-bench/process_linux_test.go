package main

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func TestAProcessIsRead(t *testing.T) {
	self, err := openProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours, all := self.cpu(), ownCPU(), self.machine()
	for x := 0; ownCPU()-ours < 50*time.Millisecond; x++ {
		_ = x * x
	}
	// The process's account comes in ticks, and neither it nor the machine's need be up to date.
	if used := self.cpu() - theirs; used < 2*tick || used > time.Second {
		t.Errorf("%v of the processor", used)
	}
	if used := self.machine() - all; used < 2*tick {
		t.Errorf("%v of the machine's processors", used)
	}
	if now, peak := self.memory(); now < mib || peak < now/2 {
		t.Errorf("%d bytes, at most %d", now, peak)
	}
}

func TestFiguresOfTheProcessAreThereWithItsID(t *testing.T) {
	code, stdout, stderr := benchAt(t, startRelay(t), "pairs -n 1 --json - --duration 200ms --pid "+strconv.Itoa(os.Getpid()))
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	r := results(t, stdout)[0]
	if r.ServerCPU <= 0 || r.OwnCPU <= 0 || r.RSS <= 0 || r.PeakRSS <= 0 {
		t.Errorf("%+v", r)
	}
}
