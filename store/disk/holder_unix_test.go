//go:build unix

package disk

import (
	"bufio"
	"path/filepath"
	"testing"
)

func TestHolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	isHeldBy := func(want int) {
		t.Helper()
		if pid, held, err := Holder(dir); pid != want || held != (want != 0) || err != nil {
			t.Errorf("process %d has it, %v, %v; want %d", pid, held, err, want)
		}
	}
	isHeldBy(0)
	c := command(dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if !bufio.NewScanner(out).Scan() { // a pin: it is open
		t.Error("it pins nothing")
	}
	isHeldBy(c.Process.Pid)
	isHeldBy(c.Process.Pid) // asking has not ended it
	_ = c.Process.Kill()
	_ = c.Wait()
	isHeldBy(0)
}
