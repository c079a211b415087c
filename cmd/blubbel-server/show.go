package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/mdeiml/blubbel-server/cmd/manual"
)

// show prints the settings.
type show struct{ options }

// Run implements the command.
func (show) Run(c *commands, k *kong.Context, s streams) error {
	var text strings.Builder
	heading := ""
	for _, flag := range manual.InHelpOrder(k.Selected().Flags) {
		if g := flag.Group; g != nil && g.Title != heading {
			heading = g.Title
			fmt.Fprintf(&text, "\n# %s\n", heading)
		}
		c.print(&text, k, flag)
	}
	_, err := io.WriteString(s.out, text.String())
	return err
}

// print prints a setting, as a file has it.
func (c *commands) print(w io.Writer, k *kong.Context, flag *kong.Flag) {
	values, from := texts(flag), c.origin(k, flag.Name)
	switch {
	case !flag.IsSlice():
		_, _ = fmt.Fprintf(w, "%s: %s # %s\n", flag.Name, scalar(values[0]), from.place)
	case len(values) == 0:
		_, _ = fmt.Fprintf(w, "%s: [] # %s\n", flag.Name, from.place)
	default:
		_, _ = fmt.Fprintf(w, "%s:\n", flag.Name)
		for i, value := range values {
			_, _ = fmt.Fprintf(w, "  - %s # %s\n", scalar(value), c.itemOrigin(from, flag.Name, i).place)
		}
	}
}

// itemOrigin is where an item of a list comes from: in a file, each has a line.
func (c *commands) itemOrigin(of origin, setting string, i int) origin {
	if g := c.given[setting]; of == g.origin {
		return g.items[i].origin
	}
	return of
}

// texts are the value of a setting as text: one for each item of a list, otherwise one.
func texts(flag *kong.Flag) (list []string) {
	if !flag.IsSlice() {
		return []string{fmt.Sprint(flag.Target.Interface())}
	}
	for i := range flag.Target.Len() {
		list = append(list, fmt.Sprint(flag.Target.Index(i).Interface()))
	}
	return list
}

// scalar writes a text so that it is read again as it is.
func scalar(text string) string {
	node := yaml.Node{Kind: yaml.ScalarNode, Value: text}
	if node.ShortTag() == "!!null" || strings.ContainsFunc(text, unicode.IsControl) { // would be no value, or more than one line
		node.Style = yaml.DoubleQuotedStyle
	}
	quoted, err := yaml.Marshal(&node)
	if err != nil { // any text can be quoted
		return text
	}
	return strings.TrimSuffix(string(quoted), "\n")
}
