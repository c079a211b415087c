package specs_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// watcher is told, where an actor ends, that it has ended: before anybody else is.
type watcher struct{ ended func() }

func (watcher) SendUserMessage(*actor.PID, any) {}
func (w watcher) SendSystemMessage(_ *actor.PID, message any) {
	if _, ok := message.(*actor.Terminated); ok {
		w.ended()
	}
}
func (watcher) Stop(*actor.PID) {}

// whenEnded has something done where an actor ends. It returns how to send to the actor even then.
func whenEnded(system *actor.ActorSystem, pid *actor.PID, do func(actor.Process)) {
	process, _ := system.ProcessRegistry.Get(pid)
	w, _ := system.ProcessRegistry.Add(watcher{func() { do(process) }}, "watcher")
	process.SendSystemMessage(pid, &actor.Watch{Watcher: w})
}

// below spawns a relay below a context of the host's.
func below(parent actor.SpawnerContext, name string, change ...func(*supervisor.Config)) (*relay, *actor.PID) {
	GinkgoHelper()
	var pid *actor.PID
	r := spawnRelay(func(inside *supervisor.Relay, _ *logrus.Entry) {
		var err error
		pid, err = inside.Spawn(parent, name)
		Expect(err).NotTo(HaveOccurred())
	}, change...)
	return r, pid
}

// comesAndGoes has clients of the relay go while others write to them, so that there are dead letters.
func (r *relay) comesAndGoes(ctx SpecContext) {
	GinkgoHelper()
	for range 20 {
		alice, bob := r.session(ctx)
		flood := alice.floods(bob)
		bob.hears(ctx)
		bob.dies()
		Expect(alice.conn.Close()).To(Succeed())
		Eventually(ctx, flood).Should(BeClosed())
	}
}

var _ = Describe("A relay in an actor system", func() {
	var system *actor.ActorSystem
	BeforeEach(func() {
		needsInside("the relay is part of a program")
		system = supervisor.NewSystem(silent())
	})

	It("ends once, though it is restarted and stopped when it has ended", func(ctx SpecContext) {
		r, pid := below(system.Root, "relay")
		whenEnded(system, pid, func(it actor.Process) {
			for range 2 {
				it.SendSystemMessage(pid, &actor.Restart{})
				it.SendSystemMessage(pid, &actor.Stop{})
			}
		})
		system.Root.Stop(pid)
		Eventually(ctx, r.inside.Done()).Should(BeClosed())
		again, _ := below(system.Root, "relay") // a goroutine that ended it twice would have ended the process
		again.serve()
		again.session(ctx)
	}, SpecTimeout(patience))

	It("ends, though its name is taken as soon as that can be", func(ctx SpecContext) {
		first, pid := below(system.Root, "relay")
		second := newRelay()
		whenEnded(system, pid, func(actor.Process) { _, _ = second.Spawn(system.Root, "relay") })
		system.Root.Stop(pid)
		Eventually(ctx, first.inside.Done()).Should(BeClosed())
		Expect(second.Stop(ctx)).To(Succeed())
		Eventually(ctx, second.Done()).Should(BeClosed())
	}, SpecTimeout(patience))

	It("keeps to its own, whatever the others are called", func(ctx SpecContext) {
		b := newHold(supervisor.KindUser, "Hear")
		b.letBy.Store(2) // the request and the acceptance
		below(system.Root, "relay")
		r, _ := below(system.Root, "relay/second", b.config)
		r.serve()
		alice, bob := r.session(ctx)
		bob.hearsNothing(ctx) // whoever reads from Bob is not held back in the following
		alice.says(frames.Message{Peer: bob.key}, frames.Message{Peer: bob.key})
		Eventually(ctx, b.held).Should(Receive())
		bob.dies()
		Eventually(ctx, func() int { return actorsOf(system, "relay/second/connections") }).Should(Equal(2)) // Connections, and Alice's
		b.opens()                                                                                            // what it passes on is to an actor that is gone
		for n := alice.said - 1; n <= alice.said; n++ {
			Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, n, frames.Offline))
		}
		alice.hearsNothing(ctx)
	}, SpecTimeout(patience))

	It("settles everything below a guardian of the host's, too", func(ctx SpecContext) {
		strategy := actor.NewOneForOneStrategy(10, time.Second, func(any) actor.Directive { return actor.RestartDirective })
		r, _ := below(system.Root.Copy().WithGuardian(strategy), "relay")
		r.serve()
		r.comesAndGoes(ctx)
	}, SpecTimeout(2*patience))

	It("leaves another of its name alone when it is stopped, with one of its connections still closing", func(ctx SpecContext) {
		first, pid := below(system.Root, "relay")
		slow := &lingers{goOn: make(chan struct{})}
		DeferCleanup(slow.end)
		first.servePipes(func(ln net.Listener) net.Listener {
			return wrapped{ln, func(conn net.Conn) net.Conn { return lingering{conn, slow} }}
		})
		alice := first.login(ctx)
		Expect(system.Root.StopFuture(pid).Wait()).To(Succeed())
		alice.isLetGo(ctx)
		second, _ := below(system.Root, "relay")
		second.serve()
		returned := make(chan error, 1)
		go func() { returned <- first.inside.Stop(over()) }()
		second.session(ctx)
		Consistently(ctx, second.inside.Done()).WithTimeout(50 * time.Millisecond).ShouldNot(BeClosed())
		slow.end()
		Eventually(ctx, returned).Should(Receive())
		second.session(ctx)
	}, SpecTimeout(patience))

	for what, kind := range map[string]supervisor.Kind{"the Registry's": supervisor.KindRegistry, "Connections'": supervisor.KindConnections} {
		It("can be stopped though the host panics when it is asked for "+what+" Props", func(ctx SpecContext) {
			r, _ := below(system.Root, "relay", func(c *supervisor.Config) {
				c.Props = func(of supervisor.Kind, props *actor.Props) *actor.Props {
					if of == kind {
						panic(canary)
					}
					return props
				}
			})
			Eventually(ctx, r.stops(context.Background())).Should(Receive(BeNil()))
		}, SpecTimeout(patience))
	}

	It("can be stopped though what the host does first in a connection panics", func(ctx SpecContext) {
		var panicked atomic.Bool
		r, _ := below(system.Root, "relay", func(c *supervisor.Config) {
			c.Props = func(of supervisor.Kind, props *actor.Props) *actor.Props {
				if of != supervisor.KindConnection {
					return props
				}
				return props.Clone(actor.WithOnInit(func(actor.Context) {
					if panicked.CompareAndSwap(false, true) {
						panic(canary)
					}
				}))
			}
		})
		r.serve()
		r.login(ctx)
		Eventually(ctx, r.stops(context.Background())).Should(Receive(BeNil()))
	}, SpecTimeout(patience))
})

// actorsOf counts the actors whose ids begin so.
func actorsOf(system *actor.ActorSystem, prefix string) (n int) {
	for _, bucket := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		for _, id := range bucket.Keys() {
			if strings.HasPrefix(id, prefix) {
				n++
			}
		}
	}
	return n
}

// lingering is a connection whose reader does not hear of its end until goOn is closed.
type lingering struct {
	net.Conn
	*lingers
}

type lingers struct {
	goOn chan struct{}
	once sync.Once
}

func (l *lingers) end() { l.once.Do(func() { close(l.goOn) }) }

func (c lingering) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		<-c.goOn
	}
	return n, err
}
