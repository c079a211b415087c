package actors_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/actors"
)

// Nor in the log of a host's own actor system, which prints dead letters whole.
func TestMessagesPrintNoKeys(t *testing.T) {
	const key = "a key of somebody's"
	for _, m := range []any{actors.Introduce{To: key}, actors.Vacate{Key: key}, actors.Ended{Peer: key, To: key}, actors.LetGo{Peer: key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if s := fmt.Sprintf(verb, m); strings.Contains(s, key) {
				t.Errorf("%T as %s prints its key: %s", m, verb, s)
			}
		}
		var out bytes.Buffer
		system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		}))
		nobody := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
		if err := system.Root.StopFuture(nobody).Wait(); err != nil {
			t.Fatal(err)
		}
		system.Root.Send(nobody, m)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("on purpose", "message", m)
		if s := out.String(); strings.Contains(s, key) || !strings.Contains(s, "on purpose") {
			t.Errorf("%T puts its key into the log: %s", m, s)
		}
	}
}

// hostsError is no error of Go's, whatever its methods say.
type hostsError struct {
	error
	payload string
}

func (hostsError) RuntimeError()   {}
func (e hostsError) Error() string { return "on " + e.payload }

func TestOnlyGosErrorsAreToldInTheirWords(t *testing.T) {
	if s := actors.NewCrash(hostsError{errors.New(""), "canary"}).String(); strings.Contains(s, "canary") {
		t.Error(s)
	}
	for _, goes := range []func(){
		func() { _ = []int{}[len(t.Name())] },
		func() { _ = any(t.Name()).(int) },
		func() { map[string]map[string]int{}["none"][t.Name()] = 1 },
	} {
		func() {
			defer func() {
				v := recover()
				if s := actors.NewCrash(v).String(); s != v.(error).Error() {
					t.Errorf("%s, want %v", s, v)
				}
			}()
			goes()
		}()
	}
}
