package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// misconfigured is an error that says where a setting stands, what is wrong with it, and what to do.
type misconfigured string

// Error implements error.
func (m misconfigured) Error() string { return string(m) }

// invalid says that a setting is not what it may be. Wherever it is noticed, one does not know where the setting stands.
type invalid struct {
	setting string
	text    string // which goes on where the name ends, as in " is 3; it must be at least 4"
}

// Error implements error.
func (e *invalid) Error() string { return "--" + e.setting + e.text }

// conflict says that settings do not go together.
type conflict struct {
	error
	among func(*kong.Flag) bool // which settings that may be
}

// Unwrap returns what is wrong.
func (e *conflict) Unwrap() error { return e.error }

// explain says where that stands which an error is about.
func (c *commands) explain(err error) error {
	var parsing *kong.ParseError
	var told misconfigured
	var one *invalid
	var some *conflict
	switch {
	case !errors.As(err, &parsing), errors.Is(err, syscall.EPIPE):
		return err
	case errors.As(err, &told):
		return told
	case errors.As(err, &one):
		return misconfigured(c.origin(parsing.Context, one.setting).setting + one.text)
	case errors.As(err, &some):
		return misconfigured(some.Error() + c.origins(parsing.Context, some.among))
	}
	return fmt.Errorf("%s (see blubbel-server --help)", plain(err.Error()))
}

// plain says what a value may be, where kong says of what type it is.
func plain(text string) string {
	text = noDuration.ReplaceAllString(text, `${1}: give it as 10s, 5m or 2h`)
	return noNumber.ReplaceAllString(text, `${1}: give a whole number; sizes are in bytes`)
}

var (
	noDuration = regexp.MustCompile(`expected duration but got ("(?:[^"\\]|\\.)*").*`)
	noNumber   = regexp.MustCompile(`expected a valid \d+ bit int but got ("(?:[^"\\]|\\.)*")`)
)

// origins tells where such settings stand, if not all of them on the command line, which one sees.
func (c *commands) origins(k *kong.Context, among func(*kong.Flag) bool) string {
	var stand []string
	elsewhere := false
	for _, flag := range settings(k.Model) {
		from := c.origin(k, flag.Name)
		if !among(flag) || from == fromDefault(flag.Name) {
			continue
		}
		stand = append(stand, from.setting)
		elsewhere = elsewhere || from != fromFlag(flag.Name)
	}
	if !elsewhere {
		return ""
	}
	return " (given: " + strings.Join(stand, ", ") + ")"
}

// meant says which setting somebody may have meant, as it is called there.
func meant(name string, flags []*kong.Flag, called func(string) string) string {
	nearest, least := "", len(name)/4+2
	for _, flag := range flags {
		if d := distance(strings.ToLower(name), flag.Name); d < least {
			nearest, least = flag.Name, d
		}
	}
	if nearest == "" {
		return "take it away, or see blubbel-server --help"
	}
	return fmt.Sprintf("did you mean %s?", called(nearest))
}

// distance is how many letters one has to put in, take out, or change, to make one word of another (Levenshtein's).
func distance(a, b string) int {
	row := make([]int, len(b)+1) // to each beginning of b, from the beginning of a that was looked at last
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, before+1, row[j]+1)
		}
	}
	return row[len(b)]
}
