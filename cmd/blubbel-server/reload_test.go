package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// startLive starts a relay with a configuration, and returns what SIGHUP has reloaded, and its log.
func startLive(t *testing.T, p *sourcePlaces) (*live, *bytes.Buffer) {
	t.Helper()
	c, k := p.parse(t)
	l, said := newLive(c, k), &bytes.Buffer{}
	log := logrus.New()
	log.SetOutput(said)
	log.SetFormatter(&logrus.JSONFormatter{})
	log.SetLevel(c.Relay.level())
	l.log = logrus.NewEntry(log)
	config, err := c.Relay.config(nil)
	if err != nil {
		t.Fatal(err)
	}
	if l.relay, err = supervisor.New(config); err != nil {
		t.Fatal(err)
	}
	if c.Relay.AllowKeys != "" {
		if l.allowed, err = readAllowed(c.Relay.AllowKeys, keys(config), l.log); err != nil {
			t.Fatal(err)
		}
		l.files = []reloader{{"allowed keys", l.allowed.reload}}
		said.Reset()
	}
	return l, said
}

// reloads reloads a file, and wants these lines in the log: their level, their message, and their fields in the order of the alphabet.
func reloads(t *testing.T, l *live, said *bytes.Buffer, file string, want ...string) {
	t.Helper()
	replace(t, "blubbel.yaml", file)
	said.Reset()
	l.reload()
	var is []string
	for line := range strings.Lines(said.String()) {
		fields := logrus.Fields{}
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		start := fmt.Sprint(fields["level"], ": ", fields["msg"])
		delete(fields, "level")
		delete(fields, "msg")
		delete(fields, "time")
		is = append(is, start+" "+fmt.Sprint(map[string]any(fields)))
	}
	if !reflect.DeepEqual(is, want) {
		t.Errorf("%q:\n%s\nwant\n%s", file, strings.Join(is, "\n"), strings.Join(want, "\n"))
	}
}

const (
	changed   = "info: SIGHUP: a setting has changed "
	waits     = "warning: SIGHUP: a setting has changed, and needs a restart "
	unchanged = "info: SIGHUP: nothing has changed map[]"
	refused   = "error: SIGHUP: the configuration cannot be used; everything stays as it is "
)

func TestReloadTakesLimitsAndTheLogLevel(t *testing.T) {
	const first = "window: 300000\nsilence: 1h"
	l, said := startLive(t, &sourcePlaces{file: first, flags: []string{"--sessions=5"}, variables: []string{"BLUBBEL_PINS=7"}})
	reloads(t, l, said, first, unchanged)
	reloads(t, l, said, first+"\nsessions: 6\npins: 8", unchanged) // which the file cannot change
	reloads(t, l, said, "frame-rate: off\nwindow: 400000\n",
		changed+"map[new:400000 old:300000 origin:blubbel.yaml:2 setting:window]",
		changed+"map[new:6h0m0s old:1h0m0s origin:default setting:silence]",
		changed+"map[new:off old:2000/s burst 4000 origin:blubbel.yaml:1 setting:frame-rate]")
	if c := l.relay.Config(); c.Window != 400000 || c.Silence != 6*time.Hour || c.FrameRate.Events != supervisor.Off || c.Sessions != 5 {
		t.Errorf("%+v", c)
	}
	reloads(t, l, said, "frame-rate: off\nwindow: 400000\n# and a remark", unchanged)
	reloads(t, l, said, "rate-limits: off\nframe-rate: off\nwindow: 400000\n",
		changed+"map[new:off old:on origin:blubbel.yaml:1 setting:rate-limits]")
	if c := l.relay.Config(); !c.NoRateLimits || c.Takeovers != supervisor.Off {
		t.Errorf("%+v", c)
	}
	reloads(t, l, said, first,
		changed+"map[new:on old:off origin:default setting:rate-limits]",
		changed+"map[new:300000 old:400000 origin:blubbel.yaml:1 setting:window]",
		changed+"map[new:1h0m0s old:6h0m0s origin:blubbel.yaml:2 setting:silence]",
		changed+"map[new:2000/s burst 4000 old:off origin:default setting:frame-rate]")
	if c := l.relay.Config(); c.NoRateLimits || c.Takeovers != 30 || c.Window != 300000 {
		t.Errorf("%+v", c)
	}
}

// Of the log level it is told in any case, unless neither the old nor the new one has such lines.
func TestReloadTakesTheLogLevel(t *testing.T) {
	l, said := startLive(t, &sourcePlaces{file: "log-level: info"})
	for _, c := range []struct{ old, level string }{{"info", "error"}, {"error", "debug"}, {"debug", "info"}, {"info", "warn"}} {
		reloads(t, l, said, "log-level: "+c.level, changed+"map[new:"+c.level+" old:"+c.old+" origin:blubbel.yaml:1 setting:log-level]")
		if is := l.log.Logger.GetLevel(); is.String()[:4] != c.level[:4] {
			t.Errorf("the level is %v, want %s", is, c.level)
		}
	}
	reloads(t, l, said, "log-level: warn")
	reloads(t, l, said, "log-level: error")
}

func TestReloadSaysWhatNeedsARestart(t *testing.T) {
	const first = "listen: 127.0.0.1:1\nlogin-proof: sticky"
	l, said := startLive(t, &sourcePlaces{file: first})
	const (
		listen = waits + "map[new:127.0.0.1:1 127.0.0.1:2 old:127.0.0.1:1 origin:blubbel.yaml:1 setting:listen]"
		drain  = waits + "map[new:1m0s old:10s origin:blubbel.yaml:2 setting:drain-time]"
	)
	reloads(t, l, said, "listen: [127.0.0.1:1, 127.0.0.1:2]\ndrain-time: 1m\npins: 5",
		changed+"map[new:5 old:1000000 origin:blubbel.yaml:3 setting:pins]", listen, drain)
	reloads(t, l, said, "listen: [127.0.0.1:1, 127.0.0.1:2]\ndrain-time: 1m\npins: 5", listen, drain)
	reloads(t, l, said, first+"\npins: 5", unchanged)
}

func TestReloadTakesNothingOfWhatIsNotValid(t *testing.T) {
	const first = "log-level: info\nwindow: 300000"
	l, said := startLive(t, &sourcePlaces{file: first})
	read := 0
	l.files = []reloader{{"list", func() error { read++; return nil }}}
	before := l.relay.Config()
	for text, why := range map[string]string{
		"log-level: debug\nwindow: 400000\nlissten: x": `blubbel.yaml:3: there is no setting "lissten"; did you mean listen?`,
		"log-level: debug\nwindow: 5":                  "blubbel.yaml:2: window is 5; it must be from 131082 to 1073741824",
		"log-level: debug\nwindow: 400000\nacme: x":    "there are TLS certificates, but nobody to use them; give --listen tls://host:port, or wss://host:port/path (given: blubbel.yaml:3: acme)",
		"log-level: debug\nwindow 400000":              "blubbel.yaml:2: this is not YAML: could not find expected ':'",
	} {
		reloads(t, l, said, text, refused+"map[error:"+why+"]")
	}
	after := l.relay.Config()
	if l.log.Logger.GetLevel() != logrus.InfoLevel || after.Window != before.Window || read > 0 {
		t.Errorf("level %v, window %d, files read %d times", l.log.Logger.GetLevel(), after.Window, read)
	}
	reloads(t, l, said, first, "info: SIGHUP: reloaded map[what:list]")
	reloads(t, l, said, first+"\npins: 5", changed+"map[new:5 old:1000000 origin:blubbel.yaml:3 setting:pins]", "info: SIGHUP: reloaded map[what:list]")
}

// The list of keys may hold what may log in, by the limits that are in effect.
func TestReloadReadsTheListByTheNewLimits(t *testing.T) {
	list := filepath.Join(t.TempDir(), "allowed")
	_, short := publicKey(t, 2048)
	replace(t, list, digits(1))
	l, said := startLive(t, &sourcePlaces{file: "allow-keys: " + list})
	const stays = "info: SIGHUP: reloaded map[what:allowed keys]"
	reloads(t, l, said, "allow-keys: "+list, "info: allowed keys read map[keys:1]", stays)
	replace(t, list, short)
	reloads(t, l, said, "min-key-bits: 3072\nallow-keys: "+list,
		changed+"map[new:3072 old:2048 origin:blubbel.yaml:1 setting:min-key-bits]",
		"warning: SIGHUP: cannot be used; the old one stays map[error:"+list+", line 1: this key may not log in: BAD_KEY: the RSA key must have 3072 to 4096 bits what:allowed keys]")
	reloads(t, l, said, "allow-keys: "+list,
		changed+"map[new:2048 old:3072 origin:default setting:min-key-bits]", "info: allowed keys read map[keys:1]", stays)
}

func TestReloadOfAFileThatIsGone(t *testing.T) {
	l, said := startLive(t, &sourcePlaces{file: "window: 300000"})
	if err := os.Remove("blubbel.yaml"); err != nil {
		t.Fatal(err)
	}
	l.reload()
	if text := said.String(); !strings.Contains(text, "open blubbel.yaml: no such file") || strings.Count(text, "\n") != 1 {
		t.Error(text)
	}
	if err := os.Mkdir("blubbel.yaml", 0o700); err != nil {
		t.Fatal(err)
	}
	l.reload()
	if text := said.String(); !strings.Contains(text, "blubbel.yaml is no file that can be read twice") {
		t.Error(text)
	}
	if l.relay.Config().Window != 300000 {
		t.Error("the limits have changed")
	}
}

// A relay with people coming and going is reloaded again and again.
func TestHangupsWhileTheRelayIsBusy(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no hangups")
	}
	t.Chdir(t.TempDir())
	file := filepath.Join(t.TempDir(), "blubbel.yaml")
	replace(t, file, "log-format: json\nlisten: 127.0.0.1:0\n")
	ctx, cancel := context.WithCancel(t.Context())
	var log lines
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"--config", file}, os.Stdout, &log) }()
	address, _ := log.wait(t, "relay ready")["listen"].(string)
	var visits sync.WaitGroup
	visits.Go(func() { // ends with ctx
		for ctx.Err() == nil {
			if conn, err := net.Dial("tcp", address); err == nil {
				_, _ = conn.Write([]byte{1, 0, 0, 0, 1, 0}) // a login that cannot be read
				_ = conn.Close()
			}
		}
	})
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		rate := fmt.Sprintf("%d/s burst 1000", n+1)
		replace(t, file, "log-format: json\nlisten: 127.0.0.1:0\nframe-rate: "+rate+"\nlog-level: "+[]string{"debug", "info"}[n%2])
		if err := self.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		log.waitFor(t, "new", rate)
	}
	cancel()
	visits.Wait()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
