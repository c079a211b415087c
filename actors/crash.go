package actors

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// Crash is the reason a supervisor gets for an actor's panic.
type Crash struct {
	Value       any
	Stack       []byte
	Quarantined bool // the message crashed the actor twice and was put aside
}

// NewCrash makes a Crash of what recover returned. It is to be called where that was.
func NewCrash(value any) *Crash {
	if crash, ok := value.(*Crash); ok { // of a goroutine, passed on by its actor
		return crash
	}
	return &Crash{Value: value, Stack: debug.Stack()}
}

// String tells what may be told: a runtime error or a mistake of the relay's own in its words, of anything else only the type,
// for its value may hold what belongs to clients.
func (c *Crash) String() string {
	switch v := c.Value.(type) {
	case runtime.Error:
		return v.Error()
	case bug:
		return string(v)
	}
	return fmt.Sprintf("panic with a value of type %T", c.Value)
}

// LogValue keeps the value out of Proto.Actor's own log.
func (c *Crash) LogValue() slog.Value { return slog.StringValue(c.String()) }

// bug is the value of a panic of ours: something that cannot be. It holds no data of clients, so it may be logged.
type bug string
