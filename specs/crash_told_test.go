package specs_test

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// leaky is a panic value that says too much.
type leaky []byte

func (l leaky) String() string { return "panic on " + string(l) }

// leakyError is one that is an error.
type leakyError struct{ payload []byte }

func (l leakyError) Error() string { return fmt.Sprintf("panic on %q", l.payload) }

// leakyText formats itself, however it is printed.
type leakyText struct{ payload []byte }

func (l leakyText) Format(s fmt.State, _ rune) { _, _ = s.Write(l.payload) }

func (l leakyText) MarshalText() ([]byte, error) { return l.payload, nil }

var _ = Describe("Telling of a crash", func() {
	for _, c := range []struct {
		who         string
		at          spot
		times       int32
		done        []string
		quarantined []bool
	}{
		{
			"a user's actor", bobsHear, 3,
			[]string{"restarted", "restarted", "restarted, and its connection closed"},
			[]bool{false, true, false},
		},
		{
			"the Registry",
			spot{kind: supervisor.KindRegistry, message: "Introduce"},
			2,
			[]string{"resumed", "resumed"},
			[]bool{false, true},
		},
		{
			"Connections",
			spot{kind: supervisor.KindConnections, message: "Welcome"},
			2,
			[]string{"resumed", "resumed"},
			[]bool{false, true},
		},
		{
			"a connection",
			spot{kind: supervisor.KindConnection, message: "Deliver", number: 2},
			1,
			[]string{"closed"},
			[]bool{false},
		},
	} {
		It("says of "+c.who+" what was done, and whether the message was put aside", func(ctx SpecContext) {
			b := &bomb{spot: c.at}
			r := startRelayWith(b, func(c *supervisor.Config) { c.Crashes = 2 })
			alice, bob := r.session(ctx)
			b.arm(c.times)
			r.connect()
			alice.says(message(bob, canary), frames.StartSession{Peer: freshKey(2048)}, message(bob, canary))
			Eventually(ctx, b.told.crashes).Should(HaveLen(int(c.times)))
			for i, crash := range b.told.crashes() {
				Expect(crash.Actor.Id).To(HavePrefix("relay/"))
				Expect(crash.Why).To(Equal("panic with a value of type string"))
				Expect(string(crash.Stack)).To(ContainSubstring("bomb_test.go"))
				Expect(crash.Done).To(Equal(c.done[i]))
				Expect(crash.Quarantined).To(Equal(c.quarantined[i]))
			}
		}, SpecTimeout(patience))
	}

	for what, value := range map[string]func(payload []byte) any{
		"the payload":                    func(p []byte) any { return p },
		"a text":                         func(p []byte) any { return string(p) },
		"an error that quotes it":        func(p []byte) any { return leakyError{p} },
		"an error around such an error":  func(p []byte) any { return fmt.Errorf("relaying: %w", leakyError{p}) },
		"errors of which one quotes it":  func(p []byte) any { return errors.Join(io.EOF, leakyError{p}) },
		"a value that prints as it":      func(p []byte) any { return leaky(p) },
		"a pointer to such a value":      func(p []byte) any { return (*leaky)(&p) },
		"a value that formats itself":    func(p []byte) any { return leakyText{p} },
		"a structure that it is deep in": func(p []byte) any { return struct{ inside []any }{[]any{leaky(p)}} },
	} {
		When("the panic's value is "+what, func() {
			It("says only its type, in the log and on the event stream, and nothing of payloads and keys", func(ctx SpecContext) {
				b := &bomb{spot: bobsHear, value: value([]byte(canary))}
				r := startRelayWith(b)
				alice, bob := r.session(ctx)
				b.arm(2)
				alice.says(message(bob, canary))
				alice.isRefused(ctx, frames.TypeMessage, frames.Internal)
				Eventually(ctx, b.told.crashes).Should(HaveLen(2))
				Expect(b.told.crashes()).To(HaveEach(HaveField("Why", fmt.Sprintf("panic with a value of type %T", b.value))))
				for _, secret := range [][]byte{[]byte(canary), alice.key[100:130], bob.key[100:130]} {
					b.told.keeps(secret)
				}
			}, SpecTimeout(patience))
		})
	}

	for kind, message := range map[supervisor.Kind]string{
		supervisor.KindUser: "Join", supervisor.KindRegistry: "Join", supervisor.KindConnections: "Welcome", supervisor.KindConnection: "Joined",
	} {
		When("who listens to it panics", func() {
			It("is done all the same what is to be done: "+string(kind), func(ctx SpecContext) {
				b := &bomb{spot: spot{kind: kind, message: message}, heard: func(event any) {
					if _, ok := event.(supervisor.Crashed); ok {
						panic(canary)
					}
				}}
				r := startRelayWith(b)
				b.arm(1)
				r.insists(ctx, &client{key: freshKey(2048)})
			}, SpecTimeout(patience))
		})

		When("a hook of the log panics on it", func() {
			It("is done all the same what is to be done, only that the log does not say so: "+string(kind), func(ctx SpecContext) {
				b, hook := &bomb{spot: spot{kind: kind, message: message}}, &panicking{}
				r := startRelayWith(b, func(c *supervisor.Config) { c.Log.Logger.AddHook(hook) })
				b.told.silent = true
				b.arm(1)
				r.insists(ctx, &client{key: freshKey(2048)}).dies()
				Expect(r.inside.Stop(ctx)).To(Succeed())
				Expect(hook.times.Load()).To(BeEquivalentTo(1), "no other actor crashes for it")
			}, SpecTimeout(patience))
		})
	}

	It("says what a mistake of the relay's own is: a runtime error in its words", func(ctx SpecContext) {
		b := &bomb{spot: bobsHear, first: outOfRange}
		r := startRelayWith(b)
		alice, bob := r.session(ctx)
		b.arm(1)
		alice.says(message(bob, "hello"))
		Expect(bob.hears(ctx)).To(Equal(message(alice, "hello")))
		Eventually(ctx, b.told.crashes).Should(HaveExactElements(HaveField("Why", HavePrefix("runtime error: index out of range"))))
	}, SpecTimeout(patience))
})

// panicking is a hook that does not bear crashes.
type panicking struct{ times atomic.Int32 }

func (*panicking) Levels() []logrus.Level { return logrus.AllLevels }

func (p *panicking) Fire(line *logrus.Entry) error {
	if line.Message == "an actor crashed" {
		p.times.Add(1)
		panic(canary)
	}
	return nil
}
