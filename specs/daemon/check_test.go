package daemon

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

// sum is what became of all frames from user to user, as the users saw it.
type sum struct {
	delivered, refused int
	codes              map[string]int // refused, by code
	told, unheard      int            // users who were told that the relay stops, and who never heard anything
	late               int            // frames that were sent and not taken
}

func (s sum) String() string {
	return fmt.Sprintf("%d users told, %d never heard anything; frames: %d delivered, %d refused %v, %d not taken",
		s.told, s.unheard, s.delivered, s.refused, s.codes, s.late)
}

// check compares what users have said and heard, and the relay's account, once all is over.
func check(t *testing.T, users []*user, account string) sum {
	t.Helper()
	s := sum{codes: map[string]int{}}
	byKey := map[string]*user{}
	for _, u := range users {
		byKey[string(u.key)] = u
	}
	settled := map[*user]map[uint64]bool{} // the frames of each that were delivered or refused
	settle := func(u *user, number uint64) bool {
		if settled[u] == nil {
			settled[u] = map[uint64]bool{}
		}
		again := settled[u][number]
		settled[u][number] = true
		return !again && number > 0 && number <= uint64(len(u.said))
	}
	for _, u := range users {
		s.ending(t, u)
		latest := map[string]uint64{} // number, by the sender
		for _, h := range u.heard {
			switch {
			case h.typ == frames.TypeError && h.number > 0:
				if !settle(u, h.number) {
					t.Errorf("%v refuses number %d of %d, which is settled or was never sent", h.code, h.number, len(u.said))
				}
				s.refused++
				s.codes[h.code.String()]++
			case h.typ.Carries():
				from := byKey[h.from]
				if from == nil || !settle(from, h.number) || from.said[h.number-1] != (said{h.typ, string(u.key), h.size}) {
					t.Errorf("a %v, number %d, that nobody sent, or twice, or refused", h.typ, h.number)
				}
				if h.number <= latest[h.from] {
					t.Errorf("number %d behind number %d", h.number, latest[h.from])
				}
				latest[h.from] = h.number
				s.delivered++
			}
		}
	}
	for _, u := range users {
		s.gaps(t, u, settled[u])
	}
	s.compare(t, account)
	return s
}

// ending checks how the stream of a user has ended.
func (s *sum) ending(t *testing.T, u *user) {
	t.Helper()
	switch last := len(u.heard) - 1; {
	case last < 0: // the relay may never have heard of it
		s.unheard++
	case u.heard[last] == (heard{typ: frames.TypeError, code: frames.ShuttingDown}):
		s.told++
		if !errors.Is(u.err, io.EOF) {
			t.Errorf("told SHUTTING_DOWN, but then: %v", u.err)
		}
	case !u.left:
		t.Errorf("not told SHUTTING_DOWN after %d frames: %v", len(u.heard), u.err)
	}
}

// gaps checks that what the relay has not taken is what was sent last.
func (s *sum) gaps(t *testing.T, u *user, settled map[uint64]bool) {
	t.Helper()
	latest := uint64(0)
	for number := range settled {
		latest = max(latest, number)
	}
	var lost []uint64
	for i, f := range u.said {
		switch number := uint64(i + 1); {
		case !f.typ.Carries() || settled[number]:
		case number < latest:
			lost = append(lost, number)
		default:
			s.late++
		}
	}
	if len(lost) > 0 {
		t.Errorf("of %d frames %d were settled, the last is number %d, but %d before it were not, from number %d on",
			len(u.said), len(settled), latest, len(lost), lost[0])
	}
}

// accounts is how the relay writes its account.
var accounts = regexp.MustCompile(`^taken (\d+), delivered (\d+), refused \d+(?: \((.*)\))?, in flight (\d+), mislaid (\d+)$`)

// compare compares with the relay's account.
func (s *sum) compare(t *testing.T, account string) {
	t.Helper()
	parts := accounts.FindStringSubmatch(account)
	if parts == nil {
		t.Fatalf("no account: %q", account)
	}
	refused := []string{}
	for _, code := range slices.Sorted(maps.Keys(s.codes)) {
		refused = append(refused, code+" "+strconv.Itoa(s.codes[code]))
	}
	given := slices.Sorted(strings.SplitSeq(parts[3], ", "))
	want := []string{strconv.Itoa(s.delivered + s.refused), strconv.Itoa(s.delivered), strings.Join(refused, ", "), "0", "0"}
	got := []string{parts[1], parts[2], strings.Join(given, ", "), parts[4], parts[5]}
	if !slices.Equal(got, want) {
		t.Errorf("the relay says %q, but its users saw %v", account, *s)
	}
}
