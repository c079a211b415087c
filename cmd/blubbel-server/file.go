package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// readFile reads the settings of a YAML file: their names are the keys. It is flat, as the command line is, so that there is one name for a
// setting everywhere.
func readFile(name string, text []byte, flags []*kong.Flag) (sources, error) {
	s, lines := sources{}, map[string]int{}
	pairs, err := readPairs(name, text)
	if err != nil {
		return nil, err
	}
	for pair := range slices.Chunk(pairs, 2) {
		key, value := pair[0], pair[1]
		at := fromFile(name, key.Line, key.Value)
		if first, ok := lines[key.Value]; ok {
			return nil, misconfigured(fmt.Sprintf("%s is there twice, for the first time in line %d; keep one", at.setting, first))
		}
		lines[key.Value] = key.Line
		i := slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == key.Value })
		if i < 0 {
			return nil, misconfigured(fmt.Sprintf("%s: there is no setting %q; %s", at.place, key.Value, meant(key.Value, flags, strings.Clone)))
		}
		g := given{origin: at}
		if g.items, err = readItems(name, key, value, flags[i].IsSlice()); err != nil {
			return nil, err
		}
		if err := s.add(flags[i], g); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readPairs returns the keys of a file, each with its value behind it.
func readPairs(name string, text []byte) ([]*yaml.Node, error) {
	documents, err := parseYAML(text)
	switch {
	case err != nil:
		return nil, misconfigured(fmt.Sprintf("%s:%d: this is not YAML: %s", name, lineOf(text, err), problem(err)))
	case len(documents) == 0: // nothing, or comments
		return nil, nil
	case len(documents) > 1:
		return nil, misconfigured(fmt.Sprintf("%s:%d: here begins another document; keep one", name, documents[1].Line))
	}
	switch root := documents[0].Content[0]; {
	case root.Kind == yaml.MappingNode:
		return root.Content, nil
	case root.ShortTag() == "!!null":
		return nil, nil
	default:
		return nil, misconfigured(fmt.Sprintf("%s:%d: there are no settings; give each on a line, as in log-level: info", name, root.Line))
	}
}

func parseYAML(text []byte) (documents []*yaml.Node, err error) {
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		document := &yaml.Node{}
		switch err := decoder.Decode(document); {
		case errors.Is(err, io.EOF):
			return documents, nil
		case err != nil:
			return nil, err
		}
		documents = append(documents, document)
	}
}

// lineOf returns the line in which a YAML error is: the first with which it is there. The parser itself counts from 0, from 1, or not at all.
func lineOf(text []byte, err error) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	return 1 + sort.Search(len(lines)-1, func(i int) bool {
		_, without := parseYAML(bytes.Join(lines[:i+1], nil))
		return without != nil && problem(without) == problem(err)
	})
}

// position is what the parser says before it says what is wrong.
var position = regexp.MustCompile(`^yaml: (line \d+: )?`)

func problem(err error) string { return position.ReplaceAllString(err.Error(), "") }

// readItems reads the value of a key.
func readItems(name string, key, value *yaml.Node, list bool) (items []item, err error) {
	nodes := []*yaml.Node{value}
	if value = dereferenced(value); list && value.Kind == yaml.SequenceNode {
		nodes = value.Content
	}
	for _, node := range nodes {
		at := fromFile(name, key.Line, key.Value)
		if list {
			at = fromFile(name, node.Line, key.Value)
		}
		switch node := dereferenced(node); {
		case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null":
			return nil, misconfigured(at.setting + " has no value; give one, or leave the line out")
		case node.Kind != yaml.ScalarNode && list:
			return nil, misconfigured(at.setting + ": give a value, or a list of values")
		case node.Kind != yaml.ScalarNode:
			return nil, misconfigured(at.setting + ": give one value")
		default:
			items = append(items, item{at, node.Value})
		}
	}
	return items, nil
}

// dereferenced follows an alias.
func dereferenced(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
