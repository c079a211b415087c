package actors

import (
	"math/rand/v2"

	"github.com/mdeiml/blubbel-server/frames"
)

// restarting tells a client when to come back: not all at once.
func restarting() frames.Restarting {
	return frames.Restarting{
		ReconnectIn:   jitter(reconnectFrom, reconnectTo),
		KeepTryingFor: jitter(tryFrom, tryTo),
	}
}

// When a client should connect again after a restart, and for how long it should try, in milliseconds.
const (
	reconnectFrom, reconnectTo = 1_000, 5_000
	tryFrom, tryTo             = 60_000, 90_000
)

func jitter(from, to uint32) uint32 { return from + rand.Uint32N(to-from+1) } //nolint:gosec // nobody gains by guessing it
