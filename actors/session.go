package actors

import "github.com/mdeiml/blubbel-server/frames"

// Pair is what one user's actor knows of its relation to one peer: any of the three facts below. The peer's actor has its
// own view, the mirror image but for frames under way. This file is the rule of docs/protocol.md, "A pair's states".
type Pair uint8

// The facts.
const (
	Asked   Pair = 1 << iota // our request is pending at the peer
	Invited                  // the peer's request is pending with us
	Open                     // a session is open
)

// Event is what a user does to a peer.
type Event uint8

// The events.
const (
	Start Event = iota
	Accept
	Message
	End
)

// EventOf returns the event that a frame of a type that goes from user to user is.
func EventOf(t frames.Type) Event {
	switch t { //nolint:exhaustive // the other types are not for a peer
	case frames.TypeStart:
		return Start
	case frames.TypeAccept:
		return Accept
	case frames.TypeMessage:
		return Message
	case frames.TypeEnd:
		return End
	}
	panic("actors: " + t.String() + " is not for a peer")
}

// Allowance is what a user may still do before a limit of its own.
type Allowance struct {
	Ask  bool // have one more request pending at a peer
	Open bool // have one more session, or a place reserved for one
}

// Say is the rule for what our own client does to the peer: the state it leads to, or why it is refused (a code other than
// 0; the state is p then). The peer's side decides as well, by Hear.
func (p Pair) Say(e Event, may Allowance) (Pair, frames.Code) { //nolint:gocognit // a table
	switch e {
	case Start:
		if p&Asked == 0 && !may.Ask || p&(Asked|Open) == 0 && !may.Open {
			return p, frames.Limit
		}
		return p | Asked, 0
	case Accept:
		if p&(Asked|Open) == 0 && !may.Open {
			return p, frames.Limit
		}
		if p&Invited == 0 {
			return p, frames.NoRequest
		}
		return Open, 0
	case Message:
		if p&Open == 0 {
			return p, frames.NoSession
		}
		return p, 0
	case End:
		return 0, 0
	}
	panic("actors: unknown event")
}

// Here is whether a user can be reached.
type Here struct {
	Connected bool // somebody is logged in with the key
	Room      bool // fewer requests of strangers are pending than allowed
}

// Hear is the rule for what the peer does to us: the state it leads to, or why the peer is refused. We are the authority
// on what reaches our client.
func (p Pair) Hear(e Event, we Here) (Pair, frames.Code) {
	if e == End {
		return 0, 0
	}
	if !we.Connected {
		return p, p.Away(e)
	}
	switch e {
	case Start:
		if p&(Invited|Open) == 0 && !we.Room {
			return p, frames.Unavailable
		}
		return p | Invited, 0
	case Accept:
		if p&(Asked|Open) == 0 { // open: our own Accept of a crossing request was first
			return p, frames.NoRequest
		}
		return Open, 0
	case Message:
		if p&Open == 0 {
			return p, frames.NoSession
		}
		return p, 0
	case End:
	}
	panic("actors: unknown event")
}

// Away is the refusal of a frame whose recipient is not connected, or left before it was written.
func (p Pair) Away(e Event) frames.Code {
	if e == Start && p&Open == 0 {
		return frames.Unavailable // to a stranger the one answer
	}
	return frames.Offline
}

// Left is what remains when either side's connection ended: a session, if both had proved who they are.
func (p Pair) Left(bothProven bool) Pair {
	if bothProven {
		return p & Open
	}
	return 0
}
