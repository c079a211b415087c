package e2e

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// Whoever sends what is fuzzed here is the relay, or anybody else without keys: nothing but the genuine thing may be taken.
// The seeds are those of testdata, so that every run begins with the same.

// FuzzOpen reads anything as a peer's request.
func FuzzOpen(f *testing.F) {
	_, bob := ends(f, "alice", "bob")
	_, handshake := read(f, "handshake")
	genuine := handshake.bytes(f, "start", "body")
	f.Add(genuine)
	f.Add(genuine[:offerSize])
	f.Add(genuine[:offerSize-1])
	f.Add(handshake.bytes(f, "accept", "body"))
	f.Add([]byte{version, suite})
	f.Add([]byte{version + 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		var o offer
		if signature, err := o.parse(body); err == nil && !bytes.Equal(append(o.append([]byte{}), signature...), body) {
			t.Error("what was read is written as something else")
		}
		r, err := bob.Open(body)
		if (err == nil) != (r != nil) || (err == nil) != bytes.Equal(body, genuine) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzFinish reads anything as the answer to a request.
func FuzzFinish(f *testing.F) {
	alice, _ := ends(f, "alice", "bob")
	_, handshake := read(f, "handshake")
	request, genuine := handshake.bytes(f, "start", "body"), handshake.bytes(f, "accept", "body")
	secret := exponent(handshake.bytes(f, "start", "exponent"))
	f.Add(genuine)
	f.Add(genuine[:answerSize+macSize])
	f.Add(genuine[:answerSize+macSize-1])
	f.Add(request)
	f.Add([]byte{version, suite})
	f.Add([]byte{version + 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		var a answer
		if signature, mac, err := a.parse(body); err == nil && !bytes.Equal(append(append(a.append([]byte{}), signature...), mac...), body) {
			t.Error("what was read is written as something else")
		}
		x := secret
		s := &Start{Body: request, ends: alice, exponent: &x}
		keys, err := s.Finish(body)
		if (err == nil) != (keys != nil) || (err == nil) != bytes.Equal(body, genuine) {
			t.Errorf("%v", err)
		}
		if err != nil && x != secret {
			t.Error("what was refused took the secret with it")
		}
	})
}

// FuzzUnseal opens anything as if it were sealed for Alice, whose key is the smallest and the quickest. Anybody can seal,
// so that other things than the genuine one may open, but none of them by chance.
func FuzzUnseal(f *testing.F) {
	alice, _ := ends(f, "alice", "bob")
	_, handshake := read(f, "handshake")
	genuine := handshake.bytes(f, "accept", "sealed")
	f.Add(genuine)
	f.Add(genuine[:len(genuine)-1])
	f.Add(genuine[:256])
	f.Add(genuine[:255])
	f.Add(handshake.bytes(f, "start", "sealed")) // for Bob
	f.Add(bytes.Repeat([]byte{0xff}, 300))       // larger than the modulus
	f.Add(make([]byte, 300))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		body, err := alice.Unseal(sealed)
		if (err == nil) != bytes.Equal(sealed, genuine) || err != nil && body != nil {
			t.Errorf("%d bytes, %v", len(body), err)
		}
	})
}

// FuzzRecord gives anything to a recipient who is in the middle of a session and expects new keys.
func FuzzRecord(f *testing.F) {
	alice, bob := line(f)
	opens(f, bob, seal(f, alice, "0"), "0")
	bob.Expect(direction(3))
	before, window := *bob.chain, bob.window
	old := *alice.chain
	genuine := [][]byte{seal(f, alice, "the next"), seal(f, alice, "the one after it")}
	alice.chain = &old
	alice.Renew(direction(3))
	genuine = append(genuine, seal(f, alice, "new keys"), seal(f, alice, "again"))
	for _, record := range genuine {
		f.Add(record)
		f.Add(record[:len(record)-1])
		f.Add(record[:recordHeader])
	}
	f.Add(make([]byte, recordHeader+tagSize))
	f.Fuzz(func(t *testing.T, record []byte) {
		if len(record) >= recordHeader {
			if counter := binary.BigEndian.Uint64(record[4:]); counter > 64 && counter <= MaxGap+1 {
				t.Skip("it costs thousands of derivations to refuse")
			}
		}
		chain, expected := before, direction(3)
		o := &Opener{chain: &chain, users: bob.users, window: window, next: &expected}
		text, err := o.Open(record)
		known := false
		for _, g := range genuine {
			known = known || bytes.Equal(g, record)
		}
		switch {
		case (err == nil) != known:
			t.Errorf("%q, %v", text, err)
		case err != nil && (!Broken(err) || text != nil || *o.chain != before || o.window != window || o.next != &expected):
			t.Errorf("%v left its trace", err)
		}
	})
}

// FuzzContent reads anything as a content: what it understands is written as it was.
func FuzzContent(f *testing.F) {
	for _, body := range []int{0, 1, 256, 257, 1025, 4097} {
		f.Add(Content{Kind: Text, Next: 1, Received: 2, Taken: 3, Number: 4, Body: pattern(body)}.Append(nil))
	}
	for _, b := range malformed() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseContent(b); err == nil && !bytes.Equal(c.Append(nil), b) {
			t.Errorf("%+v is written as something else", c)
		}
	})
}
