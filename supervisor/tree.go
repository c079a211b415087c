package supervisor

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/mdeiml/blubbel-server/actors"
)

// Node is an actor of the relay, as it is seen from outside at one moment.
type Node struct {
	Name    string    `json:"name"` // the last part of its PID's id
	Kind    Kind      `json:"kind"`
	State   string    `json:"state"`
	Crashes int       `json:"crashes"` // since it was spawned
	Queue   int       `json:"queue"`   // messages that wait in its mailbox
	Since   time.Time `json:"since"`

	// User is what the log calls the key of a user, or of who is logged in on a connection; empty if nobody is.
	User      string `json:"user,omitempty"`
	Transport string `json:"transport,omitempty"` // of a connection
	Window    int64  `json:"window,omitempty"`    // bytes of the relay's memory that a connection holds
	Stuck     bool   `json:"stuck,omitempty"`     // a connection's client does not keep up at the moment
	Sessions  int    `json:"sessions,omitempty"`  // of a user

	Children []Node `json:"children,omitempty"` // those with most to do first
	More     int    `json:"more,omitempty"`     // children that are left out
}

// Tree returns the actors of the relay that live, with at most so many children of each. It looks at them all, and disturbs none. False if there is none.
func (r *Relay) Tree(children int) (top Node, alive bool) {
	if r.shared == nil {
		return Node{}, false
	}
	nodes := map[Kind][]actors.Vitals{}
	for _, v := range r.shared.Census() {
		kind := r.kind(v.Actor)
		nodes[kind] = append(nodes[kind], v)
	}
	if len(nodes[KindRelay]) == 0 {
		return Node{}, false
	}
	node := func(kind Kind, v actors.Vitals) Node {
		n := Node{
			Name: v.Actor[strings.LastIndexByte(v.Actor, '/')+1:], Kind: kind, State: v.State, Crashes: v.Crashes, Queue: v.Queue, Since: v.Since,
			Transport: v.Transport, Window: v.Window, Stuck: v.Stuck, Sessions: v.Sessions,
		}
		if v.Key != nil {
			n.User = r.shared.Alias(v.Key)
		}
		return n
	}
	top = node(KindRelay, nodes[KindRelay][0])
	for kind, below := range map[Kind]Kind{KindRegistry: KindUser, KindConnections: KindConnection} {
		for _, v := range nodes[kind] {
			n := node(kind, v)
			list := nodes[below]
			slices.SortStableFunc(list, busiest)
			n.More = max(len(list)-children, 0)
			for _, v := range list[:len(list)-n.More] {
				n.Children = append(n.Children, node(below, v))
			}
			top.Children = append(top.Children, n)
		}
	}
	slices.SortFunc(top.Children, func(a, b Node) int { return -cmp.Compare(a.Kind, b.Kind) })
	return top, true
}

// busiest puts first whose client does not keep up, then who has more to do, then who has crashed more often.
func busiest(a, b actors.Vitals) int {
	if a.Stuck && !b.Stuck {
		return -1
	}
	if b.Stuck && !a.Stuck {
		return 1
	}
	return -cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Window, b.Window), cmp.Compare(a.Crashes, b.Crashes), cmp.Compare(a.Sessions, b.Sessions))
}
