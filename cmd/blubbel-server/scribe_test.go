package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

func TestALogThatNobodyReadsKeepsNothingFromStopping(t *testing.T) {
	t.Chdir(t.TempDir()) // where the state folder is
	_, unread := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, strings.Fields("--listen 127.0.0.1:0"), os.Stdout, unread) }()
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not stop")
	}
}

func TestLinesThatAreNotReadAreLeftOutAndCounted(t *testing.T) {
	read, write := io.Pipe()
	logger := logrus.New()
	logger.SetFormatter(&logrus.JSONFormatter{})
	s := newScribe(logger, write)
	const all = 2 * waitingLines
	for i := range all {
		logger.WithField("i", i+1).Info("line")
	}
	go func() { // ends with the last line
		s.close()
		_ = write.Close()
	}()
	written, leftOut, latest := 0, 0, 0
	for lines := bufio.NewScanner(read); lines.Scan(); {
		var line struct{ I, Lines int }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Lines == 0 && line.I <= latest {
			t.Errorf("behind number %d: %s, %v", latest, lines.Text(), err)
		}
		if leftOut += line.Lines; line.I > 0 {
			written++
			latest = line.I
		}
	}
	if written < waitingLines || leftOut == 0 || written+leftOut != all {
		t.Errorf("%d lines were written, %d left out", written, leftOut)
	}
}
