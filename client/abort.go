package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/mdeiml/blubbel-server/client/e2e"
)

// aborted is the last record of a side that gives the session up: its body is a code (1), which says what it noticed.
type aborted struct {
	err   error
	taken uint64 // messages, until then: what the application does with the others is no affair of the peer's
	said  bool
	at    time.Time // when it was said
	tries int       // to say it again, if the relay refuses it
}

// again has it said again, if it is worth it.
func (a *aborted) again() {
	if a.tries > 0 {
		a.tries--
		a.said = false
	}
}

// noticed are the codes of Abort (docs/session.md, Giving up). 0 is everything else.
var noticed = [...]error{
	1: e2e.ErrForged,
	2: e2e.ErrReplayed,
	3: e2e.ErrReordered,
	4: e2e.ErrWithheld,
	5: ErrContradiction,
	6: e2e.ErrMalformed,
	7: ErrSilent,
	8: e2e.ErrExhausted,
	9: ErrGivenUp,
}

func (a *aborted) content() e2e.Content {
	code := 0
	for i, err := range noticed {
		if err != nil && errors.Is(a.err, err) {
			code = i
		}
	}
	return e2e.Content{Kind: e2e.Abort, Body: []byte{byte(code)}}
}

// parseAborted returns what the peer noticed.
func parseAborted(body []byte) error {
	if len(body) == 0 || int(body[0]) >= len(noticed) || noticed[body[0]] == nil {
		return &Noticed{Err: errors.New("it does not say why")}
	}
	return &Noticed{Err: fmt.Errorf("it says that of what it received: %w", noticed[body[0]])}
}
