package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// says wants findings to be printed like this, one on a line.
func says(t *testing.T, found []finding, want ...string) {
	t.Helper()
	var b strings.Builder
	for _, f := range found {
		page{}.write(&b, f)
	}
	if is := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"); len(found) > 0 || len(want) > 0 {
		if !slices.Equal(is, want) {
			t.Errorf("it says\n%s\nwant\n%s", strings.Join(is, "\n"), strings.Join(want, "\n"))
		}
	}
}

// examine runs doctor, and returns its exit code and what it prints.
func examine(t *testing.T, args ...string) (code int, text, complaint string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), append([]string{"doctor"}, args...), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestConfigurationIsFound(t *testing.T) {
	says(t, checkConfiguration(nil), "ok       configuration: it is valid; all of it is default")
	says(t, checkConfiguration([]string{"state (blubbel.yaml:2)", "listen (flag)"}),
		"ok       configuration: it is valid; given are listen (flag), state (blubbel.yaml:2)")
}

func TestDoctorSaysWhereSettingsComeFrom(t *testing.T) {
	p := sourcePlaces{
		flags: []string{"--listen=127.0.0.1:0"}, variables: []string{"BLUBBEL_LOG_LEVEL=warn", "BLUBBEL_KEY=ours.pem"}, file: "state: here\nwindow: 300000",
	}
	_, text, _ := examine(t, p.put(t)...)
	const want = "ok       configuration: it is valid; given are listen (flag), log-level (BLUBBEL_LOG_LEVEL), state (blubbel.yaml:1), window (blubbel.yaml:2)\n"
	if !strings.HasPrefix(text, want) {
		t.Errorf("it says %s", text)
	}
	if _, err := os.Stat("here"); err == nil {
		t.Error("it has made the state folder")
	}
}

// Whatever keeps a relay from starting is wrong, with the words that it would say.
func TestAConfigurationThatIsNotValidIsFound(t *testing.T) {
	for want, p := range map[string]sourcePlaces{
		`blubbel.yaml:1: there is no setting "lissten"; did you mean listen?`:                                                       {file: "lissten: x"},
		"BLUBBEL_WINDOW is 5; it must be from 131082 to 1073741824":                                                                 {variables: []string{"BLUBBEL_WINDOW=5"}},
		`unknown flag --lissten, did you mean "--listen"? (see blubbel-server --help)`:                                              {flags: []string{"--lissten=x"}},
		"--tls-cert and --tls-key go together; give both":                                                                           {flags: []string{"--tls-cert=x"}},
		"--admin is 0.0.0.0:1, where others can get; give an address of this machine such as 127.0.0.1:9090, or add --admin-public": {flags: []string{"--admin=0.0.0.0:1"}},
	} {
		t.Run(want, func(t *testing.T) {
			code, text, complaint := examine(t, p.put(t)...)
			if code != 1 || text != "wrong    configuration: "+want+"\nok 0, note 0, warning 0, wrong 1\n" {
				t.Errorf("exit code %d: %s", code, text)
			}
			if complaint != "blubbel-server: something is wrong: see what is marked so above\n" {
				t.Errorf("it complains: %s", complaint)
			}
		})
	}
	p := sourcePlaces{variables: []string{"BLUBBEL_WINDOW=5"}}
	_, text, _ := examine(t, append(p.put(t), "--json")...)
	var found []finding
	if err := json.Unmarshal([]byte(text), &found); err != nil || len(found) != 1 || found[0].Mark != isWrong || found[0].Advice != "it must be from 131082 to 1073741824" {
		t.Error(text, err)
	}
}

func TestOnlyWhatIsWrongIsAFailure(t *testing.T) {
	for m, fails := range map[mark]bool{isOK: false, isNote: false, isWarning: false, isWrong: true} {
		if err := report(&bytes.Buffer{}, []finding{{isOK, "a", "b", ""}, {m, "a", "b", ""}}, false); errors.Is(err, errUnhealthy) != fails {
			t.Errorf("%s: %v", m, err)
		}
	}
}

func TestFindingsAreBrokenAtTheWidth(t *testing.T) {
	f := finding{isWarning, "clock", "it says that it is\nlate, \x1b[31mvery\x07 late", "set it"}
	for width, want := range map[int]string{
		0:  "warning  clock: it says that it is late, �[31mvery� late; set it\n",
		40: "warning  clock: it says that it is late,\n         �[31mvery� late; set it\n",
		39: "warning  clock: it says that it is\n         late, �[31mvery� late; set it\n",
	} {
		var b strings.Builder
		page{width: width}.write(&b, f)
		if b.String() != want {
			t.Errorf("%d columns:\n%s", width, b.String())
		}
	}
	var b strings.Builder
	page{colour: true}.write(&b, finding{isWrong, "a", "b", ""})
	if b.String() != "\x1b[1;31mwrong\x1b[0m    a: b\n" {
		t.Errorf("%q", b.String())
	}
}
