package specs_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// spawn spawns a relay in a system of its own whose crashes are put into the log as well, however they print.
func spawn(inside *supervisor.Relay, log *logrus.Entry) {
	system := supervisor.NewSystem(log)
	system.EventStream.Subscribe(func(event any) {
		if crash, ok := event.(supervisor.Crashed); ok {
			_, _ = fmt.Fprintf(logged.writer(), "%v\n%+v\n%#v\n%s\n", crash, crash, crash, crash.Stack)
		}
	})
	_, err := inside.Spawn(system.Root, "relay")
	Expect(err).NotTo(HaveOccurred())
}

// staysSilent expects at the spec's end, when its relays have stopped, that no secret was logged.
func staysSilent() {
	before := logged.leaked()
	DeferCleanup(func() { Expect(logged.leaked()).To(Equal(before), "%v", logged.where) })
}

// hasLogged is what was logged, a line at a time.
type hasLogged struct {
	mu    sync.Mutex
	lines map[logrus.Level][]string
	users []string // as they are called
}

// Levels implements logrus.Hook.
func (*hasLogged) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (h *hasLogged) Fire(line *logrus.Entry) error {
	text, err := line.String()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines[line.Level] = append(h.lines[line.Level], text)
	if user, ok := line.Data["user"].(string); ok {
		h.users = append(h.users, user)
	}
	return err
}

func (h *hasLogged) config(c *supervisor.Config) {
	h.lines = map[logrus.Level][]string{}
	c.Log.Logger.AddHook(h)
}

// whoIs finds users in a line, by what they are called or by their actors.
func (h *hasLogged) whoIs(line string) (users map[string]bool) {
	users = map[string]bool{}
	for _, user := range append(h.users, regexp.MustCompile(`relay/registry[^/ "]+/[^/ "]+`).FindAllString(line, -1)...) {
		if strings.Contains(line, user) {
			users[user] = true
		}
	}
	return users
}

var _ = Describe("Keeping silent in the log", func() {
	BeforeEach(func() {
		needsInside("the log is looked through")
		staysSilent()
	})

	It("says nothing of keys and payloads, whatever is refused, and names no address but for who debugs", func(ctx SpecContext) {
		l, h := &leaking{kind: supervisor.KindUser, message: "Hear", value: func(m any) any { return m }}, &hasLogged{}
		r := spawnRelay(spawn, l.config, h.config, func(c *supervisor.Config) { c.AskedBy, c.Stall = 1, 10*time.Millisecond })
		r.serve()
		alice, bob, carol := r.connect(), r.login(ctx), r.login(ctx)
		codes := map[frames.Code]bool{}
		refuses := func(c *client, list ...frames.Frame) {
			GinkgoHelper()
			c.says(list...)
			for range max(len(list), 1) {
				codes[c.hears(ctx).(frames.Error).Code] = true
			}
		}
		refuses(alice, frames.Message{Peer: bob.key, Body: mark}, marked(0x7f))
		for _, bad := range [][]byte{
			mark, alice.key[24:], alice.key[:200], append(bytes.Clone(alice.key), mark...), freshKey(1024),
			pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: alice.key}),
		} {
			refuses(alice, frames.Login{Key: bad})
		}
		refuses(alice, frames.Login{Key: bob.key})
		alice.says(frames.Login{Key: alice.key})
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
		refuses(alice,
			frames.Login{Key: mark}, marked(0x7f), marked(frames.TypeMessage), marked(frames.TypeHello),
			frames.Message{Peer: alice.key, Body: mark}, frames.Message{Peer: bob.key, Body: mark},
			frames.AcceptSession{Peer: bob.key, Sealed: mark}, frames.StartSession{Peer: bob.key, Sealed: bytes.Repeat(mark, 200)},
			frames.StartSession{Peer: freshKey(2048), Sealed: mark},
		)
		alice.asks(ctx, bob)
		refuses(alice, frames.StartSession{Peer: carol.key, Sealed: mark})
		bob.says(frames.AcceptSession{Peer: alice.key, Sealed: mark})
		alice.hears(ctx)
		alice.says(frames.Message{Peer: bob.key, Body: mark})
		Expect(bob.hears(ctx)).To(Equal(frames.Message{Peer: alice.key, Body: mark}))
		l.left.Store(2)
		refuses(alice, frames.Message{Peer: bob.key, Body: mark})
		r.servePipes()
		dave := r.login(ctx)
		alice.meets(ctx, dave)
		alice.says(frames.Message{Peer: dave.key, Body: mark})
		_, err := dave.conn.Read(make([]byte, 1)) // it is begun, and refused when he has gone
		Expect(err).NotTo(HaveOccurred())
		refuses(alice, frames.Message{Peer: dave.key, Body: mark})
		dave.dies()
		refuses(alice)
		alice.sends(append(frames.AppendHeader(nil, frames.TypeMessage, frames.MaxPayload+1), mark...))
		codes[alice.hears(ctx).(frames.Error).Code] = true
		Expect(r.inside.Stop(ctx)).To(Succeed())
		codes[carol.hears(ctx).(frames.Error).Code] = true
		_, _ = fmt.Fprintf(logged.writer(), "%v\n%+v\n", r.inside.Account(), r.inside.Account())

		Expect(codes).To(HaveLen(15), "%v", codes) // all that have nothing to do with rates and times
		h.mu.Lock()
		defer h.mu.Unlock()
		for level, lines := range h.lines {
			for _, address := range []string{alice.conn.LocalAddr().String(), bob.conn.LocalAddr().String()} {
				matches := ContainElement(ContainSubstring(address))
				if level == logrus.DebugLevel {
					Expect(lines).To(matches)
				} else {
					Expect(lines).NotTo(matches)
				}
			}
			for _, line := range lines {
				Expect(len(h.whoIs(line))).To(BeNumerically("<", 2), line)
			}
		}
	}, SpecTimeout(2*patience))

	for kind, messages := range map[supervisor.Kind][]string{
		supervisor.KindUser:        {"Hear", "Take", "Join", "Ended", "LetGo"},
		supervisor.KindRegistry:    {"Introduce", "Join", "Vacate"},
		supervisor.KindConnections: {"Welcome"},
		supervisor.KindConnection:  {"received", "Deliver", "Joined"},
	} {
		for what, value := range map[string]func(message any) any{
			"the message":                func(m any) any { return m },
			"the message in an error":    func(m any) any { return fmt.Errorf("on %v, with %q", m, mark) },
			"the message and a mark":     func(m any) any { return fmt.Sprintf("%+v %x %v", m, mark, mark) },
			"the message in a structure": func(m any) any { return struct{ in any }{leakyError{fmt.Append(mark, m)}} },
		} {
			It(fmt.Sprintf("says nothing of them when a %s panics on its messages with %s", kind, what), func(ctx SpecContext) {
				for _, message := range messages {
					l := &leaking{kind: kind, message: message, value: value}
					r := spawnRelay(spawn, l.config, func(c *supervisor.Config) { c.Crashes = 100 })
					r.serve()
					l.left.Store(2)
					for l.left.Load() > 0 && ctx.Err() == nil {
						Expect(talks(ctx, r)).To(Or(Succeed(), MatchError(errCost)))
					}
					Expect(l.left.Load()).To(BeNumerically("<=", 0), message)
					Expect(r.inside.Stop(ctx)).To(Succeed())
				}
			}, SpecTimeout(2*patience))
		}
	}

	It("says nothing of them when messages reach nobody", func(ctx SpecContext) {
		l := &leaking{}
		r := spawnRelay(spawn, l.config)
		r.serve()
		Expect(talks(ctx, r)).To(Succeed())
		Expect(r.inside.Stop(ctx)).To(Succeed())
		l.mu.Lock()
		defer l.mu.Unlock()
		Expect(l.seen).To(HaveKey("actors.Introduce"))
		for name, message := range l.seen {
			h := &hasLogged{lines: map[logrus.Level][]string{}}
			log := logrus.New()
			log.SetOutput(logged.log())
			log.SetLevel(logrus.TraceLevel)
			log.AddHook(h)
			if toNobody(logrus.NewEntry(log), message) {
				Expect(h.lines[logrus.DebugLevel]).To(ContainElement(ContainSubstring(name)))
			}
		}
	}, SpecTimeout(patience))
})

func talks(ctx context.Context, r *relay) error {
	return conversation{relay: r, keys: []frames.Key{freshKey(2048), freshKey(2048)}, nobody: true}.happens(ctx)
}

// marked is a frame of a type there is no struct for, with a mark in it.
type marked frames.Type

func (m marked) Append(b []byte) []byte {
	return append(frames.AppendHeader(b, frames.Type(m), len(mark)), mark...)
}
func (m marked) Type() frames.Type { return frames.Type(m) }
