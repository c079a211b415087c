package model

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/mdeiml/blubbel-server/frames"
)

// history is everything that was said and heard in a world, by connection.
type history struct {
	exact bool // over pipes: what was written to a connection was heard there
	conns []*record
	bombs *bombs
}

// record is what was said and heard on one connection. The frame said first has the number 1.
type record struct {
	id, user int
	greeted  bool   // it said Hello
	presence bool   // and wants to know who of its peers is there
	opened   uint64 // when; see now
	closed   uint64 // 0 if it was open to the end, and everything written to it was heard
	how      string // it was closed
	abrupt   bool   // what the kernel still held for us is lost
	said     []said
	heard    []heard

	// Set as soon as LoginAccepted is heard.
	login *said  // what let the user in; nil if nothing did
	letIn uint64 // when
}

// proven reports whether the user was let in by a proof.
func (r *record) proven() bool { return r.login != nil && r.login.typ == frames.TypeProve }

// said is a frame from a user.
type said struct {
	at     uint64
	typ    frames.Type
	to     int // a user; -1 is nobody
	id     uint64
	size   int          // of the body
	want   frames.Code  // it has to be refused so; 0 if that depends
	must   bool         // it has to be delivered
	whole  bool         // all of it was written
	answer *heard       // the Error for it
	frame  frames.Frame // what is said; nil if that follows from the rest
}

// heard is a frame to a user.
type heard struct {
	at      uint64
	typ     frames.Type
	from    int // a user; -1 is nobody
	id      uint64
	garbled bool // the body is not what was said with that id
	code    frames.Code
	request frames.Type
	number  uint64
	online  bool   // of a Presence
	reason  string // of an EndSession that nobody said
}

// clock orders what happens in the whole process.
var clock atomic.Uint64

func now() uint64 { return clock.Add(1) }

// body is what is said with an id: the id, and bytes that follow from it.
func body(id uint64, size int) []byte {
	b := make([]byte, 8+size)
	binary.BigEndian.PutUint64(b, id)
	x := id*0x9e3779b97f4a7c15 | 1
	for i := 8; i < len(b); i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// idOf returns the id of a body, and whether it is that body.
func idOf(b []byte) (id uint64, garbled bool) {
	if len(b) < 8 {
		return 0, true
	}
	id = binary.BigEndian.Uint64(b)
	return id, string(body(id, len(b)-8)) != string(b)
}

// tell tells what happened on some connections, in order.
func (h *history) tell(conns ...*record) string {
	lines := slices.Clone(h.bombs.log)
	for _, c := range conns {
		add := func(at uint64, format string, a ...any) {
			lines = append(lines, crash{at, fmt.Sprintf("%s/%d ", name(c.user), c.id) + fmt.Sprintf(format, a...)})
		}
		add(c.opened, "connects")
		for i, s := range c.said {
			add(s.at, "says %v number %d to %s, id %d, %d B", s.typ, i+1, who(s.to), s.id, s.size)
		}
		for _, m := range c.heard {
			if m.typ == frames.TypeError {
				add(m.at, "hears Error %v for %v number %d", m.code, m.request, m.number)
				continue
			}
			add(m.at, "hears %v from %s, id %d%s", m.typ, who(m.from), m.id, m.more())
		}
		if c.closed != 0 {
			add(c.closed, "ends: %s", c.how)
		}
	}
	slices.SortFunc(lines, func(a, b crash) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "  %6d  %s\n", l.at, l.text)
	}
	return b.String()
}

// more tells what only some frames have.
func (m heard) more() string {
	switch {
	case m.typ == frames.TypePresence:
		return fmt.Sprintf(", online %v", m.online)
	case m.reason != "":
		return ", " + m.reason
	}
	return ""
}

func who(u int) string {
	if u < 0 {
		return "nobody"
	}
	return name(u)
}
