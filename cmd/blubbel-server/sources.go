package main

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// A setting is a flag of the command that runs the relay. Its name, its help, and its default stand in options and in no other place;
// the variable and the key of the file follow from the name. What stands on the command line is used before what stands in the
// environment, that before what stands in the file, and that before the default.

// origin is where the value of a setting comes from.
type origin struct {
	place   string // such as flag, or blubbel.yaml:7
	setting string // the setting as it is called there, such as --listen, or blubbel.yaml:7: listen
}

func fromFlag(setting string) origin    { return origin{"flag", "--" + setting} }
func fromDefault(setting string) origin { return origin{"default", "--" + setting + " (default)"} }

func fromEnvironment(setting string) origin {
	return origin{variable(setting), variable(setting)}
}

func fromFile(file string, line int, setting string) origin {
	place := fmt.Sprintf("%s:%d", file, line)
	return origin{place, place + ": " + setting}
}

const ours = "BLUBBEL_" // what the variables begin with

// variable is the environment variable of a setting.
func variable(setting string) string {
	return ours + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// ofClients are the variables of the other programs, which are none of our business.
var ofClients = []string{"BLUBBEL_KEY", "BLUBBEL_RELAY"}

// given is the value of a setting in the environment or in the file.
type given struct {
	origin
	items []item // of a list; otherwise one
}

type item struct {
	origin
	text string
}

// sources are what the environment and the file say, by setting. They are a kong.Resolver. The environment is in it, too, because kong would
// use a resolver before the variables that it reads itself.
type sources map[string]given

// Validate implements kong.Resolver. What is wrong was said when it was read.
func (sources) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (s sources) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	g, ok := s[flag.Name]
	switch {
	case !ok:
		return nil, nil
	case !flag.IsSlice():
		return g.items[0].text, nil
	}
	list := []any{}
	for _, item := range g.items {
		list = append(list, item.text)
	}
	return list, nil
}

// add takes the value of a setting, if it can be one.
func (s sources) add(flag *kong.Flag, g given) error {
	for _, item := range g.items {
		if text := wrong(flag, item.text); text != "" {
			return misconfigured(item.setting + text)
		}
	}
	s[flag.Name] = g
	return nil
}

// wrong says what is wrong with a value, in words that go on where the setting's name ends.
func wrong(flag *kong.Flag, text string) string {
	value := &kong.DecodeContext{Value: flag.Value, Scan: kong.Scan().PushTyped(text, kong.FlagValueToken)}
	if err := flag.Mapper.Decode(value, reflect.New(flag.Target.Type()).Elem()); err != nil {
		return ": " + plain(err.Error())
	}
	if allowed := flag.EnumSlice(); flag.Enum != "" && !slices.Contains(allowed, text) {
		return fmt.Sprintf(` must be one of "%s" but got %q`, strings.Join(allowed, `","`), text)
	}
	return ""
}

// settings are all there are.
func settings(app *kong.Application) []*kong.Flag { return app.DefaultCmd.Flags }

// configFlag is the flag that names the file. It is no setting: a file does not name another.
func configFlag(app *kong.Application) *kong.Flag {
	return app.Flags[slices.IndexFunc(app.Flags, func(f *kong.Flag) bool { return f.Name == "config" })]
}

// BeforeResolve has the environment and the file read, before kong asks for what stands there.
func (c *commands) BeforeResolve(k *kong.Context) (err error) {
	config := configFlag(k.Model)
	if c.given, err = readEnvironment(os.Environ(), append([]*kong.Flag{config}, settings(k.Model)...)); err != nil {
		return err
	}
	name := k.FlagValue(config).(string)
	if named, ok := c.given[config.Name]; ok && !onCommandLine(k, config.Name) {
		name = named.items[0].text
	}
	if name != "" {
		text, err := os.ReadFile(name) //nolint:gosec // the operator says which
		if err != nil {
			return misconfigured(c.origin(k, config.Name).setting + ": cannot read the configuration: " + err.Error())
		}
		read, err := readFile(name, text, settings(k.Model))
		if err != nil {
			return err
		}
		maps.Copy(read, c.given)
		c.given = read
	}
	k.AddResolver(c.given)
	return nil
}

// readEnvironment reads the variables of these flags.
func readEnvironment(environment []string, flags []*kong.Flag) (sources, error) {
	s := sources{}
	for _, entry := range slices.Sorted(slices.Values(environment)) {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, ours) || slices.Contains(ofClients, name) {
			continue
		}
		i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return variable(f.Name) == name })
		if i < 0 {
			setting := strings.ReplaceAll(strings.TrimPrefix(name, ours), "_", "-")
			return nil, misconfigured(name + ": there is no such variable; " + meant(setting, flags, variable))
		}
		if err := s.add(flags[i], inVariable(flags[i], text)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// inVariable is what a variable says. The items of a list have spaces between them.
func inVariable(flag *kong.Flag, text string) given {
	at := fromEnvironment(flag.Name)
	texts := []string{text}
	if flag.IsSlice() {
		texts = strings.Fields(text)
	}
	g := given{origin: at}
	for _, text := range texts {
		g.items = append(g.items, item{at, text})
	}
	return g
}

// onCommandLine reports whether a flag was given there.
func onCommandLine(k *kong.Context, name string) bool {
	return slices.ContainsFunc(k.Path, func(p *kong.Path) bool { return p.Flag != nil && p.Flag.Name == name && !p.Resolved })
}

// origin is where the value of a setting comes from.
func (c *commands) origin(k *kong.Context, setting string) origin {
	if onCommandLine(k, setting) {
		return fromFlag(setting)
	}
	if g, ok := c.given[setting]; ok {
		return g.origin
	}
	return fromDefault(setting)
}
