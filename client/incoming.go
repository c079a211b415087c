package client

import (
	"fmt"

	"github.com/mdeiml/blubbel-server/client/e2e"
)

// furthest is how far ahead of what was taken a message may be numbered: the window, and room for what is not a text.
const furthest = 2 * window

// incoming is what one side has heard: messages in the order of their numbers.
type incoming struct {
	received uint64                 // records
	taken    uint64                 // messages that the application has taken
	complete uint64                 // up to this number every message is here
	ahead    map[uint64]e2e.Content // came before others that were refused and will come again
	ready    []e2e.Content          // in order, for the application
}

// hear takes a record's message, and returns those that are in order now, oldest first.
func (i *incoming) hear(c e2e.Content) (inOrder []e2e.Content, err error) {
	_, here := i.ahead[c.Number]
	switch {
	case c.Number <= i.complete || here:
		return nil, ErrContradiction // the sender makes a fresh record only of what was refused
	case c.Number > i.taken+furthest:
		return nil, fmt.Errorf("%w: message %d is too far ahead", e2e.ErrMalformed, c.Number)
	}
	if i.ahead == nil {
		i.ahead = make(map[uint64]e2e.Content)
	}
	i.ahead[c.Number] = c
	for {
		c, ok := i.ahead[i.complete+1]
		if !ok {
			return inOrder, nil
		}
		delete(i.ahead, c.Number)
		i.complete++
		i.ready = append(i.ready, c)
		inOrder = append(inOrder, c)
	}
}

// first returns what the application should see next, a Text or an End, and passes over what is not for it.
func (i *incoming) first() (c e2e.Content, ok bool) {
	for len(i.ready) > 0 {
		c := i.ready[0]
		if c.Kind == e2e.Text || c.Kind == e2e.End {
			return c, true
		}
		i.take()
	}
	return e2e.Content{}, false
}

// take says that the application has the first.
func (i *incoming) take() {
	i.ready = i.ready[1:]
	i.taken++
}
