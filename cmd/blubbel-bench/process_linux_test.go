package main

import (
	"os"
	"strconv"
	"testing"
	"testing/fstest"
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

func TestOpenFilesOfAProcessAreCounted(t *testing.T) {
	file := &fstest.MapFile{}
	p := &process{files: fstest.MapFS{
		"fd/0": file, "fd/1": file, "fd/17": file,
		"limits": &fstest.MapFile{Data: []byte("Max processes             7                    8                    processes\n" +
			"Max open files            1024                 4096                 files\n")},
		"status": &fstest.MapFile{Data: []byte("VmRSS:\t   2048 kB\n")},
	}}
	if memory, files := p.watch().stop(); p.descriptors() != 3 || p.descriptorLimit() != 1024 || files != 3 || memory != 2 {
		t.Errorf("%d of %d; at most %v, and %v MiB", p.descriptors(), p.descriptorLimit(), files, memory)
	}
	p = &process{files: fstest.MapFS{"limits": &fstest.MapFile{Data: []byte("Max open files            unlimited            unlimited            files\n")}}}
	if p.descriptors() != 0 || p.descriptorLimit() != 0 {
		t.Errorf("%d of %d where nothing is known", p.descriptors(), p.descriptorLimit())
	}
	self, err := openProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if self.descriptors() < 3 || self.descriptorLimit() != ownFiles() {
		t.Errorf("%d of %d open here, not of %d", self.descriptors(), self.descriptorLimit(), ownFiles())
	}
}

func TestAFloodsCostIsThereWithTheProcessID(t *testing.T) {
	args := "floods -n 2 --rounds 2 --kind connects --connects 50 --stay 50ms --settle 10s --pid " + strconv.Itoa(os.Getpid()) + " --json -" + small
	code, stdout, stderr := benchAt(t, startRelay(t), args)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	all := results(t, stdout)
	alone, beside := all[0], all[1]
	if alone.RSS <= 0 || alone.Files <= 0 || alone.OneWay == nil || alone.Busy <= 0 || alone.RSSBack > 0 {
		t.Errorf("alone: %+v", alone)
	}
	if beside.Busy <= 0 || beside.RSSAfter <= 0 || beside.RSSBack <= 0 || beside.Left <= 0 || beside.FilesBack <= 0 || beside.P50Ratio <= 0 {
		t.Errorf("beside: %+v", beside)
	}
	if beside.Files < alone.Files || beside.Left > alone.Files || beside.FilesBack > 10 {
		t.Errorf("%v files alone, %v beside, %v after %v s", alone.Files, beside.Files, beside.Left, beside.FilesBack)
	}
}
