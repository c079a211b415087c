package browser

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// daemon is a relay in a process of its own. It listens by TCP, and by WebSocket for the pages of one origin.
type daemon struct {
	tcp     string // blubbel://ID@host:port
	web     string // ws://ID@host:port/path
	id      string
	folder  string
	flags   []string
	process *os.Process
	gone    chan struct{}
}

// start starts a daemon, and returns it when it is ready.
func start(t *testing.T, origin string, flags ...string) *daemon {
	t.Helper()
	d := &daemon{folder: t.TempDir(), flags: append(flags, "--ws-origin", origin)}
	d.starts(t, "127.0.0.1:0", "127.0.0.1:0")
	return d
}

// restarts stops it, and starts it where it was.
func (d *daemon) restarts(t *testing.T) {
	t.Helper()
	if err := d.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-d.gone
	d.starts(t, hostPort(d.tcp), hostPort(d.web))
}

// hostPort is what stands behind the id.
func hostPort(address string) string {
	_, rest, _ := strings.Cut(address, "@")
	return strings.TrimSuffix(rest, path)
}

const path = "/blubbel"

func (d *daemon) starts(t *testing.T, tcp, web string) {
	t.Helper()
	scheme := "ws://"
	if slices.Contains(d.flags, "--tls-self-signed") {
		scheme = "wss://"
	}
	flags := []string{"--listen", tcp, "--listen", scheme + web + path, "--log-format", "json", "--rate-limits", "off"}
	command := exec.Command(built, append(flags, d.flags...)...)
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
		d.tcp, d.web, _ = strings.Cut(addresses, " ")
		_, rest, _ := strings.Cut(d.tcp, "://")
		d.id, _, _ = strings.Cut(rest, "@")
	case <-gone:
		t.Fatal("the daemon has ended")
	case <-time.After(patience):
		t.Fatal("the daemon does not get ready")
	}
}
