package acme

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	dir, err := os.MkdirTemp("", "blubbel-server-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
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
	process *os.Process
	log     chan line
	ready   string // where it listens
	http    string // where it answers by HTTP
}

// line is a line of its log.
type line map[string]any

// start starts a daemon in a folder, where it keeps its certificates, and returns it when it is ready.
func start(t *testing.T, folder string, args ...string) *daemon {
	t.Helper()
	return startOn(t, "tls", folder, args...)
}

// startOn is start for a listener of this scheme.
func startOn(t *testing.T, scheme, folder string, args ...string) *daemon {
	t.Helper()
	command := exec.Command(built, append([]string{"--listen", "127.0.0.1:0", "--listen", scheme + "://127.0.0.1:0", "--log-format", "json"}, args...)...)
	command.Dir = folder
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	d := &daemon{process: command.Process, log: make(chan line, 1000)}
	gone := make(chan struct{})
	go func() { // ends with the process
		defer close(gone)
		defer close(d.log)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			said := line{"msg": lines.Text()}
			_ = json.Unmarshal(lines.Bytes(), &said)
			d.log <- said
		}
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = d.process.Kill()
		<-gone
	})
	if slices.Contains(args, "--acme-http") {
		d.http, _ = d.says(t, "the ACME server is answered by HTTP")["listen"].(string)
	}
	d.ready, _ = d.says(t, "relay ready")["listen"].(string)
	return d
}

// says waits until the daemon says this.
func (d *daemon) says(t *testing.T, what string) line {
	t.Helper()
	limit := time.After(patience)
	var before []any
	for {
		select {
		case said, ok := <-d.log:
			if !ok {
				t.Fatalf("it has ended, and has not said %q, but %v", what, before)
			}
			if before = append(before, said); said["msg"] == what {
				return said
			}
		case <-limit:
			t.Fatalf("it does not say %q, but %v", what, before)
		}
	}
}

// stops ends it, and returns what it had still to say.
func (d *daemon) stops(t *testing.T) (rest []line) {
	t.Helper()
	if err := d.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for said := range d.log {
		rest = append(rest, said)
	}
	return rest
}

var encrypted = regexp.MustCompile(`(?:tls|wss)://([^,/]+)`)

// tls is where it listens for TLS.
func (d *daemon) tls() string { return encrypted.FindStringSubmatch(d.ready)[1] }

// plain is where it listens without.
func (d *daemon) plain() string {
	first, _, _ := strings.Cut(d.ready, ",")
	return first[strings.LastIndexAny(first, "@/")+1:]
}
