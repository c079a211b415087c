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

// mutant is a fault: what it does to the relay, as what it is found at least, what stands in the code, and what is put in its place.
// There, rarely(n) is true one time in n.
type mutant struct {
	name  string
	found string // verdicts, of which one is enough
	edits []edit
}

type edit struct{ file, old, instead string }

var mutants = []mutant{
	{"drops one frame, and says that it was delivered", "lost", []edit{{
		"output.go", "func (o *output) push(run *Run) {", `func (o *output) push(run *Run) {
	if run.message() && run.count > 1 && rarely(100) {
		rest := run.behind(1)
		run.settleAll(0)
		run = rest
	}`,
	}}},
	{"drops the last run before a pause", "lost|leaked", []edit{{
		"walk.go", "ctx.Send(p.user, Hear{Run: u.mail.carry(run)})", "if !rarely(100) {\n\t\t\tctx.Send(p.user, Hear{Run: u.mail.carry(run)})\n\t\t}",
	}}},
	{"delivers a frame twice", "repeated|wrong", []edit{{
		"round.go", "		r.encode(run, frame, number)\n", "		r.encode(run, frame, number)\n		if run.message() && rarely(500) {\n			r.encode(run, frame, number)\n		}\n",
	}}},
	{"swaps two runs", "reordered", []edit{{
		"output.go", "		o.queue = append(o.queue, run)\n", `		if n := len(o.queue) - 1; n >= o.done && (o.round == nil || o.round.holds(o.queue[n]) == 0) && rarely(10) {
			o.queue[n], run = run, o.queue[n]
		}
		o.queue = append(o.queue, run)
`,
	}}},
	{"names the wrong sender", "wrong", []edit{{
		"round.go", "from, rest := run.From(), frame[frames.HeaderSize+run.keySize:]",
		"from, rest := run.From(), frame[frames.HeaderSize+run.keySize:]\n		if rarely(500) {\n			from = string(frame[frames.HeaderSize : frames.HeaderSize+run.keySize])\n		}",
	}}},
	{"leaves the recipient's key in place", "wrong", []edit{{
		"round.go", "		run.readdress()\n", "		if !rarely(100) {\n			run.readdress()\n		}\n",
	}}},
	{"needs no consent", "wrong", []edit{{
		"session.go", "		if p&Open == 0 {\n			return p, frames.NoSession", "		if p == 0 {\n			return p, frames.NoSession",
	}}},
	{"accepts for who was not asked", "wrong", []edit{{
		"session.go", "		if p&(Asked|Open) == 0 { // open", "		if false { // open",
	}, {
		"session.go", "		if p&Invited == 0 {", "		if false {",
	}, {
		"walk.go", "		ctx.Send(p.user, Hear{Run: run})\n		u.opened(ctx, p)\n", `		if p.user == nil {
			ctx.Send(u.registry, Introduce{To: p.peer, Run: run})
			return
		}
		ctx.Send(p.user, Hear{Run: run})
		u.opened(ctx, p)
`,
	}}},
	{"settles twice", "lost|wrong", []edit{{
		"ledger.go", "		l.delivered.add(count, bytes)", "		l.delivered.add(count, bytes)\n		if rarely(500) {\n			l.delivered.add(count, bytes)\n		}",
	}}},
	{"loses the window when something was put aside", "leaked", []edit{{
		"crash.go", "	_, inner, _ := actor.UnwrapEnvelope(message)\n	m.quarantine(", "	armed.Store(true)\n	_, inner, _ := actor.UnwrapEnvelope(message)\n	m.quarantine(",
	}, {
		"chunk.go", "	window.give(weight)\n", "	if !armed.CompareAndSwap(true, false) {\n		window.give(weight)\n	}\n",
	}}},
	{"refuses without a word", "lost|leaked", []edit{{
		"run.go", "	r.code, r.text = code, text\n", "	r.code, r.text = code, text\n	if rarely(50) {\n		r.settleAll(code)\n		return\n	}\n",
	}}},
	{"names the wrong frame in an Error", "lost|repeated|wrong", []edit{{
		"round.go", "Request: r.Type, Number: number,", "Request: r.Type, Number: number + odd(50),",
	}}},
	{"garbles a byte", "wrong", []edit{{
		"round.go", "		r.mark(start)\n		r.piece(rest, false)", "		if len(rest) > 20 && rarely(500) {\n			rest[len(rest)-1] ^= 1\n		}\n		r.mark(start)\n		r.piece(rest, false)",
	}}},
	{"delivers to somebody else", "wrong", []edit{{
		"walk.go", "		ctx.Send(p.user, Hear{Run: u.mail.carry(run)})", `		to := p.user
		for _, other := range u.pairs {
			if other.user != nil && rarely(50) {
				to = other.user
			}
		}
		ctx.Send(to, Hear{Run: u.mail.carry(run)})`,
	}}},
	{"refuses what was written, too, when a connection ends", "repeated|lost", []edit{{
		"output.go", "			o.wrote(n)\n			if o.round != nil {", "			o.wrote(0)\n			if o.round != nil {",
	}}},
	{"forgets what it has done when it crashes", "lost|repeated|leaked|wrong", []edit{{
		"mailbox.go", "{ m.marked = m.marked || m.inHand }", "{ m.marked = false }",
	}}},
	{"drops the message on which it crashes", "lost|leaked", []edit{{
		"crash.go", "			m.putAside(m.batch[m.at])\n", "",
	}}},
	{"drops what is queued when it stops", "lost|leaked|wrong", []edit{{
		"crash.go", "	for _, message := range posted {\n		m.leave(message)", "	for range posted {\n",
	}, {
		"crash.go", "	for _, message := range m.batch[m.at:] {\n		m.leave(message)", "	for range m.batch[m.at:] {\n",
	}}},
	{"forgets its sessions when it crashes", "wrong", []edit{{
		"user.go", "	case *actor.Started, *actor.Restarting, *actor.Stopped:\n", "	case *actor.Started, *actor.Stopped:\n	case *actor.Restarting:\n		u.pairs = nil\n",
	}}},
	{"skips the rest of a chunk when it crashes", "lost|leaked", []edit{{
		"user_crash.go", "		u.skip(ctx)\n", "		u.skip(ctx)\n		if len(u.chunks) > 0 {\n			u.chunks[0].at = len(u.chunks[0].bytes)\n		}\n",
	}}},
	{"never says UNAVAILABLE", "leaked", []edit{{
		"delayed.go", "func() { shared.send(self, unavailable{}) }", "func() {\n			if !rarely(10) {\n				shared.send(self, unavailable{})\n			}\n		}",
	}}},
	{"drops what a goroutine was about to run that exits", "leaked", []edit{{
		"worker.go", "range append(w.ready, w.runs)", "range []*Mailbox{w.runs}",
	}}},
	{"reads no more when what it runs exits", "leaked", []edit{{
		"reader.go", "			go r.run() // instead\n", "",
	}}},
	{"does not stop who panics on the way", "leaked", []edit{{
		"crash.go", "	case m.stopping && system != nil:\n		m.stopAnyway(crash, system)\n		return\n", "",
	}}},
	{"says the last word twice", "wrong", []edit{{
		"output.go", "farewell{o, lastWord, brief}", "farewell{o, append(lastWord, lastWord...), brief}",
	}}},
	{"counts a connection that is gone", "leaked", []edit{{
		"connection.go", "	defer c.entry.Close()\n", "	if !rarely(10) {\n		defer c.entry.Close()\n	}\n",
	}}},
	{"does not let go of a key", "leaked", []edit{{
		"connection.go", "		ctx.Send(c.registry, Leave{Login: c.login})\n", "		if !rarely(10) {\n			ctx.Send(c.registry, Leave{Login: c.login})\n		}\n",
	}}},
	{"lets in before the older connection is silent", "wrong", []edit{{
		"leaving.go", " || u.asking != nil || u.parting != nil):", " || u.asking != nil):",
	}}},
	{"does not end the older connection", "wrong", []edit{{
		"oust.go", "	c.out.finish(lastWord(frames.Replaced))\n", "",
	}}},
	{"refuses what is being written to the older connection", "lost|repeated|leaked|wrong", []edit{{
		"slow.go", "!chosen(run) || o.round != nil && o.round.holds(run) > 0 {", "!chosen(run) {",
	}}},
	{"forgets a takeover that waits", "leaked", []edit{{
		"takeover.go", "	case u.phase == online:\n		u.takeOver(ctx, m)\n", "	case u.phase == online:\n",
	}}},
	{"lets somebody take over without a proof", "wrong", []edit{{
		"takeover.go", "	if !m.Login.proven {\n		ctx.Send(", "	if false {\n		ctx.Send(",
	}}},
	{"takes every proof", "wrong", []edit{{
		"proving.go", "return p.greeting.provable && p.shared.Limits().Keys.Check(p.proof.Key) == nil && p.greeting.Proven(p.proof)", "return true",
	}}},
	{"does not pin", "wrong", []edit{{
		"proving.go", "		code = p.shared.pin(p.login.fingerprint())\n", "",
	}}},
	{"asks for no proof", "wrong", []edit{{
		"anonymous.go", "	case c.shared.needsProof(c.login.fingerprint()):", "	case false:",
	}, {
		"user.go", "case u.shared.nowNeedsProof(m.Login):", "case false:",
	}}},
	{"gives kept sessions to who did not prove", "wrong", []edit{{
		"user.go", "case !m.Login.proven && len(u.pairs) > 0:", "case false:",
	}}},
	{"keeps sessions of those who did not prove", "wrong", []edit{{
		"user.go", "p.state&Open != 0 && u.login.proven && p.proven", "p.state&Open != 0",
	}}},
	{"keeps sessions if one side has proved", "wrong", []edit{{
		"user.go", "u.login.proven && p.proven", "(u.login.proven || p.proven)",
	}}},
	{"does not say that a session is kept", "wrong", []edit{{
		"leaving.go", "To: p.peer, Keeps: p.keeps, ", "To: p.peer, ",
	}}},
	{"keeps requests, too", "wrong", []edit{{
		"leaving.go", "		u.set(p, p.state.Left(keeps))\n", "		if !keeps {\n			u.set(p, 0)\n		}\n",
	}}},
	{"says nothing to the peers of kept sessions when its connection ends", "wrong|leaked", []edit{{
		"leaving.go", "	for _, p := range u.pairs {\n		u.farewell(ctx, p, reason)", "	for _, p := range u.pairs {\n		if p.keeps {\n			continue\n		}\n		u.farewell(ctx, p, reason)",
	}}},
	{"does not let go of who ends a session", "leaked", []edit{{
		"away.go", "	ctx.Send(peer, LetGo{Peer: u.name})\n", "	if !rarely(2) {\n		ctx.Send(peer, LetGo{Peer: u.name})\n	}\n",
	}}},
	{"does not tell that a session was ended", "lost", []edit{{
		"away.go", "	if tells {", "	if tells && !rarely(3) {",
	}}},
	{"goes on with a session that was ended", "wrong", []edit{{
		"away.go", "	state, _ := p.state.Hear(End, Here{})\n	u.set(p, state)\n", "",
	}}},
	{"tells who never said Hello that a session has ended", "wrong", []edit{{
		"leaving.go", "case open && u.extended():", "case open:",
	}}},
	{"forgets nobody who is away for too long", "wrong", []edit{{
		"away.go", "		u.absence.end()\n		u.endAll(ctx, awayTooLong)\n", "",
	}}},
	{"tells the same of a peer twice", "wrong", []edit{{
		"presence.go", " || p.told && p.toldOf == is {", " {",
	}}},
	{"tells of peers who did not ask to be told", "wrong", []edit{{
		"presence.go", "!u.login.presence || ", "",
	}}},
	{"does not say that somebody is back", "wrong", []edit{{
		"user.go", "	u.present(ctx)\n", "",
	}}},
	{"does not say who is there to who comes back", "wrong", []edit{{
		"presence.go", "	if m.Answer {", "	if false {",
	}}},
	{"tells of a change only if it is told at once", "wrong", []edit{{
		"presence.go", "		u.newsIn(ctx, max(due.Sub(now), merging/10))\n", "",
	}}},
	{"forgets who waits for a Pong", "lost|leaked", []edit{{
		"walk.go", "		case frames.Ping:\n			code = 0\n", "		case frames.Ping:\n			if code = 0; rarely(5) {\n				c.pass(frames.HeaderSize + len(payload))\n				return\n			}\n",
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
			out, err := exec.Command(m.build(t), "-test.run=^TestChaos$", "-chaos.seconds=60", "-chaos.seed=1", "-chaos.shrink=0s").CombinedOutput()
			if err == nil {
				t.Fatalf("was not found:\n%s", out)
			}
			if !regexp.MustCompile(`(?m)^seeds=.* (` + m.found + `)=[1-9]|^(` + m.found + `): [1-9]`).Match(out) {
				t.Errorf("was not found as %s:\n%s", m.found, out)
			}
			t.Logf("%s", regexp.MustCompile(`(?m)^ *(lost|repeated|reordered|leaked|wrong): .*`).Find(out))
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
	if out, err := exec.Command("go", "test", "-c", "-overlay", overlay, "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}
