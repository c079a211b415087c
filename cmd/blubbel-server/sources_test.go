package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// sourcePlaces is what stands in each place that settings come from.
type sourcePlaces struct {
	flags     []string
	variables []string // such as BLUBBEL_LISTEN=127.0.0.1:8000
	file      string   // the text; without one, no file is named
}

// put puts everything in its place, and returns the arguments. The file is blubbel.yaml.
func (p *sourcePlaces) put(t *testing.T) (args []string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, v := range p.variables {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	if p.file != "" {
		replace(t, "blubbel.yaml", p.file)
		args = []string{"--config", "blubbel.yaml"}
	}
	return append(args, p.flags...)
}

// parse is what the program makes of it.
func (p *sourcePlaces) parse(t *testing.T) (*commands, *kong.Context) {
	t.Helper()
	c, k, err := parse(p.put(t), os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	return c, k
}

// inOrder are the sourcePlaces that a setting can stand in. The first in which it stands is used.
var inOrder = []struct {
	name string
	put  func(p *sourcePlaces, setting string, values []string)
}{
	{"flag", func(p *sourcePlaces, setting string, values []string) {
		for _, v := range values {
			p.flags = append(p.flags, "--"+setting+"="+v)
		}
	}},
	{"variable", func(p *sourcePlaces, setting string, values []string) {
		p.variables = append(p.variables, variable(setting)+"="+strings.Join(values, " "))
	}},
	{"file", func(p *sourcePlaces, setting string, values []string) {
		if len(values) == 1 {
			p.file += setting + ": " + strconv.Quote(values[0]) + "\n"
		} else {
			p.file += setting + ":\n- " + strings.Join(values, "\n- ") + "\n"
		}
	}},
	{"default", func(*sourcePlaces, string, []string) {}},
}

// comesFrom is how it begins what is said about where a setting comes from, if it stands there.
func comesFrom(place, setting string) string {
	return map[string]string{"flag": "flag", "variable": variable(setting), "file": "blubbel.yaml:", "default": "default"}[place]
}

func TestFlagsGoBeforeVariablesBeforeTheFileBeforeDefaults(t *testing.T) {
	values := map[string][2][]string{ // neither is the default, but of a bool
		"state":         {{"a"}, {"b"}},
		"log-level":     {{"warn"}, {"debug"}},
		"drain-time":    {{"1m0s"}, {"2s"}},
		"frame-rate":    {{"1/s burst 1000"}, {"2/min burst 2000"}},
		"early-refusal": {{"1:2:3"}, {"off"}},
		"takeovers":     {{"7"}, {"off"}},
		"window":        {{"300000"}, {"400000"}},
		"seed-raw-keys": {{"true"}, {"false"}},
		"listen":        {{"127.0.0.1:1", "127.0.0.1:2"}, {"127.0.0.1:3"}},
	}
	for i, higher := range inOrder[:len(inOrder)-1] {
		for _, lower := range inOrder[i+1:] {
			for first := range 2 { // which of the values stands in the higher place
				t.Run(fmt.Sprint(higher.name, lower.name, first), func(t *testing.T) {
					var p sourcePlaces
					for setting, v := range values {
						higher.put(&p, setting, v[first])
						lower.put(&p, setting, v[1-first])
					}
					c, k := p.parse(t)
					for setting, v := range values {
						is, origin := texts(flagOf(k, setting)), c.origin(k, setting).place
						if !slices.Equal(is, v[first]) || !strings.HasPrefix(origin, comesFrom(higher.name, setting)) {
							t.Errorf("%s is %q (%s), want %q", setting, is, origin, v[first])
						}
					}
				})
			}
		}
	}
	isSet(t, &sourcePlaces{}, "listen", []string{"127.0.0.1:8000"}, "default")
	isSet(t, &sourcePlaces{}, "seed-raw-keys", []string{"false"}, "default")
}

func isSet(t *testing.T, p *sourcePlaces, setting string, want []string, from string) {
	t.Helper()
	c, k := p.parse(t)
	flag := flagOf(k, setting)
	if is, origin := texts(flag), c.origin(k, setting).place; !slices.Equal(is, want) || origin != from {
		t.Errorf("%+v: %s is %q (%s), want %q (%s)", p, setting, is, origin, want, from)
	}
}

func flagOf(k *kong.Context, setting string) *kong.Flag {
	all := settings(k.Model)
	return all[slices.IndexFunc(all, func(f *kong.Flag) bool { return f.Name == setting })]
}

// Nothing of a lower place gets into a list of a higher one, not even if that one is empty.
func TestAnEmptyListIsAList(t *testing.T) {
	const file = "listen: tls://127.0.0.1:1\ntls-self-signed: true\nacme:\n- a.example.org\n"
	isSet(t, &sourcePlaces{file: strings.Replace(file, "\n- a.example.org", " []", 1)}, "acme", nil, "blubbel.yaml:3")
	isSet(t, &sourcePlaces{variables: []string{"BLUBBEL_ACME="}, file: file}, "acme", nil, "BLUBBEL_ACME")
}

func TestTheFileIsNamedByFlagBeforeVariable(t *testing.T) {
	t.Chdir(t.TempDir())
	replace(t, "warn.yaml", "log-level: warn")
	replace(t, "error.yaml", "log-level: error")
	t.Setenv("BLUBBEL_CONFIG", "warn.yaml")
	for args, want := range map[string]string{"": "warn", "run": "warn", "--config error.yaml": "error", "run --config error.yaml": "error", "--config=": "info"} {
		c, _, err := parse(strings.Fields(args), os.Stdout)
		if err != nil {
			t.Fatal(err)
		}
		if c.Relay.LogLevel != want {
			t.Errorf("%q: %s", args, c.Relay.LogLevel)
		}
	}
}

// Whoever forgets a pin means the relay's folder, wherever that is set.
func TestUnpinTakesTheRelaysFolder(t *testing.T) {
	p := sourcePlaces{file: "state: here\nlisten: 127.0.0.1:1\n", flags: []string{"unpin", strings.Repeat("ab", 32)}}
	isToldWrong(t, &p, "there is no store in here; name the relay's folder with --state")
}

// Every setting can be set in each place, and config prints it, with where it came from.
func TestEverySettingIsAFlagAVariableAndAKey(t *testing.T) {
	_, k := (&sourcePlaces{}).parse(t)
	for _, place := range inOrder[:3] {
		t.Run(place.name, func(t *testing.T) {
			p, want := sourcePlaces{flags: []string{"config"}}, map[string]string{}
			for _, flag := range settings(k.Model) {
				from, line := comesFrom(place.name, flag.Name), strings.Count(p.file, "\n")+1
				if want[flag.Name] = from; place.name == "file" {
					want[flag.Name] += strconv.Itoa(line)
				}
				place.put(&p, flag.Name, otherwise(flag))
			}
			c, k := p.parse(t)
			for _, flag := range k.Selected().Flags {
				if is := texts(flag); !slices.Equal(is, otherwise(flagOf(k, flag.Name))) {
					t.Errorf("%s is %q", flag.Name, is)
				}
				if is := c.origin(k, flag.Name).place; is != want[flag.Name] {
					t.Errorf("%s comes from %s, want %s", flag.Name, is, want[flag.Name])
				}
			}
			all := prints(t, &p)
			for setting, from := range want {
				if is := regexp.MustCompile(`(?m)^`+setting+`:( .* # `+from+`)?$`).FindAllString(all, -1); len(is) != 1 {
					t.Errorf("config prints %q for %s", is, setting)
				}
			}
		})
	}
}

// otherwise returns a value of a setting that is not its default, wherever all of these can go together.
func otherwise(flag *kong.Flag) []string {
	byName := map[string][]string{
		"listen": {"wss://127.0.0.1:1/", "127.0.0.1:2"}, "unix-mode": {"0600"}, "ws-origin": {"*.example.org"},
		"proxy-from": {"192.0.2.0/24", "unix"}, "admin-host": {"relay.example.org"}, "forwarded-from": {"2001:db8::1/128"}, "admin": {"127.0.0.1:3"}, "acme": {"a.example.org", "b.example.org"}, "acme-directory": {"https://127.0.0.1/"},
		"tls-cert": {""}, "tls-key": {""}, "tls-self-signed": {"false"}, // ACME is enough
		"early-refusal": {"1:2:3"},
	}
	enum := flag.EnumSlice()
	switch is := texts(flag); {
	case byName[flag.Name] != nil:
		return byName[flag.Name]
	case flag.Enum != "":
		return enum[len(enum)-1:]
	case flag.IsBool():
		return []string{"true"}
	case regexp.MustCompile(`^\d+$`).MatchString(is[0]):
		n, _ := strconv.Atoi(is[0])
		return []string{strconv.Itoa(n - 1)}
	case regexp.MustCompile(`\ds$`).MatchString(is[0]):
		return []string{"11m0s"}
	case strings.Contains(is[0], " burst "):
		return []string{"off"}
	default:
		return []string{"an other"}
	}
}

// The variables of the programs for clients are left alone.
func TestVariablesOfClients(t *testing.T) {
	files, err := filepath.Glob("../blubbel*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var theirs []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`env:"(BLUBBEL_\w+)"`).FindAllSubmatch(text, -1) {
			theirs = append(theirs, string(found[1]))
		}
	}
	slices.Sort(theirs)
	if theirs = slices.Compact(theirs); !slices.Equal(theirs, ofClients) {
		t.Errorf("clients have %q, left alone are %q", theirs, ofClients)
	}
	var p sourcePlaces
	for _, name := range ofClients {
		p.variables = append(p.variables, name+"=mine")
	}
	p.parse(t)
}
