package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

func TestWhatARelayDoesWrongIsReported(t *testing.T) {
	const (
		pair  = "pairs -n 1 --window 16" + short
		lossy = pair + " --patience 100ms" // where something is missing at the end, this is how long one waits for it
	)
	var held *passing
	for _, c := range []struct {
		name string
		args string
		on   func(nth int, f *passing)
		code int
		says string // on standard error
		is   func(a *account) bool
	}{
		{"drops one", lossy, func(nth int, f *passing) {
			if nth != 3 {
				f.pass()
			}
		}, exitFindings, "pairs 1, 64 B: 1 lost, 0 bad", func(a *account) bool { return a.Lost == 1 }},
		{"swaps two", pair, func(nth int, f *passing) {
			if nth == 3 {
				held = f
				return
			}
			f.pass()
			if nth == 4 {
				held.pass()
			}
		}, exitFindings, "0 lost, 1 bad", func(a *account) bool { return a.Bad == 1 && a.Sent == a.Delivered }},
		{"repeats one", pair, func(nth int, f *passing) {
			f.pass()
			if nth == 3 {
				f.pass()
			}
		}, exitFindings, "0 lost, 1 bad", func(a *account) bool { return a.Bad == 1 && a.Sent == a.Delivered }},
		{"flips a bit", lossy, func(nth int, f *passing) {
			if nth == 3 {
				f.rest[45] ^= 1
			}
			f.pass()
		}, exitFindings, "1 lost, 1 bad", func(a *account) bool { return a.Bad == 1 && a.Lost == 1 }},
		{"names another sender", lossy, func(nth int, f *passing) {
			sender := f.sender
			if nth == 3 {
				sender = append(frames.Key(nil), sender...)
				sender[20] ^= 1
			}
			f.passAs(sender, f.rest)
		}, exitFindings, "1 lost, 1 bad", func(a *account) bool { return a.Bad == 1 && a.Lost == 1 }},
		{"refuses some", pair, func(nth int, f *passing) {
			if nth%3 == 0 {
				f.refuse(frames.Busy)
				return
			}
			f.pass()
		}, exitOK, "", func(a *account) bool { return a.Refused["BUSY"] == a.Sent/3 && a.Lost == 0 }},
		{"refuses all", pair, func(nth int, f *passing) {
			f.refuse(frames.Code(13 + nth%2))
		}, exitOK, "", func(a *account) bool { return a.Refused["BUSY"]+a.Refused["OFFLINE"] == a.Sent }},
		{"refuses round trips", "pingpong -n 2" + short, func(nth int, f *passing) {
			if nth%3 == 0 {
				f.refuse(frames.Busy)
				return
			}
			f.pass()
		}, exitOK, "", func(a *account) bool { return a.Refused["BUSY"] == a.Sent/3 && a.Sent > 16 }},
		{"refuses what it delivers", pair, func(nth int, f *passing) {
			f.pass()
			if nth == 3 {
				f.refuse(frames.Busy)
			}
		}, exitFindings, "0 lost, 1 bad", func(a *account) bool { return a.refused() == 1 && a.Delivered+1 == a.Sent }},
		{"refuses twice", lossy, func(nth int, f *passing) {
			if nth != 3 {
				f.pass()
				return
			}
			f.refuse(frames.Busy)
			f.refuse(frames.Busy)
		}, exitFindings, "0 lost, 1 bad", func(a *account) bool { return a.refused() == 1 }},
		{"refuses what was not sent", pair, func(nth int, f *passing) {
			f.pass()
			if nth == 3 {
				f.refuseAs(frames.Busy, 1<<40)
			}
		}, exitFindings, "0 lost, 1 bad", func(a *account) bool { return a.refused() == 0 }},
		{"never answers", lossy, func(int, *passing) {}, exitFindings, "16 lost, 0 bad", func(a *account) bool {
			return a.Sent == 16 && a.Lost == 16
		}},
		{"never answers a schedule", "pairs -n 2 --rate 1000 --patience 100ms" + short, func(int, *passing) {}, exitFindings, " lost, 0 bad", func(a *account) bool {
			return a.Sent > 0 && a.Lost == a.Sent
		}},
		{"closes", pair, func(nth int, f *passing) {
			if nth > 3 {
				_ = f.from.Close()
				return
			}
			f.pass()
		}, exitFindings, "closed a connection", func(a *account) bool { return a.Delivered == 3 && a.CutOff == a.Sent-3 }},
		{"says why, and closes", pair, func(nth int, f *passing) {
			if nth == 3 {
				f.raw.Type = 0
				f.refuseAs(frames.ShuttingDown, 0)
				_ = f.from.Close()
			}
		}, exitFindings, "closed a connection, and said SHUTTING_DOWN", func(a *account) bool { return a.CutOff == a.Sent }},
		{"sends what is no frame", lossy, func(nth int, f *passing) {
			if nth == 3 {
				_, _ = f.to.Write([]byte("\xff\xff\xff\xff\xff\xff"))
				return
			}
			f.pass()
		}, exitFindings, "no frame of the protocol", func(a *account) bool { return a.Delivered == 2 }},
		{"asks out of nowhere", pair, func(nth int, f *passing) {
			f.pass()
			if nth == 3 {
				_, _ = f.to.Write(frames.StartSession{Peer: f.sender}.Append(nil))
			}
		}, exitFindings, "0 lost, 1 bad", func(a *account) bool { return a.Bad == 1 }},
		{"has a new type", pair, func(nth int, f *passing) {
			f.pass()
			if nth == 3 {
				_, _ = f.to.Write(frames.AppendHeader(nil, 0x77, 0))
			}
		}, exitOK, "", func(a *account) bool { return a.Bad == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			relay := &liar{on: onMessage(c.on)}
			code, stdout, stderr := benchAt(t, relay.start(t), c.args+" --json -")
			if code != c.code || !strings.Contains(stderr, c.says) || (stderr == "") != (c.says == "") {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			a := results(t, stdout)[0].Account
			if !c.is(a) || !a.adds() {
				t.Error(a.sum(), "bad:", a.Bad)
			}
		})
	}
}

func TestARelayThatDoesNotLetUsInIsOneClearLine(t *testing.T) {
	refuse := func(code frames.Code) func(int, *passing) {
		return func(_ int, f *passing) { f.refuse(code) }
	}
	for i, c := range []struct {
		which frames.Type
		on    func(nth int, f *passing)
		code  int
		says  string
	}{
		{frames.TypeLogin, refuse(frames.ProofRequired), exitRelay, "ours are made up"},
		{frames.TypeLogin, refuse(frames.BadKey), exitRelay, "--key-bits"},
		{frames.TypeLogin, refuse(frames.Limit), exitRelay, "--rate-limits off"},
		{frames.TypeLogin, refuse(frames.KeyInUse), exitRelay, "refuses a login (KEY_IN_USE"},
		{frames.TypeLogin, func(_ int, f *passing) { _ = f.from.Close() }, exitRelay, "is not a blubbel relay"},
		{frames.TypeLogin, func(_ int, f *passing) { _, _ = f.from.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, exitRelay, "is not a blubbel relay"},
		{frames.TypeStart, refuse(frames.Unavailable), exitRelay, "--rate-limits off (UNAVAILABLE"},
		{frames.TypeStart, refuse(frames.RateLimited), exitRelay, "--rate-limits off"},
		{frames.TypeStart, refuse(frames.Limit), exitRelay, "fewer users"},
		{frames.TypeStart, func(_ int, f *passing) { f.passAs(f.raw.Payload[:294], nil) }, exitRelay, "another user"},
		{frames.TypeStart, func(nth int, f *passing) {
			if nth < askings {
				f.refuse(frames.Unavailable)
				return
			}
			f.pass()
		}, exitOK, ""},
	} {
		t.Run(fmt.Sprint(i, c.says), func(t *testing.T) {
			relay := &liar{on: map[frames.Type]func(int, *passing){c.which: c.on}}
			code, stdout, stderr := benchAt(t, relay.start(t), "pairs -n 1"+short)
			if code != c.code || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") > 1 || (code == exitOK) != (stdout != "") {
				t.Errorf("exit code %d: %s%s", code, stderr, stdout)
			}
		})
	}
}
