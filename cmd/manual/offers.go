package manual

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// offer is a word that may stand there, and what it means.
type offer struct{ word, help string }

// offers returns what the last of the words, which may have just begun, can become. Where it returns nothing, any text may stand, such as the
// name of a file.
func offers(app *kong.Application, words []string) []offer {
	if len(words) == 0 {
		words = []string{""}
	}
	p := place{node: app.Node}
	before, last := words[:len(words)-1], words[len(words)-1]
	for _, word := range before {
		p.pass(word)
	}
	list := p.offers(last)
	if last == "=" && p.waiting != nil { // bash makes a word of it
		last = ""
	}
	return slices.DeleteFunc(list, func(o offer) bool { return !strings.HasPrefix(o.word, last) })
}

// place is how far one has come in a command line.
type place struct {
	node    *kong.Node
	waiting *kong.Flag // whose value comes next; or nil
	args    int        // how many arguments there were
	noFlags bool       // there was a --
}

// pass goes past a word.
func (p *place) pass(word string) {
	switch {
	case p.waiting != nil && word == "=": // bash makes a word of it
	case p.waiting != nil:
		p.waiting = nil
	case word == "--":
		p.noFlags = true
	case !p.noFlags && strings.HasPrefix(word, "-"):
		flag := p.flag(word)
		if flag != nil && !strings.Contains(word, "=") && !flag.IsBool() && !flag.IsCounter() {
			p.waiting = flag
		}
	default:
		p.enter(word)
	}
}

// enter goes into a command, or past an argument.
func (p *place) enter(word string) {
	i := slices.IndexFunc(p.node.Children, func(n *kong.Node) bool { return n.Name == word || slices.Contains(n.Aliases, word) })
	if i < 0 {
		p.args++
		return
	}
	p.node, p.args = p.node.Children[i], 0
}

// flags are those that may stand here.
func (p *place) flags() (list []*kong.Flag) {
	list = slices.Concat(p.node.AllFlags(true)...)
	if p.node.DefaultCmd != nil { // whose flags may stand without its name
		list = append(list, p.node.DefaultCmd.Flags...)
	}
	return slices.DeleteFunc(list, func(f *kong.Flag) bool { return f.Hidden })
}

// flag is the one that a word names, with or without a value; or nil.
func (p *place) flag(word string) *kong.Flag {
	name, _, _ := strings.Cut(word, "=")
	all := p.flags()
	i := slices.IndexFunc(all, func(f *kong.Flag) bool { return name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short) })
	if i < 0 {
		return nil
	}
	return all[i]
}

// offers are all that may stand here, whatever it begins with, but for whether it is a flag.
func (p *place) offers(word string) (list []offer) {
	name, _, valued := strings.Cut(word, "=")
	switch {
	case p.waiting != nil:
		return values(p.waiting.Value, "")
	case p.noFlags || !strings.HasPrefix(word, "-"):
		return p.commands()
	case valued:
		if flag := p.flag(word); flag != nil {
			return values(flag.Value, name+"=")
		}
		return nil
	}
	for _, flag := range p.flags() {
		list = append(list, offer{"--" + flag.Name, flag.Help})
	}
	return list
}

// commands are those that may come next, or the values of the argument that may.
func (p *place) commands() (list []offer) {
	if p.args < len(p.node.Positional) {
		return values(p.node.Positional[p.args], "")
	}
	if p.args > 0 {
		return nil
	}
	for _, child := range p.node.Children {
		if !child.Hidden {
			list = append(list, offer{child.Name, child.Help})
		}
	}
	return list
}

// values are those that a flag or an argument may have, if there are only some.
func values(of *kong.Value, prefix string) (list []offer) {
	if of.Enum == "" {
		return nil
	}
	for _, value := range of.EnumSlice() {
		list = append(list, offer{prefix + value, ""})
	}
	return list
}
