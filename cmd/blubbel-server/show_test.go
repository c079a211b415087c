package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// prints is what config prints.
func prints(t *testing.T, p *sourcePlaces) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), p.put(t), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	return stdout.String()
}

func TestConfigPrintsWhatIsInEffectAndWhereItComesFrom(t *testing.T) {
	p := sourcePlaces{
		flags:     []string{"config", "--takeovers=off", "--log-format=json"},
		variables: []string{"BLUBBEL_ACME=a.example.org b.example.org", "BLUBBEL_SILENCE=90m"},
		file:      "state: 'on # a disk'\nlisten:\n- 127.0.0.1:1\n\n- tls://[::1]:2\nframe-rate: 3/h burst 600",
	}
	printed := prints(t, &p)
	for _, want := range []string{
		"listen:\n  - 127.0.0.1:1 # blubbel.yaml:3\n  - tls://[::1]:2 # blubbel.yaml:5\nlog-level: info # default\nlog-format: json # flag\n",
		"\nstate: 'on # a disk' # blubbel.yaml:1\n\n# Listening:\nunix-mode: 0660 # default\n",
		"\nacme:\n  - a.example.org # BLUBBEL_ACME\n  - b.example.org # BLUBBEL_ACME\nacme-email",
		"\n\n# Limits:\nmin-key-bits: 2048 # default\n",
		"\n\n# Limits of time:\nlogin-time: 10s # default\n",
		"\nsilence: 1h30m0s # BLUBBEL_SILENCE\n",
		"\n\n# Limits by rate and by client address:\nonline-per-address: 64 # default\n",
		"\nframe-rate: 3/h burst 600 # blubbel.yaml:6\n",
		"\ntakeovers: off # flag\n",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("it does not print %q but\n%s", want, printed)
		}
	}
}

var comment = regexp.MustCompile(`(?m) # [^#\n]*$`)

func TestWhatConfigPrintsIsAFileForIt(t *testing.T) {
	for name, p := range map[string]sourcePlaces{
		"defaults": {},
		"others": {file: "frame-rate: off\nearly-refusal: 1:2:3\nlisten: [127.0.0.1:1, 'tls://:2']\nacme: [a.example.org]\n" +
			"seed-raw-keys: true\npenalty-from: off\nwindow: 0x40000\ndrain-time: 1h2m3.004s\n"},
		"odd":   {flags: []string{"--state= a: #'\"\n\\b\tä ", "--allow-keys=null", "--acme-email="}},
		"lines": {flags: []string{"--allow-keys=a\nb", "--state=x\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			p.flags = append([]string{"config"}, p.flags...)
			first := prints(t, &p)
			second := prints(t, &sourcePlaces{flags: []string{"config"}, file: first})
			if comment.ReplaceAllString(first, "") != comment.ReplaceAllString(second, "") {
				t.Errorf("at first\n%sthen\n%s", first, second)
			}
			for line := range strings.Lines(second) {
				if strings.Contains(line, "# ") && !strings.HasPrefix(line, "#") && !strings.Contains(line, " # blubbel.yaml:") {
					t.Errorf("from elsewhere comes %s", line)
				}
			}
		})
	}
}
