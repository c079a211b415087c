package model

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A checker that has never found anything may be blind. Here it has to find faults that are built into the relay, one
// after the other, as files that the compiler takes instead of the real ones.

var mutating = flag.Bool("mutants", false, "run TestMutants, which builds a relay for each fault")

// mutant is a fault: what stands in the code, and what is put in its place. rarely(n) is true one time in n.
type mutant struct {
	name  string
	edits []edit
}

type edit struct{ file, old, instead string }

var mutants = []mutant{
	{"drops one frame, and says that it was delivered", []edit{{
		"output.go", "func (o *output) push(run *Run) {", `func (o *output) push(run *Run) {
	if run.message() && run.count > 1 && rarely(100) {
		rest := run.behind(1)
		run.settleAll(0)
		run = rest
	}`,
	}}},
	{"drops the last run before a pause", []edit{{
		"walk.go", "ctx.Send(p.user, Hear{Run: u.mail.carry(run)})", "if !rarely(100) {\n\t\t\tctx.Send(p.user, Hear{Run: u.mail.carry(run)})\n\t\t}",
	}}},
	{"delivers a frame twice", []edit{{
		"round.go", "		r.encode(run, frame, number)\n", "		r.encode(run, frame, number)\n		if run.message() && rarely(500) {\n			r.encode(run, frame, number)\n		}\n",
	}}},
	{"swaps two runs", []edit{{
		"output.go", "		o.queue = append(o.queue, run)\n", `		if n := len(o.queue) - 1; n >= o.done && (o.round == nil || o.round.holds(o.queue[n]) == 0) && rarely(10) {
			o.queue[n], run = run, o.queue[n]
		}
		o.queue = append(o.queue, run)
`,
	}}},
	{"names the wrong sender", []edit{{
		"round.go", "from, rest := run.From(), frame[frames.HeaderSize+run.keySize:]",
		"from, rest := run.From(), frame[frames.HeaderSize+run.keySize:]\n		if rarely(500) {\n			from = string(frame[frames.HeaderSize : frames.HeaderSize+run.keySize])\n		}",
	}}},
	{"leaves the recipient's key in place", []edit{{
		"round.go", "		run.readdress()\n", "		if !rarely(100) {\n			run.readdress()\n		}\n",
	}}},
	{"needs no consent", []edit{{
		"session.go", "		if p&Open == 0 {\n			return p, frames.NoSession", "		if p == 0 {\n			return p, frames.NoSession",
	}}},
	{"accepts for who was not asked", []edit{{
		"session.go", "		if p&(Asked|Open) == 0 { // open", "		if false { // open",
	}, {
		"session.go", "		if p&Invited == 0 {", "		if false {",
	}, {
		"walk.go", "		ctx.Send(p.user, Hear{Run: run})\n		return", `		if p.user == nil {
			ctx.Send(u.registry, Introduce{To: p.peer, Run: run})
			return
		}
		ctx.Send(p.user, Hear{Run: run})
		return`,
	}}},
	{"settles twice", []edit{{
		"ledger.go", "		l.delivered.add(count, bytes)", "		l.delivered.add(count, bytes)\n		if rarely(500) {\n			l.delivered.add(count, bytes)\n		}",
	}}},
	{"loses the window when something was put aside", []edit{{
		"crash.go", "	_, inner, _ := actor.UnwrapEnvelope(message)\n	m.quarantine(", "	armed.Store(true)\n	_, inner, _ := actor.UnwrapEnvelope(message)\n	m.quarantine(",
	}, {
		"chunk.go", "	window.give(weight)\n", "	if !armed.CompareAndSwap(true, false) {\n		window.give(weight)\n	}\n",
	}}},
	{"refuses without a word", []edit{{
		"run.go", "	r.code, r.text = code, text\n", "	r.code, r.text = code, text\n	if rarely(50) {\n		r.settleAll(code)\n		return\n	}\n",
	}}},
	{"names the wrong frame in an Error", []edit{{
		"round.go", "Request: r.Type, Number: number,", "Request: r.Type, Number: number + odd(50),",
	}}},
	{"garbles a byte", []edit{{
		"round.go", "		r.mark(start)\n		r.piece(rest, false)", "		if len(rest) > 20 && rarely(500) {\n			rest[len(rest)-1] ^= 1\n		}\n		r.mark(start)\n		r.piece(rest, false)",
	}}},
	{"delivers to somebody else", []edit{{
		"walk.go", "		ctx.Send(p.user, Hear{Run: u.mail.carry(run)})", `		to := p.user
		for _, other := range u.pairs {
			if other.user != nil && rarely(50) {
				to = other.user
			}
		}
		ctx.Send(to, Hear{Run: u.mail.carry(run)})`,
	}}},
	{"refuses what was written, too, when a connection ends", []edit{{
		"output.go", "			o.wrote(n)\n			if o.round != nil {", "			o.wrote(0)\n			if o.round != nil {",
	}}},
	{"forgets what it has done when it crashes", []edit{{
		"mailbox.go", "{ m.marked = m.marked || m.inHand }", "{ m.marked = false }",
	}}},
	{"drops the message on which it crashes", []edit{{
		"crash.go", "			m.putAside(m.batch[m.at])\n", "",
	}}},
	{"drops what is queued when it stops", []edit{{
		"crash.go", "	for _, message := range posted {\n		m.leave(message)", "	for range posted {\n",
	}, {
		"crash.go", "	for _, message := range m.batch[m.at:] {\n		m.leave(message)", "	for range m.batch[m.at:] {\n",
	}}},
	{"forgets its sessions when it crashes", []edit{{
		"user.go", "	case *actor.Started, *actor.Restarting, *actor.Stopped:\n", "	case *actor.Started, *actor.Stopped:\n	case *actor.Restarting:\n		u.pairs = nil\n",
	}}},
	{"skips the rest of a chunk when it crashes", []edit{{
		"user_crash.go", "		u.skip()\n", "		u.skip()\n		if len(u.chunks) > 0 {\n			u.chunks[0].at = len(u.chunks[0].bytes)\n		}\n",
	}}},
	{"never says UNAVAILABLE", []edit{{
		"walk.go", "func() { root.Send(self, unavailable{run: m.Run}) }", "func() {\n			if !rarely(10) {\n				root.Send(self, unavailable{run: m.Run})\n			}\n		}",
	}}},
	{"does not let go of a key", []edit{{
		"connection.go", "		ctx.Send(c.registry, Leave{Login: c.login})\n", "		if !rarely(10) {\n			ctx.Send(c.registry, Leave{Login: c.login})\n		}\n",
	}}},
}

const rarely = `package actors

import "sync/atomic"

var (
	chances atomic.Uint64
	armed   atomic.Bool
)

func rarely(n uint64) bool { return chances.Add(1)%n == 0 }

func odd(n uint64) uint64 {
	if rarely(n) {
		return 1
	}
	return 0
}

var _, _ = rarely, odd
`

func TestMutants(t *testing.T) {
	if !*mutating {
		t.Skip("this is for make mutants")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(m.build(t), "-test.run=^TestChaos$", "-chaos.seconds=60", "-chaos.seed=1", "-chaos.shrink=0s").CombinedOutput() //nolint:gosec // what was just built
			if err == nil {
				t.Fatalf("was not found:\n%s", out)
			}
			found := regexp.MustCompile(`(?m)^ *(lost|repeated|reordered|leaked|wrong): .*`).FindString(string(out))
			if found == "" {
				t.Fatalf("something else happened:\n%s", out)
			}
			t.Log(found)
		})
	}
}

// build builds the model with the fault in the relay.
func (m mutant) build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	instead := map[string]string{}
	texts := map[string]string{"rarely.go": rarely}
	for _, e := range m.edits {
		text, ok := texts[e.file]
		if !ok {
			text = string(must(os.ReadFile(filepath.Join("../../actors", e.file))))
		}
		if !strings.Contains(text, e.old) {
			t.Fatalf("actors/%s has changed: where is\n%s", e.file, e.old)
		}
		texts[e.file] = strings.ReplaceAll(text, e.old, e.instead)
	}
	for file, text := range texts {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		instead[must(filepath.Abs(filepath.Join("../../actors", file)))] = path
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, must(json.Marshal(map[string]any{"Replace": instead})), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "model.test")
	if out, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", program, ".").CombinedOutput(); err != nil { //nolint:gosec // the go command
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
