package daemon

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// patience is how long anything may take before a test calls it a hang.
const patience = 20 * time.Second

// built is the daemon, built for all tests.
var built string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run is TestMain but for the process.
func run(m *testing.M) int {
	if runtime.GOOS == "windows" { // where a process cannot be asked to stop
		return 0
	}
	dir, err := os.MkdirTemp("", "blubbel-server-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	built = filepath.Join(dir, "blubbel-server")
	build := exec.Command("go", "build", "-o", built, "github.com/mdeiml/blubbel-server/cmd/blubbel-server")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// daemon is a relay in a process of its own.
type daemon struct {
	process *os.Process
	address string                // where it listens
	invites []string              // the addresses for clients
	log     chan line             // what it says
	said    map[string]line       // what it has said, as far as the test has listened
	state   chan *os.ProcessState // how it ended
}

// line is a line of its log.
type line map[string]any

// start starts a daemon, and returns it when it says that it is ready. At the test's end it is killed, if it is still there.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	return starts(t, exec.Command(built, append([]string{
		"--listen", "127.0.0.1:0", "--state", t.TempDir(), "--log-format", "json", "--rate-limits", "off",
	}, args...)...))
}

// starts is start, of a daemon that logs as JSON.
func starts(t *testing.T, command *exec.Cmd) *daemon {
	t.Helper()
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	d := &daemon{process: command.Process, log: make(chan line, 1000), said: map[string]line{}, state: make(chan *os.ProcessState, 1)}
	gone := make(chan struct{})
	go func() { // ends with the process
		defer close(gone)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			said := line{}
			if json.Unmarshal(lines.Bytes(), &said) != nil {
				said = line{"level": "error", "msg": lines.Text()}
			}
			d.log <- said
		}
		close(d.log)
		_ = command.Wait()
		d.state <- command.ProcessState
	}()
	t.Cleanup(func() {
		_ = d.process.Kill()
		<-gone
	})
	ready := d.says(t, "relay ready")
	d.address, _ = ready["listen"].(string)
	d.invites = strings.Fields(fmt.Sprint(ready["address"]))
	return d
}

// says waits until the daemon says this. Nothing it says before may be an error.
func (d *daemon) says(t *testing.T, what string) line {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case said, ok := <-d.log:
			switch {
			case !ok:
				t.Fatalf("it has ended, and has not said %q", what)
			}
			text, _ := said["msg"].(string)
			d.said[text] = said
			switch {
			case said["msg"] == what:
				return said
			case said["level"] == "error":
				t.Errorf("it says %v", said)
			}
		case <-limit:
			t.Fatalf("it does not say %q", what)
		}
	}
}

// signals sends a signal.
func (d *daemon) signals(t *testing.T, s os.Signal) {
	t.Helper()
	if err := d.process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ends waits until the process has ended, and returns its exit code: -1 if it was a signal that ended it.
func (d *daemon) ends(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case state := <-d.state:
		return state.ExitCode()
	case <-time.After(within):
		t.Fatalf("it has not ended in %v", within)
		return 0
	}
}
