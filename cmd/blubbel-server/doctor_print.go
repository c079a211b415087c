package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// page is how findings are printed: one line for each where it is not a terminal, so that they can be searched.
type page struct {
	width  int // at which lines are broken; 0: never
	colour bool
}

// pageOf looks what is written to.
func pageOf(w io.Writer) (p page) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return p
	}
	if width, _, err := term.GetSize(int(file.Fd())); err == nil {
		p.width = max(width, narrowest)
	}
	p.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return p
}

const (
	markWidth = 9 // columns of the mark, and of what is below it in a line that is broken
	narrowest = 40
)

func writeFindings(w io.Writer, found []finding) error {
	p := pageOf(w)
	var b strings.Builder
	for _, f := range found {
		p.write(&b, f)
	}
	var sum []string
	for _, m := range []mark{isOK, isNote, isWarning, isWrong} {
		sum = append(sum, fmt.Sprintf("%s %d", m, countMarks(found, m)))
	}
	b.WriteString(strings.Join(sum, ", ") + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (p page) write(b *strings.Builder, f finding) {
	b.WriteString(p.paint(f.Mark) + strings.Repeat(" ", markWidth-len(f.Mark)))
	text := f.What + ": " + f.Found
	if f.Advice != "" {
		text += "; " + f.Advice
	}
	column := markWidth
	for i, word := range strings.Fields(strings.Map(visible, text)) {
		size := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case p.width > 0 && column+1+size > p.width:
			b.WriteString("\n" + strings.Repeat(" ", markWidth))
			column = markWidth
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += size
	}
	b.WriteByte('\n')
}

// visible replaces what a terminal would take for a command: names of files and of other programs may hold anything.
func visible(r rune) rune {
	if unicode.IsControl(r) && !unicode.IsSpace(r) {
		return unicode.ReplacementChar
	}
	return r
}

// paint colours a mark, for who sees colours.
func (p page) paint(m mark) string {
	colour := map[mark]string{isOK: "32", isNote: "36", isWarning: "33", isWrong: "1;31"}[m]
	if !p.colour {
		return string(m)
	}
	return "\x1b[" + colour + "m" + string(m) + "\x1b[0m"
}

func writeFindingsJSON(w io.Writer, found []finding) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(found)
}
