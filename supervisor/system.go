package supervisor

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"
)

// NewSystem returns an actor system for programs that have none. What Proto.Actor logs goes to log, a level lower than
// it says (its Info is for its developers), and without the messages, which it prints whole by itself.
func NewSystem(log *logrus.Entry) *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(&slogHandler{log})
	}))
}

// slogHandler passes records to logrus. Of values that are not plain it tells only the type.
type slogHandler struct{ log *logrus.Entry }

func level(l slog.Level) logrus.Level {
	switch {
	case l >= slog.LevelError:
		return logrus.ErrorLevel
	case l >= slog.LevelWarn:
		return logrus.WarnLevel
	case l >= slog.LevelInfo:
		return logrus.DebugLevel
	}
	return logrus.TraceLevel
}

// Enabled implements slog.Handler.
func (h *slogHandler) Enabled(_ context.Context, l slog.Level) bool {
	return h.log.Logger.IsLevelEnabled(level(l))
}

// Handle implements slog.Handler.
func (h *slogHandler) Handle(_ context.Context, r slog.Record) error {
	fields := logrus.Fields{}
	r.Attrs(func(a slog.Attr) bool {
		fields[a.Key] = plain(a)
		return true
	})
	h.log.WithFields(fields).Log(level(r.Level), r.Message)
	return nil
}

// WithAttrs implements slog.Handler.
func (h *slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := logrus.Fields{}
	for _, a := range attrs {
		fields[a.Key] = plain(a)
	}
	return &slogHandler{h.log.WithFields(fields)}
}

// WithGroup implements slog.Handler. Proto.Actor has no groups.
func (h *slogHandler) WithGroup(string) slog.Handler { return h }

func plain(a slog.Attr) any {
	v := a.Value.Resolve()
	switch {
	case a.Value.Kind() == slog.KindLogValuer: // it knows what may be told
	case a.Key == "message" || a.Key == "reason" || v.Kind() == slog.KindGroup:
		return fmt.Sprintf("(%T)", v.Any())
	case v.Kind() == slog.KindAny:
		if pid, ok := v.Any().(*actor.PID); ok && pid != nil {
			return pid.Id
		}
		return fmt.Sprintf("(%T)", v.Any())
	}
	return v.Any()
}
