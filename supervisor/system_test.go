package supervisor_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// Proto.Actor logs the messages that reach nobody. What they hold must not be in our log.
func TestTheLogHoldsNoMessages(t *testing.T) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetLevel(logrus.TraceLevel)
	system := supervisor.NewSystem(logrus.NewEntry(log))
	nobody := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
	if err := system.Root.StopFuture(nobody).Wait(); err != nil {
		t.Fatal(err)
	}
	system.Root.Send(nobody, struct{ Secret string }{"canary-51"})
	system.Root.Send(nobody, "canary-52")
	text := out.String()
	if !strings.Contains(text, "DeadLetter") || !strings.Contains(text, "struct { Secret string }") {
		t.Errorf("the dead letter is not logged at all:\n%s", text)
	}
	if strings.Contains(text, "canary") {
		t.Errorf("the message is logged:\n%s", text)
	}
}
