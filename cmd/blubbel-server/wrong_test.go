package main

import (
	"bytes"
	"strings"
	"testing"
)

// isToldWrong runs the program, and wants it to say just this on one line, and to have failed.
func isToldWrong(t *testing.T, p *sourcePlaces, want string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), p.put(t), &stdout, &stderr)
	if text := stderr.String(); code != 1 || text != "blubbel-server: "+want+"\n" {
		t.Errorf("%+v: exit code %d, %swant\nblubbel-server: %s", p, code, text, want)
	}
	if stdout.Len() > 0 {
		t.Errorf("it says %s", stdout.String())
	}
}

func TestWhatIsWrongInTheFile(t *testing.T) {
	const (
		y    = "blubbel.yaml:"
		rate = `give it as "10/min burst 20", with s, min or h, or as "off"`
	)
	for text, want := range map[string]string{
		// unknown
		"log-level: info\n\nlissten: x":  y + `3: there is no setting "lissten"; did you mean listen?`,
		"log_level: info":                y + `1: there is no setting "log_level"; did you mean log-level?`,
		"LogLevel: info":                 y + `1: there is no setting "LogLevel"; did you mean log-level?`,
		"colour: blue":                   y + `1: there is no setting "colour"; take it away, or see blubbel-server --help`,
		"config: other.yaml":             y + `1: there is no setting "config"; take it away, or see blubbel-server --help`,
		"help: true":                     y + `1: there is no setting "help"; take it away, or see blubbel-server --help`,
		"? [state]\n: x":                 y + `1: there is no setting ""; take it away, or see blubbel-server --help`,
		"<<: {state: x}":                 y + `1: there is no setting "<<"; take it away, or see blubbel-server --help`,
		"state: x\nwindow: 1\nstate: x ": y + "3: state is there twice, for the first time in line 1; keep one",
		// of a wrong type
		"state:":              y + "1: state has no value; give one, or leave the line out",
		"state: ~":            y + "1: state has no value; give one, or leave the line out",
		"listen: [a:1, null]": y + "1: listen has no value; give one, or leave the line out",
		"state: [a]":          y + "1: state: give one value",
		"state: {a: b}":       y + "1: state: give one value",
		"listen: {a: b}":      y + "1: listen: give a value, or a list of values",
		"listen:\n- a: b":     y + "2: listen: give a value, or a list of values",
		"listen:\n- [a:1]":    y + "2: listen: give a value, or a list of values",
		// of a wrong value
		"\n\n\n\n\n\nframe-rate: x":       y + `7: frame-rate: "x": ` + rate,
		"frame-rate:\n  x":                y + `1: frame-rate: "x": ` + rate,
		"frame-rate: 10/min":              y + `1: frame-rate: "10/min": ` + rate,
		"listen:\n- 127.0.0.1:1\n- 8000":  y + `3: listen: "8000": give it as host:port, such as 127.0.0.1:8000`,
		"listen: 8000":                    y + `1: listen: "8000": give it as host:port, such as 127.0.0.1:8000`,
		"log-level: loud":                 y + `1: log-level must be one of "trace","debug","info","warn","error" but got "loud"`,
		"log-level: info\nlog-format: ''": y + `2: log-format must be one of "text","json" but got ""`,
		"x: &f xml\nlog-format: *f":       y + `1: there is no setting "x"; take it away, or see blubbel-server --help`,
		"state: &f xml\nlog-format: *f":   y + `2: log-format must be one of "text","json" but got "xml"`,
		"drain-time: 10":                  y + `1: drain-time: "10": give it as 10s, 5m or 2h`,
		"window: many":                    y + `1: window: "many": give a whole number; sizes are in bytes`,
		"seed-raw-keys: perhaps":          y + `1: seed-raw-keys: bool value must be true, 1, yes, false, 0 or no but got "perhaps"`,
		"takeovers: -1":                   y + `1: takeovers: "-1": give a number, or off`,
		"penalty-from: soon":              y + `1: penalty-from: "soon": give a time such as 15s, or off`,
		// not what it may be
		"\nwindow: 5":         y + "2: window is 5; it must be from 131082 to 1073741824",
		"login-time: 0s":      y + "1: login-time is 0; leave it out for the default",
		"drain-time: 0s":      y + "1: drain-time is 0s; it must be at least 10ms",
		"state: ''":           y + "1: state is empty; name a folder, or leave it out",
		"listen: []":          y + "1: listen is empty; name an address, or leave it out",
		"penalty-from: 20m":   "--penalty-most (default) is 10m0s; it must be at least 20m0s",
		"frame-rate: off\n,,": y + "2: this is not YAML: did not find expected key",
		// no YAML
		"listen: [a:1\nstate: x":         y + "1: this is not YAML: did not find expected ',' or ']'",
		"state: x\nlisten: [a:1\nsta: x": y + "2: this is not YAML: did not find expected ',' or ']'",
		"state: a: b":                    y + "1: this is not YAML: mapping values are not allowed in this context",
		"state: x\n\tlisten: y":          y + "2: this is not YAML: found a tab character that violates indentation",
		"state: x\nlisten\n":             y + "2: this is not YAML: could not find expected ':'",
		"state: x\nlog-level: *x\n":      y + "2: this is not YAML: unknown anchor 'x' referenced",
		"state: x\n\x00\x01\x02":         y + "2: this is not YAML: control characters are not allowed",
		"state: x\n---\nstate: y":        y + "2: here begins another document; keep one",
		"state = x":                      y + "1: there are no settings; give each on a line, as in log-level: info",
		"- state: x":                     y + "1: there are no settings; give each on a line, as in log-level: info",
	} {
		t.Run(text, func(t *testing.T) { isToldWrong(t, &sourcePlaces{file: text, flags: []string{"config"}}, want) })
	}
}

func TestAFileMayBeEmpty(t *testing.T) {
	for _, text := range []string{"\n", "# nothing yet\n", "---\n", "{}"} {
		p := sourcePlaces{file: text}
		p.parse(t)
	}
}

func TestWhatIsWrongInTheEnvironment(t *testing.T) {
	for entry, want := range map[string]string{
		"BLUBBEL_LISSTEN=x":           "BLUBBEL_LISSTEN: there is no such variable; did you mean BLUBBEL_LISTEN?",
		"BLUBBEL_LOGLEVEL=debug":      "BLUBBEL_LOGLEVEL: there is no such variable; did you mean BLUBBEL_LOG_LEVEL?",
		"BLUBBEL_CONFG=x":             "BLUBBEL_CONFG: there is no such variable; did you mean BLUBBEL_CONFIG?",
		"BLUBBEL_COLOUR=blue":         "BLUBBEL_COLOUR: there is no such variable; take it away, or see blubbel-server --help",
		"BLUBBEL_=":                   "BLUBBEL_: there is no such variable; take it away, or see blubbel-server --help",
		"BLUBBEL_HELP=1":              "BLUBBEL_HELP: there is no such variable; take it away, or see blubbel-server --help",
		"BLUBBEL_LISTEN=a:1 8000":     `BLUBBEL_LISTEN: "8000": give it as host:port, such as 127.0.0.1:8000`,
		"BLUBBEL_LISTEN=":             "BLUBBEL_LISTEN is empty; name an address, or leave it out",
		"BLUBBEL_LOG_LEVEL=loud":      `BLUBBEL_LOG_LEVEL must be one of "trace","debug","info","warn","error" but got "loud"`,
		"BLUBBEL_LOG_LEVEL=":          `BLUBBEL_LOG_LEVEL must be one of "trace","debug","info","warn","error" but got ""`,
		"BLUBBEL_SEED_RAW_KEYS=":      `BLUBBEL_SEED_RAW_KEYS: bool value must be true, 1, yes, false, 0 or no but got ""`,
		"BLUBBEL_FRAME_RATE=often":    `BLUBBEL_FRAME_RATE: "often": give it as "10/min burst 20", with s, min or h, or as "off"`,
		"BLUBBEL_WINDOW=5":            "BLUBBEL_WINDOW is 5; it must be from 131082 to 1073741824",
		"BLUBBEL_DRAIN_TIME=0s":       "BLUBBEL_DRAIN_TIME is 0s; it must be at least 10ms",
		"BLUBBEL_STATE=":              "BLUBBEL_STATE is empty; name a folder, or leave it out",
		"BLUBBEL_CONFIG=nowhere.yaml": "BLUBBEL_CONFIG: cannot read the configuration: open nowhere.yaml: no such file or directory",
		"BLUBBEL_CONFIG=.":            "BLUBBEL_CONFIG: cannot read the configuration: read .: is a directory",
	} {
		t.Run(entry, func(t *testing.T) {
			isToldWrong(t, &sourcePlaces{variables: []string{entry}, flags: []string{"config"}}, want)
		})
	}
}

func TestWhatIsWrongOnTheCommandLine(t *testing.T) {
	for args, want := range map[string]string{
		"--config nowhere.yaml": "--config: cannot read the configuration: open nowhere.yaml: no such file or directory",
		"--window 5":            "--window is 5; it must be from 131082 to 1073741824",
		"--drain-time 0s":       "--drain-time is 0s; it must be at least 10ms",
		"--state=":              "--state is empty; name a folder, or leave it out",
		"--window x":            `--window: "x": give a whole number; sizes are in bytes (see blubbel-server --help)`,
		"--log-level loud":      `--log-level must be one of "trace","debug","info","warn","error" but got "loud" (see blubbel-server --help)`,
	} {
		t.Run(args, func(t *testing.T) {
			isToldWrong(t, &sourcePlaces{flags: append([]string{"config"}, strings.Fields(args)...)}, want)
		})
	}
}

// Where settings do not go together, it is said where they stand, unless one sees it on the command line.
func TestSettingsThatDoNotGoTogetherAreFound(t *testing.T) {
	const (
		one  = "one of --tls-cert with --tls-key, --tls-self-signed, or --acme"
		more = "there is more than one source of TLS certificates; give " + one
	)
	for _, c := range []struct {
		sourcePlaces
		want string
	}{
		{sourcePlaces{file: "tls-cert: x"}, "--tls-cert and --tls-key go together; give both (given: blubbel.yaml:1: tls-cert)"},
		{sourcePlaces{file: "state: x\nlisten: tls://127.0.0.1:1"}, "--listen tls:// or wss:// needs a certificate; give " + one + " (given: blubbel.yaml:2: listen)"},
		{sourcePlaces{variables: []string{"BLUBBEL_TLS_SELF_SIGNED=1"}}, "there are TLS certificates, but nobody to use them; give --listen tls://host:port, or wss://host:port/path (given: BLUBBEL_TLS_SELF_SIGNED)"},
		{
			sourcePlaces{[]string{"--listen=tls://127.0.0.1:1"}, []string{"BLUBBEL_TLS_SELF_SIGNED=1"}, "acme: a.example.org"},
			more + " (given: --listen, BLUBBEL_TLS_SELF_SIGNED, blubbel.yaml:1: acme)",
		},
		{sourcePlaces{flags: []string{"--tls-self-signed", "--acme=a.example.org"}}, more},
		{
			sourcePlaces{file: "listen: tls://:1\nacme: [a.example.org, localhost]"},
			`"localhost" is no domain that one can have a certificate for; give it such as relay.example.org, others than Latin letters as xn-- ` +
				"(given: blubbel.yaml:1: listen, blubbel.yaml:2: acme)",
		},
	} {
		c.flags = append([]string{"config"}, c.flags...)
		t.Run(c.want, func(t *testing.T) { isToldWrong(t, &c.sourcePlaces, c.want) })
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"listen", "listen", 0},
		{"", "state", 5},
		{"state", "", 5},
		{"lissten", "listen", 1},
		{"listen", "lissten", 1},
		{"lsiten", "listen", 2},
		{"kitten", "sitting", 3},
	} {
		if is := distance(c.a, c.b); is != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, is, c.want)
		}
	}
}

// Whatever a file holds, it is read, or what is wrong is one line.
func FuzzFile(f *testing.F) {
	for _, text := range []string{"listen: [127.0.0.1:1]\nwindow: 5", "? {a: *b}\n: &b c", "a: 'x\n---\n", "state: |\n  x\n  y\n"} {
		f.Add([]byte(text))
	}
	_, k, err := parse(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := readFile("blubbel.yaml", text, settings(k.Model)); err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%q", err)
		}
	})
}
