package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// account says what became of Messages, from the first to the last, warm-up included. Each was delivered, refused, cut off
// or lost: the four add up to what was sent.
type account struct {
	Sent      uint64            `json:"sent"`
	Delivered uint64            `json:"delivered"`
	Refused   map[string]uint64 `json:"refused,omitempty"` // by the name of the Error's code
	CutOff    uint64            `json:"cut_off"`           // no outcome was seen, and the sender's or the recipient's connection has ended
	Lost      uint64            `json:"lost"`              // no outcome was seen, though both were there
	Bad       uint64            `json:"bad"`               // what arrived and should not have; it is not part of the sum
}

// settleAccount adds up what became of the Messages of these senders, once the load has stopped.
func settleAccount(senders []*sender) *account {
	a := &account{Refused: map[string]uint64{}}
	for _, s := range senders {
		for code, n := range s.refusals {
			a.Refused[code.String()] += n
		}
		for place, st := range s.streams {
			a.add(st, s.sentTo(place))
		}
	}
	return a
}

// add adds a stream of which so much was sent.
func (a *account) add(st *stream, sent uint64) {
	arrived, refused, both := st.arrived.size(), st.refused.size(), st.arrived.shared(st.refused)
	a.Sent += sent
	a.Delivered += arrived - both // what was refused must not arrive
	a.Bad += both
	missing := sent - min(sent, arrived+refused-both)
	if st.from.cut || st.to.cut {
		a.CutOff += missing
	} else {
		a.Lost += missing
	}
}

// plus adds what became of others.
func (a *account) plus(other *account) {
	a.Sent += other.Sent
	a.Delivered += other.Delivered
	a.CutOff += other.CutOff
	a.Lost += other.Lost
	a.Bad += other.Bad
	for code, n := range other.Refused {
		a.Refused[code] += n
	}
}

func (a *account) refused() (n uint64) {
	for _, of := range a.Refused {
		n += of
	}
	return n
}

// adds reports whether every Message has exactly one outcome.
func (a *account) adds() bool { return a.Sent == a.Delivered+a.refused()+a.CutOff+a.Lost }

// byCode tells what was refused, such as "BUSY 12, OFFLINE 3".
func (a *account) byCode() string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(a.Refused)) {
		parts = append(parts, fmt.Sprintf("%s %s", code, grouped(a.Refused[code])))
	}
	return strings.Join(parts, ", ")
}

// sum writes the account as a sum.
func (a *account) sum() string {
	text := fmt.Sprintf("%s sent = %s delivered + %s refused", grouped(a.Sent), grouped(a.Delivered), grouped(a.refused()))
	if len(a.Refused) > 0 {
		text += " (" + a.byCode() + ")"
	}
	text += fmt.Sprintf(" + %s cut off + %s lost", grouped(a.CutOff), grouped(a.Lost))
	if a.adds() {
		return text + ": it adds up"
	}
	return text + ": IT DOES NOT ADD UP"
}
