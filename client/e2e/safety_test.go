package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

func TestASafetyNumberIsTheSameForBoth(t *testing.T) {
	for _, names := range [][2]string{{"alice", "bob"}, {"bob", "carol"}, {"carol", "alice"}} {
		one, other := public(t, names[0]), public(t, names[1])
		if a, b := SafetyNumber(one, other), SafetyNumber(other, one); a != b {
			t.Errorf("%s sees %s, %s sees %s", names[0], a, names[1], b)
		}
	}
}

func TestASafetyNumberIsTwelveGroupsOfFiveDigits(t *testing.T) {
	form := regexp.MustCompile(`^[0-9]{5}( [0-9]{5}){11}$`)
	short := false
	for i := range 32 { // a group begins with a zero in one of ten: many keys, so that some do
		n := SafetyNumber(frames.Key{byte(i)}, frames.Key("other"))
		if !form.MatchString(n) {
			t.Errorf("%q", n)
		}
		short = short || strings.Contains(" "+n, " 0")
	}
	if !short {
		t.Error("no group began with a zero, so that nothing is known of their padding")
	}
}

func TestASafetyNumberDependsOnBothKeysWhole(t *testing.T) {
	alice, bob, mallory := public(t, "alice"), public(t, "bob"), public(t, "dave")
	flipped := append(frames.Key{}, bob...)
	flipped[len(flipped)-1] ^= 1
	seen := map[string]string{}
	for name, pair := range map[string][2]frames.Key{
		"Alice and Bob":                      {alice, bob},
		"Alice and the man in the middle":    {alice, mallory},
		"the man in the middle and Bob":      {mallory, bob},
		"Alice and a key one bit from Bob's": {alice, flipped},
		"Alice and Alice":                    {alice, alice},
	} {
		n := SafetyNumber(pair[0], pair[1])
		if other, ok := seen[n]; ok {
			t.Errorf("%s have the number of %s", name, other)
		}
		seen[n] = name
	}
}
