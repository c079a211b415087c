package daemon

import (
	"bufio"
	"os/exec"
	"syscall"
	"testing"
)

// Whoever reads the log may end before the daemon, which stops in good order all the same.
func TestLogWhoseReaderIsGone(t *testing.T) {
	command := exec.Command(built, "--listen", "127.0.0.1:0", "--state", t.TempDir())
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = command.Process.Kill() }()
	if _, err := bufio.NewReader(log).ReadString('\n'); err != nil { // it is ready
		t.Error(err)
	}
	_ = log.Close()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}
