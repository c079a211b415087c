// Package manual makes of a program's commands and flags, as kong has them, a page for man(1), and what bash, zsh and fish need to complete
// its command lines. So neither says anything but what the program does, and nothing is written twice.
//
//	program man                    prints the page
//	program completion SHELL       prints what a shell reads once: bash, zsh or fish
//	program completion words ...   prints what the last of these words can become, each with its help behind a tab
//
// These are no commands of the program's own: they are answered before its command line is parsed, and not in its help.
package manual

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Answer prints what these arguments ask for, if it is something of the manual. The version is what the page says at its foot.
func Answer(app *kong.Application, version string, args []string, w io.Writer) (answered bool) {
	switch {
	case len(args) == 1 && args[0] == "man":
		_, _ = io.WriteString(w, page(app, version))
	case len(args) > 1 && args[0] == "completion" && args[1] == "words":
		for _, o := range offers(app, args[2:]) {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", o.word, o.help)
		}
	case len(args) == 2 && args[0] == "completion":
		return writeScript(app, args[1], w)
	default:
		return false
	}
	return true
}

// scripts are what the shells read: PROGRAM stands for the name of the program, and FUNCTION for what may be a part of a function's.
//
//go:embed completion.bash completion.zsh completion.fish
var scripts embed.FS

// writeScript reports whether there is one for the shell.
func writeScript(app *kong.Application, shell string, w io.Writer) bool {
	text, err := scripts.ReadFile("completion." + shell)
	if err != nil {
		return false
	}
	_, _ = strings.NewReplacer("PROGRAM", app.Name, "FUNCTION", strings.ReplaceAll(app.Name, "-", "_")).WriteString(w, string(text))
	return true
}

// InHelpOrder returns the flags that are not hidden, sorted as --help does: those without a group come first.
func InHelpOrder(flags []*kong.Flag) []*kong.Flag {
	group := func(f *kong.Flag) string {
		if f.Group == nil {
			return ""
		}
		return f.Group.Key
	}
	groups := []string{""}
	for _, f := range flags {
		if !slices.Contains(groups, group(f)) {
			groups = append(groups, group(f))
		}
	}
	sorted := slices.SortedStableFunc(slices.Values(flags), func(a, b *kong.Flag) int {
		return slices.Index(groups, group(a)) - slices.Index(groups, group(b))
	})
	return slices.DeleteFunc(sorted, func(f *kong.Flag) bool { return f.Hidden })
}
