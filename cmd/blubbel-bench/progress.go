package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

const (
	progressEvery = 250 * time.Millisecond
	clearLine     = "\r\x1b[K"
)

// progress is a line on a terminal that says how far we are. Where there is no terminal it says nothing.
type progress struct {
	w     io.Writer // nil where there is no terminal
	shown bool
}

func newProgress(w io.Writer) *progress {
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return &progress{w: w}
	}
	return &progress{}
}

// show replaces the line.
func (p *progress) show(what string, delivered uint64, left time.Duration) {
	if p.w == nil {
		return
	}
	p.shown = true
	_, _ = fmt.Fprintf(p.w, clearLine+"%s: %.1f s left, %s delivered", what, left.Seconds(), grouped(delivered))
}

// say replaces the line by a text.
func (p *progress) say(text string) {
	if p.w == nil {
		return
	}
	p.shown = true
	_, _ = fmt.Fprint(p.w, clearLine+text)
}

// clear removes the line.
func (p *progress) clear() {
	if p.shown {
		p.shown = false
		_, _ = fmt.Fprint(p.w, clearLine)
	}
}
