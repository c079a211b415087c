package admin

import (
	"net/http"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// Recent are the last connections that have ended, and the last crashes, the last one first; at most 100 of each.
type Recent struct {
	Closes  []Close `json:"closes"`
	Crashes []Crash `json:"crashes"`
}

// Close is a connection that has ended.
type Close struct {
	At         time.Time `json:"at"`
	Connection string    `json:"connection"`
	Transport  string    `json:"transport"`
	Reason     string    `json:"reason"`
	Code       string    `json:"code,omitempty"` // what the client was told
	LoggedIn   bool      `json:"logged_in"`      // somebody was
	Lasted     float64   `json:"lasted"`         // in seconds
}

// Crash is a crash of an actor.
type Crash struct {
	At          time.Time       `json:"at"`
	Actor       string          `json:"actor"`
	Kind        supervisor.Kind `json:"kind"`
	Why         string          `json:"why"`
	Done        string          `json:"done"`
	Quarantined bool            `json:"quarantined"` // a message crashed it twice, and was put aside
	Stack       string          `json:"stack"`
}

func (h *handler) recent(w http.ResponseWriter, _ *http.Request) {
	recent := Recent{Closes: []Close{}, Crashes: []Crash{}}
	for _, c := range h.relay.RecentCloses() {
		e := c.Event
		recent.Closes = append(recent.Closes, Close{
			At: c.At, Connection: e.Connection.Id, Transport: e.Transport, Reason: e.Ending.String(), Code: codeOf(e.Code),
			LoggedIn: e.User != nil, Lasted: e.Lasted.Seconds(),
		})
	}
	for _, c := range h.relay.RecentCrashes() {
		e := c.Event
		recent.Crashes = append(recent.Crashes, Crash{c.At, e.Actor.Id, e.Kind, e.Why, e.Done, e.Quarantined, string(e.Stack)})
	}
	answer(w, recent)
}

// codeOf is a code's name; empty for none.
func codeOf(c frames.Code) string {
	if c == 0 {
		return ""
	}
	return c.String()
}
