package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/mdeiml/blubbel-server/admin"
)

// doctor looks for what usually goes wrong with a relay, whether it runs or not. It changes nothing.
//
// What it finds out about this machine and about the relay are facts; what that means is said by a function for each theme, which knows
// nothing but its facts.
type doctor struct {
	options
	JSON bool `name:"json" help:"Print what is found as JSON."`
}

// Help implements kong.HelpProvider.
func (doctor) Help() string {
	return "Give it the settings of the relay, and run it as the user that the relay runs as: then it sees what the relay sees. It changes nothing. " +
		"Each line begins with ok, note (something to know), warning (look at it), or wrong (it does not work like this). Exit code 1: something is wrong."
}

// mark is how bad something is.
type mark string

const (
	isOK      mark = "ok"
	isNote    mark = "note"
	isWarning mark = "warning"
	isWrong   mark = "wrong"
)

// finding is what was found where somebody looked.
type finding struct {
	Mark   mark   `json:"mark"`
	What   string `json:"what"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"` // what to do about it
}

// fault is a finding about an error, whose text says what to do behind a semicolon.
func fault(what string, err error) finding {
	found, advice, _ := strings.Cut(err.Error(), "; ")
	return finding{isWrong, what, found, advice}
}

// examination is a relay that is looked at: its settings, and what was found out that more than one theme needs.
type examination struct {
	options
	command *commands
	kong    *kong.Context
	now     time.Time

	process     process // that has the state folder open
	identity    ed25519.PrivateKey
	identityErr error         // why it is not known who the relay is
	status      *admin.Status // what the relay says of itself; nil if it was not asked
	visits      []visit       // to where it is to listen, in the order of the setting
}

// themes are what is looked at, in this order: some need what those before have found out.
var themes = []func(*examination, context.Context) []finding{
	(*examination).configuration,
	(*examination).home,
	(*examination).running,
	(*examination).shown,
	(*examination).listening,
	(*examination).encrypted,
	(*examination).clock,
	(*examination).files,
	(*examination).memory,
	(*examination).access,
	(*examination).publicity,
	(*examination).addresses,
}

// Run implements the command.
func (d doctor) Run(ctx context.Context, c *commands, k *kong.Context, s streams) error {
	e := &examination{options: d.options, command: c, kong: k, now: time.Now()}
	var found []finding
	for _, theme := range themes {
		found = append(found, theme(e, ctx)...)
	}
	return report(s.out, found, d.JSON)
}

// commandOf returns which command was meant when the arguments could not be parsed.
func commandOf(err error) *kong.Context {
	if parsing, ok := errors.AsType[*kong.ParseError](err); ok {
		return parsing.Context
	}
	return nil
}

// isDoctor reports whether this is what was asked for.
func isDoctor(k *kong.Context) bool {
	return k != nil && k.Selected() != nil && k.Selected().Name == "doctor"
}

// reportUnread tells of a configuration that cannot be read; so there is nothing else to look at.
func reportUnread(w io.Writer, k *kong.Context, err error) error {
	return report(w, []finding{fault("configuration", err)}, onCommandLine(k, "json"))
}

var errUnhealthy = errors.New("something is wrong")

// report prints what was found. The error is an errUnhealthy if something is wrong.
func report(w io.Writer, found []finding, asJSON bool) error {
	write := writeFindings
	if asJSON {
		write = writeFindingsJSON
	}
	if err := write(w, found); err != nil {
		return err
	}
	if n := countMarks(found, isWrong); n > 0 {
		return fmt.Errorf("%w: see what is marked so above", errUnhealthy)
	}
	return nil
}

func countMarks(found []finding, m mark) (n int) {
	for _, f := range found {
		if f.Mark == m {
			n++
		}
	}
	return n
}

// configuration is valid if anybody asks: a relay would not have got so far either.
func (e *examination) configuration(context.Context) []finding {
	var given []string
	for _, flag := range settings(e.kong.Model) {
		if from := e.command.origin(e.kong, flag.Name); from != fromDefault(flag.Name) {
			given = append(given, fmt.Sprintf("%s (%s)", flag.Name, from.place))
		}
	}
	return checkConfiguration(given)
}

func checkConfiguration(given []string) []finding {
	text := "it is valid; all of it is default"
	if len(given) > 0 {
		text = "it is valid; given are " + strings.Join(slices.Sorted(slices.Values(given)), ", ")
	}
	return []finding{{isOK, "configuration", text, ""}}
}
