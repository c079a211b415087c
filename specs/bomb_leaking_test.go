package specs_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// leaking has actors of a kind panic at so many messages of a kind, with what value makes of them. What it has seen is kept.
type leaking struct {
	kind    supervisor.Kind
	message string // its type's name
	value   func(message any) any
	left    atomic.Int32

	mu   sync.Mutex
	seen map[string]any // a message of each type
}

func (l *leaking) config(c *supervisor.Config) {
	l.seen = map[string]any{}
	c.Props = func(kind supervisor.Kind, props *actor.Props) *actor.Props {
		return props.Clone(actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
			return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
				name := fmt.Sprintf("%T", envelope.Message)
				l.mu.Lock()
				l.seen[name] = envelope.Message
				l.mu.Unlock()
				if kind == l.kind && strings.HasSuffix(name, "."+l.message) && l.left.Add(-1) >= 0 {
					panic(l.value(envelope.Message))
				}
				next(ctx, envelope)
			}
		}))
	}
}

// toNobody sends a message to an actor that has stopped, in a system of its own, and reports whether that is one to log.
func toNobody(log *logrus.Entry, message any) bool {
	GinkgoHelper()
	system := supervisor.NewSystem(log)
	nobody := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
	Expect(system.Root.StopFuture(nobody).Wait()).To(Succeed())
	system.Root.Send(nobody, message)
	_, quiet := message.(actor.IgnoreDeadLetterLogging)
	_, own := message.(actor.SystemMessage)
	return !quiet && !own
}
