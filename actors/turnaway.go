package actors

import (
	"maps"
	"net"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
)

// What connections are told that are not let in.
const (
	full    = "the relay is full; try again later"
	banned  = "too many bad logins from your address; try again in some minutes"
	crowded = "too many connections from your address that are not logged in"
	early   = "too many connections are not logged in; try again"
)

// words are for what they are told, in metrics.
var words = map[string]string{full: "full", banned: "penalty", crowded: "address", early: "early"}

// count counts a connection that is not let in. With mu.
func (d *Door) count(text string) {
	d.turnedAway[text]++
	d.everTurned[words[text]]++
}

// TurnedAway returns how many connections were not let in, by a word for why: the relay was full, the address had a penalty or too many connections, or it was
// the early refusal.
func (d *Door) TurnedAway() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := maps.Clone(d.everTurned)
	for _, word := range words {
		all[word] += 0 // so that whoever counts sees the first, too
	}
	return all
}

// toTell returns how many were turned away, and why, if the operator is to be told of it now. It is asked for those who are let in
// as well, lest the last of a flood are never told of.
func (d *Door) toTell() (why map[string]int) {
	if len(d.turnedAway) > 0 {
		d.said.Do(func() { why, d.turnedAway = d.turnedAway, map[string]int{} })
	}
	return why
}

// tell tells the operator, without the lock: hooks of the host's may take long. With no address: those are for who debugs.
func (d *Door) tell(turnedAway map[string]int) {
	defer func() { _ = recover() }() // of such a hook
	for why, n := range turnedAway {
		d.log.WithFields(logrus.Fields{"why": why, "connections": n}).Warn("turned away at the door")
	}
}

// TurnAway tells a connection that was not let in why, but for one over TLS or WebSocket, and closes it. It does not wait; those who want to
// wait for the end of it have it counted among others.
func (d *Door) TurnAway(conn net.Conn, text string, among *sync.WaitGroup) {
	conn = bare(conn)
	if _, ok := conn.(layered); ok { // a word would cost what a handshake does, which is what floods are after
		closeAnyway(conn)
		return
	}
	word := frames.Error{Code: frames.Limit, Text: text}.Append(nil)
	if d.lingering.Add(1) > mostLingering {
		d.lingering.Add(-1)
		if socket := newDescriptor(conn); socket != nil {
			_, _ = socket.write([][]byte{word})
		}
		closeAnyway(conn)
		return
	}
	among.Go(func() { // ends within the time to linger
		defer d.lingering.Add(-1)
		defer closeAnyway(conn)
		defer func() { _ = recover() }() // of a connection of the host's
		takeLeave(conn, word, func() int64 { return 0 })
	})
}

// mostLingering is how many connections that were not let in are given the time to read why. They are not counted among those
// that are, but are files of the process, too.
const mostLingering = 32
