package main

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"testing"
	"testing/fstest"
	"testing/synctest"
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

// changing is a process whose files say something else each time.
type changing func() fstest.MapFS

func (f changing) Open(name string) (fs.File, error) { return f().Open(name) }

// looks is a process that has so many MiB, and so many files open.
func looks(memory, files int) fstest.MapFS {
	all := fstest.MapFS{"status": &fstest.MapFile{Data: fmt.Appendf(nil, "VmRSS:\t%d kB\n", memory<<10)}}
	for n := range files {
		all[fmt.Sprintf("fd/%d", n)] = &fstest.MapFile{}
	}
	return all
}

func TestAFloodIsNotOverUntilTheRelayIsAsBefore(t *testing.T) {
	for _, c := range []struct {
		name                        string
		memoryFor, filesFor         time.Duration // so long after the flood there is more than before
		after                       int           // how much memory there is then, in MiB
		memoryBack, filesBack, left float64
	}{
		{"both, one after the other", 7 * time.Second, 3 * time.Second, 13, 7, 3, 14},
		{"the files come last", time.Second, 20 * time.Second, 13, 1, 20, 14},
		{"never", time.Hour, time.Hour, 13, 30, 30, 50},
		{"there is too much left", time.Second, time.Second, 15, 30, 1, 14},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := pipes(&liar{})
				began := time.Now()
				const alone, flood = lead + 11*time.Second, 8*30*time.Second/9 + 12*time.Second
				b.server = &process{files: changing(func() fstest.MapFS {
					since := time.Since(began) - alone - flood
					memory, files := c.after, 14
					if since < c.memoryFor {
						memory = 50
					}
					if since < c.filesFor {
						files = 50
					}
					switch {
					case since <= -flood:
						return looks(10, 14)
					case since < 0:
						return looks(60, 70)
					}
					return looks(memory, files)
				})}
				if err := parsed(t, "-n 1 --rounds 1 --rate 200 --kind connects --connects 9").measure(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				before, beside := b.results[0], b.results[1]
				if before.RSS != 10 || before.Files != 14 || beside.RSS != 60 || beside.Files != 70 || beside.Left != c.left {
					t.Errorf("%+v, %+v", before, beside)
				}
				if n := float64(beside.OneWay.Count) / 200; !around(n, beside.Seconds-0.1) {
					t.Errorf("%v s are measured, but not of the chat: %v s", beside.Seconds, n)
				}
				if !around(beside.RSSBack, c.memoryBack) || !around(beside.FilesBack, c.filesBack) {
					t.Errorf("memory %v s, files %v s", beside.RSSBack, beside.FilesBack)
				}
			})
		})
	}
}

// around reports whether a time in seconds is what it must be, or comes with one of the next looks.
func around(got, want float64) bool { return got >= want-0.001 && got <= want+0.201 }
