package manual

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// page returns the manual page of a program, in the language of man(7).
func page(app *kong.Application, version string) string {
	r := &roff{}
	r.request("TH", strings.ToUpper(app.Name), "1", "", version)
	r.request("SH", "NAME")
	r.text(app.Name + " - " + strings.TrimSuffix(app.Help, "."))
	r.request("SH", "SYNOPSIS")
	for i, leaf := range app.Leaves(true) {
		if i > 0 {
			r.request("br")
		}
		r.synopsis(app, leaf)
	}
	r.request("SH", "DESCRIPTION")
	r.text(app.Help)
	r.text(app.Detail)
	relay := app.DefaultCmd
	if relay != nil {
		r.text(relay.Help)
		r.text(relay.Detail)
	}
	r.request("SH", "OPTIONS")
	r.flags(InHelpOrder(app.Flags))
	if relay != nil {
		r.flags(InHelpOrder(relay.Flags))
	}
	r.request("SH", "COMMANDS")
	for _, child := range app.Children {
		r.command(app, child)
	}
	return r.String()
}

// roff is what a page is written with.
type roff struct {
	strings.Builder

	begun bool // a section has, and there is nothing in it yet
}

var (
	escaped = strings.NewReplacer(`\`, `\e`, "-", `\-`)
	quoted  = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`)
)

// request writes a line that says what the lines behind it are.
func (r *roff) request(name string, args ...string) {
	r.WriteString("." + name)
	for _, arg := range args {
		r.WriteString(` "` + quoted.Replace(arg) + `"`)
	}
	r.WriteByte('\n')
	r.begun = name == "SH" || name == "SS"
}

// line writes a line of text.
func (r *roff) line(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") { // would be a request
		text = `\&` + text
	}
	r.WriteString(text + "\n")
}

// text writes paragraphs.
func (r *roff) text(text string) {
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if words := strings.Fields(paragraph); len(words) > 0 {
			if !r.begun { // of itself a paragraph begins there
				r.request("PP")
			}
			r.begun = false
			r.line(escaped.Replace(strings.Join(words, " ")))
		}
	}
}

// synopsis writes how a command is called.
func (r *roff) synopsis(app *kong.Application, leaf *kong.Node) {
	name, rest, _ := strings.Cut(leaf.Summary(), leaf.Path())
	name += leaf.Path()
	if leaf == app.DefaultCmd {
		name = "[" + name + "]"
	}
	r.line(`\fB` + escaped.Replace(app.Name+" "+name) + `\fR` + escaped.Replace(rest))
}

// command writes what a command does, and those below it.
func (r *roff) command(app *kong.Application, node *kong.Node) {
	if node.Hidden || node == app.DefaultCmd {
		return
	}
	r.request("SS", app.Name+" "+node.Path())
	r.text(node.Help)
	if app.DefaultCmd == nil || node.Detail != app.DefaultCmd.Detail {
		r.text(node.Detail)
	}
	own, shared := split(app, InHelpOrder(node.Flags))
	r.arguments(node.Positional)
	r.flags(own)
	switch relay := app.DefaultCmd; {
	case relay != nil && len(shared) > 0 && len(shared) == len(InHelpOrder(relay.Flags)):
		r.text("It has all the options above.")
	case len(shared) > 0:
		r.text("As above: " + strings.Join(shared, ", ") + ".")
	}
	for _, child := range node.Children {
		r.command(app, child)
	}
}

// split returns the flags that are a command's own, and the names of those that were described with the default command.
func split(app *kong.Application, flags []*kong.Flag) (own []*kong.Flag, shared []string) {
	for _, flag := range flags {
		if app.DefaultCmd != nil && slices.ContainsFunc(app.DefaultCmd.Flags, func(f *kong.Flag) bool {
			return f.Name == flag.Name && f.Help == flag.Help
		}) {
			shared = append(shared, "--"+flag.Name)
		} else {
			own = append(own, flag)
		}
	}
	return own, shared
}

// arguments writes what the arguments of a command are.
func (r *roff) arguments(list []*kong.Positional) {
	for _, arg := range list {
		r.request("TP")
		r.line(`\fI` + escaped.Replace(arg.Summary()) + `\fR`)
		r.line(escaped.Replace(arg.Help))
	}
}

// flags writes what flags mean, those of a group below its title.
func (r *roff) flags(list []*kong.Flag) {
	title := ""
	for _, flag := range list {
		if g := flag.Group; g != nil && g.Title != title {
			title = g.Title
			r.request("SS", strings.TrimSuffix(g.Title, ":"))
			r.text(g.Description)
		}
		name, value, valued := strings.Cut(flag.String(), "=")
		line := `\fB` + escaped.Replace(name) + `\fR`
		if valued {
			line += `=\fI` + escaped.Replace(value) + `\fR`
		}
		r.request("TP")
		r.line(line)
		r.line(escaped.Replace(flag.Help + origin(flag)))
	}
}

// origin says what a flag is if it is not given, where help does not.
func origin(flag *kong.Flag) (text string) {
	if flag.PlaceHolder != "" && flag.Default != "" && !strings.Contains(flag.Help, flag.Default) {
		text = " Default: " + flag.Default + "."
	}
	for _, name := range flag.Envs {
		if !strings.Contains(flag.Help, name) {
			text += " Variable: " + name + "."
		}
	}
	return text
}
