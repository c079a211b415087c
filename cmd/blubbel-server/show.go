package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// show prints the settings.
type show struct{ options }

// Run implements the command.
func (show) Run(c *commands, k *kong.Context, s streams) error {
	var text strings.Builder
	heading := ""
	for _, flag := range inHelpOrder(k.Selected().Flags) {
		if g := flag.Group; g != nil && g.Title != heading {
			heading = g.Title
			fmt.Fprintf(&text, "\n# %s\n", heading)
		}
		c.print(&text, k, flag)
	}
	_, err := io.WriteString(s.out, text.String())
	return err
}

// inHelpOrder sorts flags as --help does: those without a group come first.
func inHelpOrder(flags []*kong.Flag) []*kong.Flag {
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
	return slices.SortedStableFunc(slices.Values(flags), func(a, b *kong.Flag) int {
		return slices.Index(groups, group(a)) - slices.Index(groups, group(b))
	})
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
