package admin

import (
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/store"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// Status is how a relay is. What is counted is counted since it began; whoever wants a rate asks twice.
type Status struct {
	About
	Now      time.Time `json:"now"`
	Stopping bool      `json:"stopping"`
	Frames   Frames    `json:"frames"`

	Connections []Connections     `json:"connections"`
	Spread      Spread            `json:"spread"`
	Accepted    uint64            `json:"accepted"` // connections
	TurnedAway  map[string]uint64 `json:"turned_away"`
	Closed      []Closed          `json:"closed"`
	Stuck       int               `json:"stuck"`  // connections whose clients do not keep up at the moment
	Window      int64             `json:"window"` // bytes that connections hold

	Users     map[string]int    `json:"users"`
	Sessions  int               `json:"sessions"`
	Logins    map[string]uint64 `json:"logins"`
	Refused   map[string]uint64 `json:"logins_refused"`
	Takeovers uint64            `json:"takeovers"`
	Pins      int               `json:"pins"`

	Crashes map[supervisor.Kind]uint64 `json:"crashes"`
	Queue   int                        `json:"queue"` // messages in mailboxes
}

// Frames are the StartSession, AcceptSession and Message that were taken, and what became of them.
type Frames struct {
	Taken     uint64            `json:"taken"`
	Delivered uint64            `json:"delivered"`
	Refused   map[string]uint64 `json:"refused"`
	InFlight  uint64            `json:"in_flight"`
	Mislaid   uint64            `json:"mislaid"`
	Bytes     uint64            `json:"bytes"`  // delivered
	Settle    []Settle          `json:"settle"` // how long it took, shortest first
}

// Settle is how many frames took so long until they were settled, and longer than those before.
type Settle struct {
	Most   float64 `json:"ms"` // at most; 0 for those that took longer than all others
	Frames uint64  `json:"frames"`
}

// Connections are those of one transport that are in one state.
type Connections struct {
	Transport string `json:"transport"`
	State     string `json:"state"`
	Count     int    `json:"count"`
}

// Spread is how the connections that come from an address spread over addresses, of which none is told.
type Spread struct {
	Connections int `json:"connections"`
	Addresses   int `json:"addresses"` // IPv4 addresses, and /64 networks of IPv6
	Most        int `json:"most"`      // connections of the address with most
	Private     int `json:"private"`   // connections from private networks, and from the relay's machine
}

// Closed is how many connections have ended for one reason.
type Closed struct {
	Reason string `json:"reason"`
	Code   string `json:"code,omitempty"`
	Count  uint64 `json:"count"`
}

// StatusOf returns how a relay is.
func StatusOf(relay *supervisor.Relay, about About) Status {
	s := relay.Stats()
	status := Status{
		About: about, Now: time.Now(), Stopping: s.Stopping, Frames: framesOf(&s),
		TurnedAway: s.TurnedAway, Spread: Spread(s.Spread), Stuck: s.Stuck, Window: s.Window,
		Users: s.Users, Sessions: s.Sessions, Logins: named(s.Counts.Logins), Refused: named(s.Counts.LoginsRefused),
		Takeovers: s.Counts.Takeovers, Pins: s.Pins, Crashes: s.Crashes, Queue: s.Queue,
	}
	for _, transport := range slices.Sorted(maps.Keys(s.Accepted)) {
		status.Accepted += s.Accepted[transport]
		for _, state := range actors.ConnectionStates {
			n := s.Connections[supervisor.Place{Transport: transport, State: state}]
			status.Connections = append(status.Connections, Connections{transport, state, n})
		}
	}
	for _, c := range s.Counts.Closed {
		status.Closed = append(status.Closed, Closed{c.Ending.String(), codeOf(c.Code), c.Count})
	}
	return status
}

func framesOf(s *supervisor.Stats) Frames {
	a, l := &s.Account, &s.Latencies
	refused := map[string]uint64{}
	for code, t := range a.Refused {
		refused[code.String()] = t.Frames
	}
	f := Frames{
		Taken: a.Taken.Frames, Delivered: a.Delivered.Frames, Refused: refused, InFlight: a.InFlight.Frames, Mislaid: a.DeadLetters,
		Bytes: a.Delivered.Bytes,
	}
	for i, n := range l.Counts {
		settle := Settle{Frames: n}
		if i < len(l.Bounds) {
			settle.Most = float64(l.Bounds[i]) / float64(time.Millisecond)
		}
		f.Settle = append(f.Settle, settle)
	}
	return f
}

func named[K interface {
	comparable
	String() string
}, V any](of map[K]V) map[string]V {
	list := make(map[string]V, len(of))
	for key, value := range of {
		list[key.String()] = value
	}
	return list
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) {
	answer(w, StatusOf(h.relay, h.About))
}

// usualChildren is how many children of an actor are shown if nobody says how many, mostChildren at most.
const (
	usualChildren = 50
	mostChildren  = 10_000
)

func (h *handler) tree(w http.ResponseWriter, r *http.Request) {
	children := usualChildren
	if text := r.FormValue("children"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > mostChildren {
			fail(w, http.StatusBadRequest, "children="+clip(text)+" is not a number from 0 to "+strconv.Itoa(mostChildren))
			return
		}
		children = n
	}
	top, alive := h.relay.Tree(children)
	if !alive {
		fail(w, http.StatusServiceUnavailable, "the relay has stopped")
		return
	}
	answer(w, top)
}

func (h *handler) unpin(w http.ResponseWriter, r *http.Request) {
	text := r.FormValue("fingerprint")
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != len(store.Fingerprint{}) {
		fail(w, http.StatusBadRequest, "fingerprint="+clip(text)+" is not a fingerprint: give 64 hexadecimal digits, as blubbel id prints them")
		return
	}
	was, err := h.relay.Config().Store.Unpin(store.Fingerprint(key))
	switch {
	case err != nil:
		fail(w, http.StatusInternalServerError, "the store failed: "+err.Error())
	case !was:
		fail(w, http.StatusNotFound, "this key is not pinned")
	default:
		answer(w, struct {
			Unpinned bool `json:"unpinned"`
		}{true})
	}
}
