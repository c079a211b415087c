package actors

import "github.com/mdeiml/blubbel-server/frames"

// phase is what a user's actor is in the middle of.
type phase uint8

const (
	vacant phase = iota
	online
	leaving
)

// String returns a word for it.
func (p phase) String() string { return UserStates[p] }

// UserStates are the words for the states of users. One that is vacant is about to be forgotten; one that is away keeps sessions.
var UserStates = []string{"vacant", "online", "leaving", away}

const away = "away"

// enter begins a phase.
func (u *user) enter(p phase) {
	u.phase = p
	u.seen.phase.Store(int32(p))
}

// vitals is what is seen of the actor from outside. Called on any goroutine.
func (u *user) vitals(v *Vitals) {
	v.Key, v.Sessions = frames.Key(u.name), int(u.seen.sessions.Load())
	switch p := phase(u.seen.phase.Load()); { //nolint:gosec // one of three
	case p == vacant && v.Sessions > 0:
		v.State = away
	default:
		v.State = p.String()
	}
}
