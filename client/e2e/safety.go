package e2e

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/mdeiml/blubbel-server/frames"
)

// safetyRounds makes it slow to look for keys that give the same number.
const safetyRounds = 5200

// SafetyNumber returns the number of two users, the same for both: 60 decimal digits in twelve groups of five. If both see
// the same one, each has the other's true key. (docs/session.md, Safety number.)
func SafetyNumber(one, other frames.Key) string {
	low, high := one.Fingerprint(), other.Fingerprint()
	if string(high[:]) < string(low[:]) {
		low, high = high, low
	}
	sum := hash([]byte("blubbel safety v1\x00"), low[:], high[:])
	for range safetyRounds {
		sum = hash(sum[:], low[:], high[:])
	}
	digits, err := hkdf.Expand(sha256.New, sum[:], "blubbel safety v1 digits", 60)
	if err != nil {
		panic(err) // only for outputs over 8160 bytes
	}
	var groups []string
	for d := digits; len(d) > 0; d = d[5:] {
		n := uint64(d[0])<<32 | uint64(d[1])<<24 | uint64(d[2])<<16 | uint64(d[3])<<8 | uint64(d[4])
		groups = append(groups, fmt.Sprintf("%05d", n%100000))
	}
	return strings.Join(groups, " ")
}
