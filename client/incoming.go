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

// has says exactly which messages are here.
func (i *incoming) has() (complete, ahead uint64) {
	for number := range i.ahead {
		ahead |= 1 << (number - i.complete - 1) // none is further than that, see furthest
	}
	return i.complete, ahead
}

// first returns what the application should see next, a Text or an End.
func (i *incoming) first() (c e2e.Content, ok bool) {
	if len(i.ready) == 0 {
		return e2e.Content{}, false
	}
	return i.ready[0], true
}

// pass takes what stands first and is not for the application.
func (i *incoming) pass() {
	for len(i.ready) > 0 && i.ready[0].Kind != e2e.Text && i.ready[0].Kind != e2e.End {
		i.take()
	}
}

// take says that the application has the first.
func (i *incoming) take() {
	i.ready = i.ready[1:]
	i.taken++
}
