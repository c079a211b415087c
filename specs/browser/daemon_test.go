package browser

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take before a test calls it a hang.
const patience = 60 * time.Second

// built is the daemon, built for all tests.
var built string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run is TestMain but for the process.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "blubbel-browser-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c, quit, err := startChromium(filepath.Join(dir, "profile"))
	if err != nil {
		panic(err)
	}
	defer quit()
	shared = c
	built = filepath.Join(dir, "blubbel-server")
	build := exec.Command("go", "build", "-o", built, "./cmd/blubbel-server")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// daemon is a relay in a process of its own.
type daemon struct {
	address string // blubbel://ID@host:port
	folder  string
	process *os.Process
	gone    chan struct{}
}

var ready = regexp.MustCompile(`^blubbel://([^@]+)@(.+)$`)

func (d *daemon) id() string { return ready.FindStringSubmatch(d.address)[1] }

func (d *daemon) host() string { return ready.FindStringSubmatch(d.address)[2] }

// start starts a daemon, and returns it when it is ready.
func start(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{folder: t.TempDir()}
	d.starts(t, "127.0.0.1:0")
	return d
}

// restarts stops it, and starts it where it was.
func (d *daemon) restarts(t *testing.T) {
	t.Helper()
	if err := d.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-d.gone
	d.starts(t, d.host())
}

func (d *daemon) starts(t *testing.T, listen string) {
	t.Helper()
	command := exec.Command(built, "--listen", listen, "--log-format", "json", "--rate-limits", "off")
	command.Dir = d.folder
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	gone, listening := make(chan struct{}), make(chan string, 1)
	d.process, d.gone = command.Process, gone
	go func() { // ends with the process
		defer close(gone)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var said struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &said) == nil && said.Msg == "relay ready" {
				listening <- said.Address
			}
		}
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-gone
	})
	select {
	case addresses := <-listening:
		first, _, _ := strings.Cut(addresses, ",")
		d.address = strings.TrimSpace(first)
	case <-gone:
		t.Fatal("the daemon has ended")
	case <-time.After(patience):
		t.Fatal("the daemon does not get ready")
	}
}
