package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
)

// news tells what becomes of the connection, and of friends.
type news struct {
	streams
	mu   sync.Mutex
	lost bool            // the connection, and that was told
	away map[string]bool // friends, by key, of whom that was told
}

func newNews(s streams) *news { return &news{streams: s, away: make(map[string]bool)} }

// tell tells of an event that is for the user alone. known says which name a friend has.
func (n *news) tell(event client.Event, known func(key frames.Key) (name string, ok bool)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e := event.(type) {
	case client.Trouble:
		n.say("%s", trouble(e))
	case client.Presence:
		if name, ok := known(e.Peer); ok {
			n.present(name, string(e.Peer), e.Online)
		}
	case client.Restarting:
		n.say("the relay restarts; it should be back in %v", e.In.Round(time.Second))
	case client.Reconnecting:
		if !n.lost {
			n.lost = true
			n.say("%s; connecting again", lossOf(e.Err))
		}
	case client.Reconnected:
		n.lost = false
		n.say("connected again")
	}
}

// present tells who has come and gone. Whoever is in a session was there, until the relay says otherwise.
func (n *news) present(name, key string, online bool) {
	if n.away[key] != online {
		return // nothing new
	}
	n.away[key] = !online
	if online {
		n.say("%s is online again", name)
		return
	}
	n.say("%s is away; what you say waits", name)
}

// lossOf says how a connection ended that is to be made again.
func lossOf(err error) string {
	if client.IsRefused(err, frames.ShuttingDown) {
		return "the relay is shutting down"
	}
	return fmt.Sprintf("lost the relay (%v)", err)
}

// trouble says what was wrong outside of a session.
func trouble(t client.Trouble) string {
	from := "the relay"
	if t.Peer != nil {
		from = t.Peer.Hex()
	}
	return fmt.Sprintf("ignored something from %s: %v", from, t.Err)
}
