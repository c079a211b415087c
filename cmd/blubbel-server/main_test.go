package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

func TestWhatCannotStartIsOneClearLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	t.Chdir(t.TempDir()) // where the state folder is
	for _, c := range []struct{ args, says string }{
		{"--listen " + taken.Addr().String(), "cannot listen on " + taken.Addr().String() + ": another program does; choose another with --listen"},
		{"--state=", "--state is empty"},
		{"--listen 8000", "host:port"},
		{"--listen 127.0.0.1:", "host:port"},
		{"--listen http://127.0.0.1:80", "cannot listen on http://, only on tcp://, tls://, ws://, wss:// and unix://"},
		{"--listen ws://127.0.0.1", "give it as ws://host:port/path, such as ws://127.0.0.1:8080/"},
		{"--listen wss://127.0.0.1/path", "give it as wss://host:port/path"},
		{"--listen ws://127.0.0.1:0/path?x=1", "something stands behind it"},
		{"--listen tcp://127.0.0.1:0/path", "a port is a number from 0 to 65535"},
		{"--listen ws://" + taken.Addr().String() + "/", "cannot listen on ws://" + taken.Addr().String() + "/: another program does"},
		{"--listen unix://relay.sock", "give it as unix:///path"},
		{"--listen unix:///", "give it as unix:///path"},
		{"--listen unix:///nowhere/relay.sock", "cannot listen on unix:///nowhere/relay.sock: "},
		{"--listen unix:///" + strings.Repeat("x", 200), "about 100 bytes at most"},
		{"--unix-mode 0888", `--unix-mode: "0888": give it as for chmod`},
		{"--unix-mode 1777", `--unix-mode: "1777": give it as for chmod`},
		{"--proxy-from example.org", `"example.org": give an address such as 192.0.2.1`},
		{"--ws-origin chat.example.org", "--ws-origin is for --listen ws:// and wss://, and there is neither"},
		{"--ws-origin https://chat.example.org/ --listen ws://127.0.0.1:0/", "give it as a host, such as chat.example.org"},
		{"--ws-origin [ --listen ws://127.0.0.1:0/", "give it as a host"},
		{"--forwarded-from 192.0.2.1", "--forwarded-from is for --listen ws:// and wss://"},
		{"--listen tls://127.0.0.1", "host:port"},
		{"--listen tls://" + taken.Addr().String() + " --tls-self-signed", "cannot listen on tls://" + taken.Addr().String() + ": another program does"},
		{"--listen 127.0.0.1:99999", "a port is a number from 0 to 65535"},
		{"--log-level loud", `--log-level must be one of "trace","debug","info","warn","error"`},
		{"--log-format xml", `--log-format must be one of "text","json"`},
		{"--rate-limits maybe", `--rate-limits must be one of "on","off"`},
		{"--lissten 127.0.0.1:0", `did you mean "--listen"`},
		{"serve", "unexpected argument serve"},
		{"--window 5", "--window is 5; it must be from 131082"},
		{"--frame-rate often", `--frame-rate: "often": give it as "10/min burst 20"`},
		{"--start-rate=1/s_burst_0", `--start-rate: "1/s_burst_0": give it as`},
		{"--early-refusal 1:2", `--early-refusal: "1:2": give it as "100:30:1000"`},
		{"--anonymous-per-address=-1", `--anonymous-per-address: "-1": give a number, or off`},
		{"--penalty-from soon", `--penalty-from: "soon": give a time such as 15s, or off`},
		{"--login-time 0s", "--login-time is 0; leave it out for the default"},
		{"--silence off", "--silence: \"off\": give it as 10s, 5m or 2h"},
		{"--drain-time 0s", "--drain-time is 0s; it must be at least 10ms"},
		{"--login-proof never", `--login-proof must be one of "sticky","required"`},
		{"--allow-keys nowhere", "cannot read the allowed keys: open nowhere: "},
		{"unpin", `expected "<fingerprint>"`},
		{"unpin 22", `"22" is not a fingerprint; expected are 64 hexadecimal digits`},
		{"unpin --state nowhere " + strings.Repeat("ab", 32), "there is no store in nowhere; name the relay's folder with --state"},
	} {
		t.Run(c.args, func(t *testing.T) { isOneClearLine(t, c.args, c.says) })
	}
}

// isOneClearLine runs the program, and wants it to say this on one line, and to have failed.
func isOneClearLine(t *testing.T, args, says string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), strings.Fields(args), &stdout, &stderr)
	text := stderr.String()
	if code != 1 || !strings.HasPrefix(text, "blubbel-server: ") || !strings.Contains(text, says) {
		t.Errorf("exit code %d: %s", code, text)
	}
	if strings.Count(text, "\n") != 1 || stdout.Len() > 0 {
		t.Errorf("more than one line: %s%s", text, stdout.String())
	}
}

// Exactly one source of certificates goes with tls://.
func TestFlagsOfTLSThatDoNotGoTogetherAreOneClearLine(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("words", []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		encrypted = "--listen tls://127.0.0.1:0 "
		web       = "--listen wss://127.0.0.1:0/ "
		files     = "--tls-cert cert.pem --tls-key key.pem "
		acme      = "--acme relay.example.org "
		more      = "more than one source"
	)
	for _, c := range []struct{ args, says string }{
		{encrypted, "needs a certificate; give one of --tls-cert"},
		{encrypted + "--listen 127.0.0.1:0", "needs a certificate"},
		{web, "needs a certificate"},
		{web + files, "cert.pem: no such file"},
		{"--listen ws://127.0.0.1:0/ --tls-self-signed", "nobody to use them"},
		{"--tls-self-signed", "nobody to use them; give --listen tls://"},
		{files, "nobody to use them"},
		{acme, "nobody to use them"},
		{encrypted + files + "--tls-self-signed", more},
		{encrypted + files + acme, more},
		{encrypted + "--tls-self-signed " + acme, more},
		{encrypted + "--tls-key key.pem --tls-self-signed", more},
		{encrypted + "--tls-cert cert.pem", "--tls-cert and --tls-key go together"},
		{encrypted + "--tls-key key.pem", "--tls-cert and --tls-key go together"},
		{encrypted + "--tls-self-signed --acme-email a@example.org", "are for --acme DOMAIN, which is missing"},
		{encrypted + "--tls-self-signed --acme-directory https://127.0.0.1/", "are for --acme DOMAIN, which is missing"},
		{encrypted + "--acme-http 127.0.0.1:0", "are for --acme DOMAIN, which is missing"},
		{encrypted + "--tls-self-signed --acme-ca ca.pem", "are for --acme DOMAIN, which is missing"},
		{encrypted + files, "cert.pem: no such file"},
		{encrypted + acme + "--acme-ca ca.pem", "--acme-ca: open ca.pem: no such file"},
		{encrypted + acme + "--acme-ca words", "--acme-ca: there is no certificate in words"},
		{encrypted + acme + "--acme-directory http://127.0.0.1/dir", "no directory of an ACME server; give its URL, beginning with https://"},
		{encrypted + "--acme localhost", `"localhost" is no domain`},
		{encrypted + "--acme 192.0.2.1", `"192.0.2.1" is no domain`},
		{encrypted + "--acme ../escape.org", `"../escape.org" is no domain`},
	} {
		t.Run(c.args, func(t *testing.T) { isOneClearLine(t, c.args, c.says) })
	}
}

func TestACertificateMadeAtStartIsForTheAddressesOfTLS(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	everywhere := []string{"127.0.0.1", "::1", "localhost", own}
	slices.Sort(everywhere)
	for where, want := range map[string][]string{
		"tls://127.0.0.1:8443 tls://127.0.0.1:8444 tcp://192.0.2.1:8000": {"127.0.0.1"},
		"tls://[2001:db8::1]:8443 wss://relay.test:8443/x ws://a:1/":     {"2001:db8::1", "relay.test"},
		"tls://:8443":        everywhere,
		"tls://0.0.0.0:8443": everywhere,
		"tls://[::]:8443":    everywhere,
	} {
		var list []address
		for text := range strings.FieldsSeq(where) {
			var a address
			if err := a.UnmarshalText([]byte(text)); err != nil {
				t.Fatal(err)
			}
			list = append(list, a)
		}
		if got := hosts(list); !slices.Equal(got, slices.Compact(want)) {
			t.Errorf("%s: %q, want %q", where, got, want)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for flag, says := range map[string]string{"--help": "--log-format", "--version": "blubbel-server "} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{flag}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
			t.Errorf("%s: exit code %d, %s", flag, code, stderr.String())
		}
		if !strings.Contains(stdout.String(), says) {
			t.Errorf("%s says %s", flag, stdout.String())
		}
	}
}

// Every limit of supervisor.Config is a flag, with its default.
func TestEveryLimitIsAFlag(t *testing.T) {
	c, _, err := parse(nil, os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Relay.limits.config()
	if err != nil {
		t.Fatal(err)
	}
	are, flags := reflect.ValueOf(got), reflect.TypeFor[limits]()
	for field, want := range reflect.ValueOf(supervisor.Defaults()).Fields() {
		switch field.Name {
		case "Log", "Props", "SeedRawKeys", "NoRateLimits", "Identity", "Store", "LoginProof", "Allow": // not a limit
		default:
			if is := are.FieldByName(field.Name).Interface(); is != want.Interface() {
				t.Errorf("%s is %v without flags, want %v", field.Name, is, want)
			}
			if _, ok := flags.FieldByName(field.Name); !ok {
				t.Errorf("%s has no flag", field.Name)
			}
		}
	}
}

func TestLimitsByRateMayBeOff(t *testing.T) {
	for field := range reflect.TypeFor[limits]().Fields() {
		if group := field.Tag.Get("group"); group != "rates" || field.Type == reflect.TypeFor[time.Duration]() {
			continue
		}
		parsed, _, err := parse([]string{"--" + settingName(field.Name) + "=off"}, os.Stdout)
		if err != nil {
			t.Error(err)
			continue
		}
		c, err := parsed.Relay.config(logrus.NewEntry(logrus.New()))
		if _, invalid := supervisor.New(c); err != nil || invalid != nil {
			t.Error(err, invalid)
		}
		if is := fmt.Sprint(reflect.ValueOf(parsed.Relay.limits).FieldByName(field.Name)); is != "off" {
			t.Errorf("%s is %s", field.Name, is)
		}
	}
}

func TestServeSaysWhereItListensAndStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var log lines
	t.Chdir(t.TempDir()) // where the state folder is
	args := strings.Fields("--listen 127.0.0.1:0 --listen tcp://127.0.0.1:0 --log-format json --rate-limits off")
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, args, os.Stdout, &log) }()
	for address := range strings.SplitSeq(log.wait(t, "relay ready")["listen"].(string), ",") {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
	log.wait(t, "relay stopped")
}

// lines is a log in JSON to wait for a line in.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) wait(t *testing.T, msg string) map[string]any {
	t.Helper()
	return l.waitFor(t, "msg", msg)
}

// waitFor waits for a line that has a field with this value.
func (l *lines) waitFor(t *testing.T, field, value string) map[string]any {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10000 {
		l.mu.Lock()
		text := l.text.String()
		l.mu.Unlock()
		for line := range strings.Lines(text) {
			var fields map[string]any
			if json.Unmarshal([]byte(line), &fields) == nil && fields[field] == value {
				return fields
			}
		}
		<-tick.C
	}
	t.Fatalf("no %s %q in the log", field, value)
	return nil
}
