package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// parsed is the command with its defaults, and these flags.
func parsed(t *testing.T, args string) *floods {
	t.Helper()
	_, chosen, err := parse(append([]string{"floods"}, strings.Fields(args)...), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	return chosen.(*floods)
}

func TestThoseWhoChatShareNoAddressWithManyNorWithTheHostile(t *testing.T) {
	c := parsed(t, "")
	b := &bench{common: common{Relay: "127.0.0.1:8000"}}
	if !manyAddresses(b.Relay) {
		t.Skip("this system has only one address for itself")
	}
	on := map[netip.Addr]int{}
	for nth := range 2 * mostPairs {
		on[c.home(b, nth)]++
	}
	for at, n := range on {
		if n > 8 || !at.IsLoopback() {
			t.Errorf("%d at %v", n, at)
		}
	}
	lairs := map[netip.Addr]int{} // and in which round
	for round := range 3 {
		for nth := range 3 * c.Addresses {
			at := c.lair(b, round, nth, c.Addresses)
			if on[at] > 0 || !at.IsLoopback() || lairs[at] > 0 && lairs[at] != round+1 {
				t.Errorf("a hostile one of round %d at %v", round, at)
			}
			lairs[at] = round + 1
		}
	}
	if first := netip.MustParseAddr("127.1.0.1"); len(lairs) != 3000 || lairs[first] != 1 || c.lair(b, 0, 7, 1) != first {
		t.Errorf("%d addresses", len(lairs))
	}
	for relay, want := range map[string]bool{"localhost:1": true, "127.3.2.1:1": true, "[::1]:1": false, "192.0.2.1:1": false, "example.org:1": false} {
		if manyAddresses(relay) != want {
			t.Errorf("%s: %v", relay, !want)
		}
	}
	b.Relay = "192.0.2.1:8000"
	if c.home(b, 1).IsValid() || c.lair(b, 0, 1, 1).IsValid() {
		t.Error("an address of this machine's own, for a relay that is elsewhere")
	}
}

func TestEachRoundHasItsOwnAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipes(&liar{})
		if b.Relay = "127.0.0.1:8000"; !manyAddresses(b.Relay) {
			t.Skip("this system has only one address for itself")
		}
		var mu sync.Mutex
		from, reach := map[string]int{}, b.reach
		b.reach = func(ctx context.Context, at netip.Addr) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			from[at.String()]++
			return reach(ctx, at)
		}
		args := "-n 5 --rounds 2 --rate 200 --addresses 3 --kind connects --kind half-frames --connects 4 --half-frames 4"
		if err := parsed(t, args).measure(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{
			"127.0.0.2": 4 * 8, "127.0.0.3": 4 * 2, "127.1.0.1": 4, "127.1.0.4": 4,
			"127.1.0.7": 2, "127.1.0.8": 1, "127.1.0.9": 1, "127.1.0.10": 2, "127.1.0.11": 1, "127.1.0.12": 1,
		}
		if !maps.Equal(from, want) {
			t.Errorf("%v", from)
		}
	})
}

func TestEachKindHasItsTime(t *testing.T) {
	for args, want := range map[string]map[string]time.Duration{
		"": {
			"half-frames": 30 * time.Second, "strangers": 10 * time.Second, "connects": 30 * time.Second, "flat-out": time.Minute,
			"giant-claims": 10 * time.Second, "bad-keys": 30 * time.Second,
		},
		"--duration 2s": {
			"half-frames": 2 * time.Second, "strangers": 2 * time.Second, "connects": 2 * time.Second, "flat-out": time.Minute,
			"giant-claims": 2 * time.Second, "bad-keys": 2 * time.Second,
		},
	} {
		c := parsed(t, args)
		if len(c.Kind) != len(want) {
			t.Errorf("%q", c.Kind)
		}
		for _, kind := range c.Kind {
			for _, cell := range c.cells(kind) {
				if cell.lasts != want[kind] || !strings.HasPrefix(cell.name, kind) || c.alone(cell) > longestAlone {
					t.Errorf("%s lasts %v, after %v alone", cell.name, cell.lasts, c.alone(cell))
				}
			}
		}
	}
	if n := mostAtOnce(20000, 30*time.Second, 12*time.Second); n != 8000 {
		t.Errorf("%d connects at once", n)
	}
	if n := mostAtOnce(50, time.Second, time.Minute); n != 50 {
		t.Errorf("%d of 50 at once", n)
	}
}

func TestTooFewFilesAreOneClearLine(t *testing.T) {
	if ownFiles() > mostConnections {
		t.Skip("there are more than may be asked for")
	}
	code, stdout, stderr := benchAt(t, "127.0.0.1:1", fmt.Sprintf("floods --kind giant-claims --giant-claims %d --stay 1h", mostConnections))
	if code != exitUsage || !strings.Contains(stderr, "giant-claims: 1,048,690 connections at once are more open files than") ||
		!strings.Contains(stderr, "ulimit -n") || strings.Count(stderr, "\n") != 1 || stdout != "" {
		t.Errorf("exit code %d: %s%s", code, stderr, stdout)
	}
}

// refuseFrom is a liar that refuses everything from the nth on, up to the last.
func refuseFrom(first, last int, code frames.Code) func(int, *passing) {
	return func(nth int, f *passing) {
		if first <= nth && nth <= last {
			f.refuse(code)
			return
		}
		f.pass()
	}
}

// scene is what a liar does.
type scene map[frames.Type]func(nth int, f *passing)

func TestWhatARelayDoesWithStrangersIsReported(t *testing.T) {
	var victim frames.Key
	for _, c := range []struct {
		name string
		on   scene
		code int
		says string            // on standard error
		ends map[string]uint64 // of the strangers of the first cell
		is   func(r []result) bool
	}{
		{"nothing", nil, exitOK, "", map[string]uint64{notRefused: 9}, func(r []result) bool { return r[2].Hostile[reached].Count == 9 }},
		{"refuses some", scene{frames.TypeStart: refuseFrom(5, 11, frames.RateLimited)}, exitOK, "", map[string]uint64{notRefused: 2, "RATE_LIMITED": 7}, nil},
		{"drops a request", scene{frames.TypeStart: func(nth int, f *passing) {
			if nth != 5 {
				f.pass()
			}
		}}, exitFindings, "1 requests were neither refused nor forwarded", map[string]uint64{notRefused: 9}, nil},
		{"refuses a request, and forwards it", scene{frames.TypeStart: func(nth int, f *passing) {
			f.pass()
			if nth == 5 {
				f.refuse(frames.Unavailable)
			}
		}}, exitFindings, "1 requests were refused and forwarded", map[string]uint64{notRefused: 8, "UNAVAILABLE": 1}, nil},
		{"changes a request", scene{frames.TypeStart: func(nth int, f *passing) {
			if nth == 5 {
				f.rest[77] ^= 1
			}
			f.pass()
		}}, exitFindings, "1 requests were neither", map[string]uint64{notRefused: 9}, func(r []result) bool {
			return r[1].Account.Bad == 1 && strings.Contains(strings.Join(r[1].Notes, "\n"), errRequest.Error())
		}},
		{"forwards requests to another", scene{frames.TypeLogin: func(nth int, f *passing) {
			f.pass()
			if nth == 5 {
				ask := frames.StartSession{Peer: f.raw.Payload, Sealed: sealed(f.raw.Payload)}
				_, _ = relayTo.Write(ask.Append(nil))
			}
			if nth == 1 {
				relayTo = f.from
			}
		}}, exitFindings, "0 lost, 1 bad", map[string]uint64{notRefused: 9}, nil},
		{"drops Messages of the victim", scene{frames.TypeLogin: func(nth int, f *passing) {
			if nth == 3 {
				victim = f.raw.Payload
			}
			f.pass()
		}, frames.TypeMessage: func(_ int, f *passing) {
			if !bytes.Equal(f.sender, victim) {
				f.pass()
			}
		}}, exitFindings, "strangers, many addresses: the victim: ", map[string]uint64{notRefused: 9}, func(r []result) bool {
			return r[2].Account.Lost > 0 && r[2].Account.Delivered > 0 && r[1].Account.Lost == 0
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			relay := &liar{on: c.on}
			code, stdout, stderr := benchAt(t, relay.start(t), "floods --kind strangers --strangers 9 -n 1 --rounds 1 --patience 1s --json -"+small)
			if code != c.code || !strings.Contains(stderr, c.says) || (stderr == "") != (c.says == "") || strings.Count(stderr, "\n") > 1 {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			all := results(t, stdout)
			for end, n := range c.ends {
				if got := all[1].Hostile[end]; got == nil || got.Count != n {
					t.Errorf("not %d %s: %s", n, end, sentence(all[1].Hostile))
				}
			}
			if c.is != nil && !c.is(all) {
				t.Errorf("%s", stdout)
			}
		})
	}
}

// relayTo is whom a liar sends what is for another.
var relayTo net.Conn

// In virtual time a flood may last as long as it does, and whatever the machine does meanwhile has no part in it.
func TestWhatARelayDoesInAFloodIsReported(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		on   scene
		code int
		says string
		ends map[string]uint64 // of hostile clients, of all rounds
	}{
		{"lets all in", "--kind connects --connects 50 --rounds 3", nil, exitOK, "", map[string]uint64{toTheEnd: 150}},
		{"waits for ever", "--kind half-frames --half-frames 50", nil, exitOK, "", map[string]uint64{toTheEnd: 50}},
		{"refuses Logins", "--kind half-frames --half-frames 9", scene{frames.TypeLogin: refuseFrom(12, 99, frames.Limit)}, exitOK, "", map[string]uint64{
			toTheEnd: 7, notLoggedIn + "LIMIT, " + toTheEnd: 2,
		}},
		{"closes at a giant claim", "--kind giant-claims --giant-claims 9", nil, exitOK, "", map[string]uint64{wordless: 9}},
		{"takes all of a flood", "--kind flat-out --megabytes 1", nil, exitOK, "", map[string]uint64{"with a session": 1}},
		{"lets no flood in", "--kind flat-out", scene{frames.TypeLogin: refuseFrom(5, 99, frames.Limit)}, exitOK, "", map[string]uint64{"not let in: LIMIT": 1}},
		{"allows a flood no session", "--kind flat-out", scene{frames.TypeStart: refuseFrom(3, 99, frames.RateLimited)}, exitOK, "", map[string]uint64{
			"not let in: RATE_LIMITED": 1,
		}},
		{"refuses bad keys", "--kind bad-keys", scene{frames.TypeLogin: refuseFrom(1, 1<<20, frames.BadKey)}, exitOK, "", map[string]uint64{"BAD_KEY": 30000}},
		{"ends connections", "--kind bad-keys", scene{frames.TypeLogin: func(nth int, f *passing) {
			if nth > 1 && nth <= 3 {
				f.refuseAs(frames.Limit, 0)
				_ = f.from.Close()
				return
			}
			f.refuse(frames.BadKey)
		}}, exitOK, "", map[string]uint64{lineEnded + "LIMIT": 2, unanswered: 2}},
		{"takes a bad key", "--kind bad-keys", scene{frames.TypeLogin: func(nth int, f *passing) {
			if nth == 777 {
				f.pass()
				return
			}
			f.refuse(frames.BadKey)
		}}, exitFindings, "bad-keys: the flood: 1 Logins with keys that no relay may take were accepted", map[string]uint64{accepted: 1}},
		{"does not answer bad keys", "--kind bad-keys", scene{frames.TypeLogin: func(int, *passing) {}}, exitOK, "", map[string]uint64{unanswered: 30000}},
		{"drops a Message of those who chat", "--kind connects --connects 5", scene{frames.TypeMessage: func(nth int, f *passing) {
			if nth != 3000 {
				f.pass()
			}
		}}, exitFindings, "connects: beside: 1 lost, 0 bad", map[string]uint64{toTheEnd: 5}},
		{"closes on those who chat", "--kind connects --connects 5", scene{frames.TypeMessage: func(nth int, f *passing) {
			if nth == 5000 {
				_ = f.from.Close()
			}
			f.pass()
		}}, exitFindings, "connects: beside: the relay closed a connection", nil},
		{
			"does not let those in who chat", "--kind connects",
			scene{frames.TypeLogin: refuseFrom(4, 4, frames.Limit)},
			exitRelay,
			"connects: the relay at  limits connections", nil,
		},
		{
			"allows those who chat no session", "--kind connects",
			scene{frames.TypeStart: refuseFrom(2, 2, frames.RateLimited)},
			exitRelay,
			"connects: the relay limits requests for sessions", nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := pipes(&liar{on: c.on})
				err := parsed(t, "-n 2 --rounds 1 --rate 200 "+c.args).measure(t.Context(), b)
				if err == nil {
					err = b.verdict()
				}
				if exitCode(err) != c.code || !strings.Contains(fmt.Sprint(err), c.says) {
					t.Fatalf("exit code %d: %v", exitCode(err), err)
				}
				for end, n := range c.ends {
					if got := b.results[1].Hostile[end]; got == nil || got.Count != n {
						t.Errorf("not %d %s: %s", n, end, sentence(b.results[1].Hostile))
					}
				}
			})
		})
	}
}

// A relay that stalls beside the flood, and not before, shows in what it costs those who chat, and nowhere else.
func TestAFloodsCostIsTheDifference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipes(&liar{on: onMessage(func(nth int, f *passing) {
			if nth == 2201 { // a second of warm-up and ten alone are 2,200
				<-time.After(time.Second)
			}
			f.pass()
		})})
		if err := parsed(t, "-n 1 --rounds 1 --rate 200 --kind connects --connects 9").measure(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		alone, beside := b.results[0], b.results[1]
		if alone.OneWay.Count != 2000 || alone.OneWay.Max > 1000 || !near(beside.OneWay.Max, time.Second) || beside.P99Ratio < 1000 {
			t.Errorf("%+v, beside the flood %+v", alone.OneWay, beside.OneWay)
		}
		// The last of the 9 comes after 30 s times 8/9, and stays for 12 s.
		if want := 30*8./9 + 12; beside.Seconds < want-0.001 || beside.Seconds > want+0.02 || alone.Seconds != 10 {
			t.Errorf("%v s alone, %v s beside the flood", alone.Seconds, beside.Seconds)
		}
	})
}
