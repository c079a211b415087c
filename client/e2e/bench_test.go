package e2e

import (
	"fmt"
	"testing"
)

// BenchmarkHandshake is both halves of a handshake, sealed, between two users with keys of a size.
func BenchmarkHandshake(b *testing.B) {
	for _, pair := range [][2]string{{"alice", "dave"}, {"bob", "erin"}, {"carol", "frank"}} {
		alice, bob := ends(b, pair[0], pair[1])
		b.Run(fmt.Sprintf("RSA-%d", 8*alice.self.Size()), func(b *testing.B) {
			for b.Loop() {
				s := start(b, alice)
				body, _ := accept(b, bob, pass(b, alice, bob, s.Body))
				if _, err := s.Finish(pass(b, bob, alice, body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// pass seals a body and opens it at the other end.
func pass(b *testing.B, from, to *Ends, body []byte) []byte {
	b.Helper()
	sealed, err := from.Seal(body)
	if err != nil {
		b.Fatal(err)
	}
	body, err = to.Unseal(sealed)
	if err != nil {
		b.Fatal(err)
	}
	return body
}

// BenchmarkRecord seals and opens a record with a body of a size.
func BenchmarkRecord(b *testing.B) {
	alice, bob := ends(b, "alice", "dave")
	s := start(b, alice)
	body, responder := accept(b, bob, s.Body)
	initiator, err := s.Finish(body)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range Buckets {
		sealer, _ := alice.Records(initiator)
		_, opener := bob.Records(responder)
		content := Content{Kind: Text, Number: 1, Body: make([]byte, size)}
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				record, err := sealer.Seal(nil, content.Append(nil))
				if err != nil {
					b.Fatal(err)
				}
				plaintext, err := opener.Open(record)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := ParseContent(plaintext); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
