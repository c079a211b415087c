package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

func TestWhatCannotStartIsOneClearLine(t *testing.T) {
	free := listen(t)
	dead := free.Addr().String()
	_ = free.Close()
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"", exitUsage, "expected one of"},
		{"pear", exitUsage, "pear"},
		{"pairs --paris 2", exitUsage, `did you mean "--pairs"`},
		{"pairs --relay 8000", exitUsage, "host:port"},
		{"pairs --size 39", exitUsage, "--size is 39; it must be from 40 to 64986"},
		{"pairs --size 65536", exitUsage, "--size is 65536"},
		{"pairs --pairs 0", exitUsage, "--pairs is 0"},
		{"pairs --rate=-1", exitUsage, "--rate is -1"},
		{"pairs --window=-1", exitUsage, "--window is -1"},
		{"pairs --duration 0s", exitUsage, "--duration is 0s"},
		{"pairs --warmup=-1s", exitUsage, "--warmup is -1s"},
		{"pairs --key-bits 512", exitUsage, "--key-bits is 512"},
		{"pairs --receiver-key-bits 8192", exitUsage, "--receiver-key-bits is 8192"},
		{"pairs --sources 0", exitUsage, "--sources is 0"},
		{"pairs --patience 0s", exitUsage, "--patience is 0s"},
		{"pairs --pid 2147483647", exitUsage, "--pid"},
		{"pairs --json /", exitUsage, "--json"},
		{"pingpong -n 0", exitUsage, "--pairs is 0"},
		{"fan-in -n 1025", exitUsage, "--senders is 1025; it must be from 1 to 1024"},
		{"all-to-all -n 1", exitUsage, "--users is 1"},
		{"idle -n 0", exitUsage, "--connections is 0"},
		{"slow --flood-rate 0", exitUsage, "--flood-rate is 0"},
		{"slow --flood-size 1", exitUsage, "--flood-size is 1"},
		{"fair --every 1us", exitUsage, "--every is 1µs"},
		{"floods --kind rain", exitUsage, "--kind must be one of"},
		{"floods --pairs 0", exitUsage, "--pairs is 0"},
		{"floods --rate 0", exitUsage, "--rate is 0"},
		{"floods --size 63", exitUsage, "--size is 63; it must be from 64 to 1024"},
		{"floods --size 1025", exitUsage, "--size is 1025"},
		{"floods --duration 1ns", exitUsage, "--duration is 1ns"},
		{"floods --rounds 0", exitUsage, "--rounds is 0"},
		{"floods --from ::1", exitUsage, "--from is ::1; it must be an IPv4 address"},
		{"floods --from here", exitUsage, "--from"},
		{"floods --addresses 0", exitUsage, "--addresses is 0"},
		{"floods --half-bytes 65536", exitUsage, "--half-bytes is 65536"},
		{"floods --connects 0", exitUsage, "--connects is 0"},
		{"all --scale 0", exitUsage, "--scale is 0"},
		{"pairs --relay " + dead, exitRelay, "cannot reach the relay at " + dead + "; is it running, and --relay right?"},
		{"all --relay " + dead, exitRelay, "cannot reach the relay"},
		{"floods --relay " + dead, exitRelay, "half-frames: cannot reach the relay"},
		{"idle --relay " + dead, exitRelay, "after 0 logins: cannot reach the relay"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), strings.Fields(c.args), &stdout, &stderr)
			text := stderr.String()
			if code != c.code || !strings.HasPrefix(text, "blubbel-bench: ") || !strings.Contains(text, c.says) {
				t.Errorf("exit code %d: %s", code, text)
			}
			if strings.Count(text, "\n") != 1 || stdout.Len() > 0 {
				t.Errorf("more than one line: %s%s", text, stdout.String())
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	for args, says := range map[string]string{
		"--help": "all-to-all", "pairs --help": "--rate", "--version": "blubbel-bench ", "slow --help": "--flood-rate", "idle --help": "--connections",
		"floods --help": "--giant-claims",
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
			t.Errorf("%s: exit code %d, %s", args, code, stderr.String())
		}
		if !strings.Contains(stdout.String(), says) {
			t.Errorf("%s says %s", args, stdout.String())
		}
	}
}

func TestAnInterruptionPrintsWhatThereIs(t *testing.T) {
	for args, on := range map[string]frames.Type{
		"pairs": frames.TypeMessage, "pairs --rate 1000": frames.TypeMessage, "pingpong": frames.TypeMessage, "fan-in": frames.TypeMessage,
		"all-to-all -n 4": frames.TypeMessage, "slow": frames.TypeMessage, "fair": frames.TypeMessage, "floods": frames.TypeMessage,
		"idle": frames.TypeLogin, "all": frames.TypeLogin,
	} {
		t.Run(args, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			relay := &liar{on: map[frames.Type]func(int, *passing){on: func(nth int, f *passing) {
				if nth == 20 {
					cancel()
				}
				f.pass()
			}}}
			var stdout, stderr bytes.Buffer
			code := run(ctx, append(strings.Fields(args), "--relay", relay.start(t), "--duration", "1h"), &stdout, &stderr)
			if code != exitInterrupted || !strings.Contains(stderr.String(), "interrupted; these are the figures until then\n") {
				t.Errorf("exit code %d: %s", code, stderr.String())
			}
			if !strings.Contains(stdout.String(), "lost") {
				t.Errorf("%s", stdout.String())
			}
		})
	}
}

func TestAFrameIsFoundHoweverItComes(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	peer := key(t, 2048)
	long := frames.Message{Peer: peer, Body: make([]byte, frames.MaxPayload)}.Append(nil)
	sent := append(append(frames.LoginAccepted{}.Append(nil), long...), frames.Message{Peer: peer}.Append(nil)...)
	go func() {
		defer theirs.Close()
		for rest := sent; len(rest) > 0; {
			n := min(len(rest), 777)
			_, _ = theirs.Write(rest[:n])
			rest = rest[n:]
		}
	}()
	in := &inbox{conn: ours}
	var got []byte
	for {
		f, ok, err := in.next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			got = append(frames.AppendHeader(got, f.Type, len(f.Payload)), f.Payload...)
			continue
		}
		if in.fill() != nil {
			break
		}
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d", len(got), len(sent))
	}
}
