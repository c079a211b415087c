package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// connectionState is what a ConnectionActor is in the middle of.
type connectionState int32

const (
	isAnonymous connectionState = iota
	isProving
	isJoining
	isOnline
)

// ConnectionStates are the words for the states of connections, in the order of their lives.
var ConnectionStates = []string{"anonymous", "proving", "joining", "online"}

// String returns a word for it.
func (s connectionState) String() string {
	return ConnectionStates[s]
}

// become begins a state.
func (c *ConnectionActor) become(s connectionState) {
	c.state = [...]actor.ReceiveFunc{c.anonymous, c.proving, c.joining, c.online}[s]
	c.seen.state.Store(int32(s))
}

// vitals is what is seen of the actor from outside. Called on any goroutine.
func (c *ConnectionActor) vitals(v *Vitals) {
	v.Transport, v.Stuck = c.transport, c.out.stuck.Load()
	v.State = connectionState(c.seen.state.Load()).String()
	if r := c.seen.reader.Load(); r != nil {
		v.Window = r.window.used.Load()
		if login := r.login.Load(); login != nil {
			v.Key = frames.Key(login.Name)
		}
	}
}
