package specs_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// told is what a relay has told of crashes, and what is to be compared with it.
type told struct {
	log safeBuffer // all of it

	mu     sync.Mutex
	lines  []logrus.Fields
	events []supervisor.Crashed
	caused int
	silent bool         // no line can tell of them
	at     map[spot]int // how often each was caused to crash; but for the actor and the message
	saw    map[spot]int // what every actor was sent
}

func (t *told) sees(at spot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.saw[at]++
}

// hasSeen reports whether a message came to an actor.
func (t *told) hasSeen(at spot) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.saw[at] > 0
}

// alive returns the actors of users and connections that have started and not stopped.
func (t *told) alive() (all []spot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for at := range t.saw {
		who := spot{kind: at.kind, number: at.number}
		if at.message != "Started" || who.kind != supervisor.KindUser && who.kind != supervisor.KindConnection {
			continue
		}
		if t.saw[spot{at.kind, "Stopped", at.number}] == 0 {
			all = append(all, who)
		}
	}
	return all
}

// causes takes note of a crash that is to be told of.
func (t *told) causes(at spot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.caused++
	t.at[spot{kind: at.kind, number: at.number}]++
}

// crashed reports whether an actor has crashed.
func (t *told) crashed(kind supervisor.Kind, number int32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at[spot{kind: kind, number: number}] > 0
}

// hear takes what comes on the event stream.
func (t *told) hear(event any) {
	if crash, ok := event.(supervisor.Crashed); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.events = append(t.events, crash)
	}
}

// Levels implements logrus.Hook.
func (*told) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (t *told) Fire(line *logrus.Entry) error {
	if line.Message == "an actor crashed" {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lines = append(t.lines, line.Data)
	}
	return nil
}

// crashes returns the events so far.
func (t *told) crashes() []supervisor.Crashed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.events)
}

// isComplete expects one line and one event, which agree, for every crash that was caused.
func (t *told) isComplete() {
	t.keeps([]byte(canary))
	t.mu.Lock()
	defer t.mu.Unlock()
	Expect(t.events).To(HaveLen(t.caused), "events")
	if t.silent {
		return
	}
	Expect(t.lines).To(HaveLen(t.caused), "lines in the log")
	var fromEvents, fromLines []string
	for _, e := range t.events {
		Expect(string(e.Stack)).To(ContainSubstring("bomb_test.go"), "where it was")
		Expect(e.Done).To(Or(HavePrefix(deed(e.Actor.Id)), Equal("stopped all the same")), e.Actor.Id)
		fromEvents = append(fromEvents, fmt.Sprint(e.Actor.Id, e.Why, e.Done, e.Quarantined, string(e.Stack)))
	}
	for _, l := range t.lines {
		fromLines = append(fromLines, fmt.Sprint(l["actor"], l["why"], l["done"], l["quarantined"], l["stack"]))
	}
	Expect(fromLines).To(ConsistOf(fromEvents))
}

// deed is what is done about the crash of the actor with that id.
func deed(id string) string {
	switch below := strings.Split(id, "/")[1:]; {
	case len(below) == 1:
		return "resumed"
	case strings.HasPrefix(below[0], "registry"):
		return "restarted"
	}
	return "closed"
}

// keeps expects that a secret is neither in the log nor in an event, however it may be written.
func (t *told) keeps(secret []byte) {
	GinkgoHelper()
	for _, form := range []string{
		string(secret), strings.Trim(strconv.Quote(string(secret)), `"`), hex.EncodeToString(secret),
		base64.StdEncoding.EncodeToString(secret[:len(secret)/3*3]), strings.Trim(fmt.Sprint(secret), "[]"),
	} {
		Expect(t.log.count(form)).To(BeZero(), "%q in the log", form)
		for _, e := range t.crashes() {
			Expect(fmt.Sprintf("%s %s %s %s", e.Actor, e.Why, e.Stack, e.Done)).NotTo(ContainSubstring(form), "in an event")
		}
	}
}

// safeBuffer is a log to look through.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.b.Bytes(), []byte(text))
}
