package main

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

// scribe writes the lines of a logger on a goroutine of its own, so that nobody waits for a pipe that nobody reads, least of all a
// relay that was told to stop. Lines that find no room are left out, and counted.
type scribe struct {
	to      io.Writer
	logger  *logrus.Logger
	lines   chan []byte
	leftOut atomic.Int64
	over    chan struct{} // closed when no more lines come
	done    chan struct{} // closed when all are written
}

const (
	waitingLines = 1000        // that may wait to be written
	lastLines    = time.Second // for how long they are waited for at the end
)

// newScribe makes a scribe the logger's output. It is to be closed.
func newScribe(logger *logrus.Logger, to io.Writer) *scribe {
	s := &scribe{
		to: to, logger: logger, lines: make(chan []byte, waitingLines), over: make(chan struct{}), done: make(chan struct{}),
	}
	logger.SetOutput(s)
	go s.run() // ends with close; while nobody reads, with the process
	return s
}

// Write implements io.Writer.
func (s *scribe) Write(line []byte) (int, error) {
	select {
	case s.lines <- bytes.Clone(line):
	default:
		s.leftOut.Add(1)
	}
	return len(line), nil
}

func (s *scribe) run() {
	defer close(s.done)
	for {
		select {
		case line := <-s.lines:
			s.write(line)
		case <-s.over:
			for len(s.lines) > 0 {
				s.write(<-s.lines)
			}
			return
		}
	}
}

func (s *scribe) write(line []byte) {
	_, _ = s.to.Write(line)
	n := s.leftOut.Swap(0)
	if n == 0 {
		return
	}
	told := s.logger.WithField("lines", n)
	told.Time, told.Level, told.Message = time.Now(), logrus.WarnLevel, "log lines were left out: they were not read"
	if line, err := told.Bytes(); err == nil { // not through the logger: there may be no room for it
		_, _ = s.to.Write(line)
	}
}

// close waits until everything is written, if somebody reads it.
func (s *scribe) close() {
	close(s.over)
	select {
	case <-s.done:
	case <-time.After(lastLines):
	}
}
