package main

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// screen is where a friend's messages go: as they are into a pipe or a file, named and harmless onto a terminal.
func screen(out io.Writer, name string) io.Writer {
	if !isTerminal(out) {
		return out
	}
	return &named{out: out, name: name}
}

// named writes each message with the name of its author.
type named struct {
	out  io.Writer
	name string
}

// Write writes a message.
func (n *named) Write(message []byte) (int, error) {
	_, err := io.WriteString(n.out, said(n.name, message))
	return len(message), err
}

// said is a message as it stands on a terminal: each line behind the name.
func said(name string, message []byte) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(string(message), "\n"), "\n") {
		b.WriteString(name + ": " + printable(line) + "\n")
	}
	return b.String()
}

// printable takes out of a text what a terminal would obey rather than show: control characters, and those that turn the
// direction of writing around.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
