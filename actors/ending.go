package actors

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// Ending is why a connection ended.
type Ending uint8

// The reasons.
const (
	EndingUnknown  Ending = iota
	EndingClient          // it closed
	EndingNetwork         // reading or writing failed
	EndingEarly           // before a frame: TLS, or what else there is before the first, did not come about
	EndingRefused         // for what it sent, or did not send in time; the code says which
	EndingLogin           // its login was refused, and so was the connection; the code says why
	EndingSlow            // it took nothing for too long
	EndingReplaced        // another connection has proved that the key is its client's
	EndingBarred          // the key is not allowed any more
	EndingCrash           // of an actor
	EndingStop            // of the relay

	endingCount
)

// String returns a word for it.
func (e Ending) String() string {
	return [endingCount]string{
		"unknown", "client", "network", "early", "refused", "login", "slow", "replaced", "barred", "crash", "stop",
	}[e]
}

// ConnectionClosed is published when a connection has ended.
type ConnectionClosed struct {
	Connection *actor.PID
	Transport  string
	Ending     Ending
	Code       frames.Code // what the client was told, if it was told something
	User       frames.Key  // who was logged in; nil if nobody was
	Lasted     time.Duration
}

// endingCounts are how many connections have ended for which reason, and with which code, which is 0 for none.
type endingCounts [endingCount][frames.LastCode + 1]atomic.Uint64

// Closed is how many connections have ended for one reason.
type Closed struct {
	Ending Ending
	Code   frames.Code
	Count  uint64
}

func (c *endingCounts) read() (list []Closed) {
	for ending := range c {
		for code := range c[ending] {
			if n := c[ending][code].Load(); n > 0 {
				list = append(list, Closed{Ending(ending), frames.Code(code), n})
			}
		}
	}
	return list
}

func (c *ConnectionActor) leaveFor(ctx actor.Context, why Ending) {
	c.ends(why, 0)
	c.leave(ctx)
}

// ends takes note of why the connection ends, and what the client is told. The first reason counts.
func (c *ConnectionActor) ends(why Ending, told frames.Code) {
	if c.ending == EndingUnknown {
		c.ending, c.told = why, told
	}
}

// endingOf is why a connection ends that is told to close with a code.
func endingOf(code frames.Code) Ending {
	switch code { //nolint:exhaustive // nobody is told to close with another
	case frames.ShuttingDown:
		return EndingStop
	case frames.NotAllowed:
		return EndingBarred
	}
	return EndingCrash
}

// published tells that the connection has ended. It is called once, in the end.
func (c *ConnectionActor) published(ctx actor.Context) {
	event := ConnectionClosed{Connection: nameOf(ctx.Self()), Transport: c.transport, Ending: c.ending, Code: c.told, Lasted: time.Since(c.mail.since)}
	if r := c.reader; r != nil && r.login.Load() != nil {
		event.User = frames.Key(r.login.Load().Name)
	}
	c.shared.counts.endings[event.Ending][event.Code].Add(1)
	c.shared.Publish(event)
}

// endingBy is why a client is not read any more, by the error of reading; without one, because the relay does not want to.
func endingBy(err error) Ending {
	switch {
	case err == nil:
		return EndingStop
	case errors.Is(err, io.EOF):
		return EndingClient
	}
	return EndingNetwork
}

// nameOf returns a PID for who remembers it: one that has been sent to holds on to its actor, with all it has.
func nameOf(who *actor.PID) *actor.PID { return actor.NewPID(who.Address, who.Id) }
