package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// direction returns secrets for one direction that are easily told apart.
func direction(seed byte) (d Direction) {
	for i := range d.Chain {
		d.Chain[i] = seed + byte(i)
	}
	for i := range d.IV {
		d.IV[i] = seed ^ byte(i*7)
	}
	return d
}

// line is a session after its handshake: Alice writes, Bob reads.
func line(t testing.TB) (*Sealer, *Opener) {
	sealer, opener, _, _ := lines(t)
	return sealer, opener
}

// lines is a session after its handshake, all four ends of it.
func lines(t testing.TB) (alice *Sealer, bob *Opener, bobs *Sealer, alices *Opener) {
	t.Helper()
	a, b := ends(t, "alice", "bob")
	alice, alices = a.Records(&Keys{Send: direction(1), Receive: direction(2)})
	bobs, bob = b.Records(&Keys{Send: direction(2), Receive: direction(1)})
	return alice, bob, bobs, alices
}

// seal makes the next record.
func seal(t testing.TB, s *Sealer, text string) []byte {
	t.Helper()
	record, err := s.Seal(nil, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// opens expects a record to open.
func opens(t testing.TB, o *Opener, record []byte, text string) {
	t.Helper()
	if got, err := o.Open(record); err != nil || string(got) != text {
		t.Errorf("%q instead of %q, %v", got, text, err)
	}
}

// refused expects a record to be refused, and to leave everything as it was.
func refused(t testing.TB, o *Opener, record []byte, want error) {
	t.Helper()
	chain, window, next := *o.chain, o.window, o.next
	got, err := o.Open(record)
	if !errors.Is(err, want) || got != nil || !Broken(err) {
		t.Errorf("%q, %v; it should say: %v", got, err, want)
	}
	if *o.chain != chain || o.window != window || o.next != next {
		t.Errorf("what was refused (%v) left its trace", err)
	}
}

func TestRecordsComeBackInBothDirections(t *testing.T) {
	alice, bob, bobs, alices := lines(t)
	for i := range 100 {
		if alice.Counter() != uint64(i) || bob.Next() != uint64(i) {
			t.Fatalf("the sender is at %d, the recipient at %d, both should be at %d", alice.Counter(), bob.Next(), i)
		}
		opens(t, bob, seal(t, alice, fmt.Sprint("to Bob ", i)), fmt.Sprint("to Bob ", i))
		if i%3 == 0 { // the directions know nothing of each other
			opens(t, alices, seal(t, bobs, fmt.Sprint("to Alice ", i)), fmt.Sprint("to Alice ", i))
		}
	}
	opens(t, bob, seal(t, alice, ""), "")
	opens(t, bob, seal(t, alice, string(pattern(1<<17))), string(pattern(1<<17)))
}

func TestARecordIsHeaderCiphertextAndTag(t *testing.T) {
	alice, _ := line(t)
	seal(t, alice, "0")
	record := seal(t, alice, "hello")
	if want := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}; !bytes.HasPrefix(record, want) || len(record) != 12+5+16 {
		t.Errorf("%x", record)
	}
	alice.Renew(direction(3))
	seal(t, alice, "2")
	record = seal(t, alice, "hello")
	if want := []byte{0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3}; !bytes.HasPrefix(record, want) {
		t.Errorf("after new keys: %x", record)
	}
}

func TestARecordIsAppendedBehindWhatIsThere(t *testing.T) {
	alice, bob := line(t)
	b, err := alice.Seal(append(make([]byte, 0, 1024), "before"...), []byte("hello"))
	if err != nil || !bytes.HasPrefix(b, []byte("before")) {
		t.Fatalf("%q, %v", b, err)
	}
	opens(t, bob, b[len("before"):], "hello")
}

func TestARecordThatArrivesTwiceIsReplayed(t *testing.T) {
	alice, bob := line(t)
	var all [][]byte
	for range 70 { // more than the window remembers
		all = append(all, seal(t, alice, "hello"))
		opens(t, bob, all[len(all)-1], "hello")
		for _, record := range all {
			refused(t, bob, record, ErrReplayed)
		}
	}
}

func TestARecordBehindALaterOneIsReordered(t *testing.T) {
	alice, bob := line(t)
	first, second, third := seal(t, alice, "1"), seal(t, alice, "2"), seal(t, alice, "3")
	opens(t, bob, second, "2")
	refused(t, bob, first, ErrReordered)
	opens(t, bob, third, "3")
	refused(t, bob, first, ErrReordered)
	refused(t, bob, second, ErrReplayed)
}

func TestMissingRecordsDoNotHinderTheNext(t *testing.T) {
	for _, missing := range []int{1, 2, 63, 64, 65, 1000} {
		alice, bob := line(t)
		opens(t, bob, seal(t, alice, "before"), "before")
		var lost []byte
		for range missing {
			lost = seal(t, alice, "lost")
		}
		opens(t, bob, seal(t, alice, "behind"), "behind")
		if bob.Next() != uint64(missing)+2 {
			t.Errorf("after %d missing records %d is next", missing, bob.Next())
		}
		refused(t, bob, lost, ErrReordered)
		opens(t, bob, seal(t, alice, "and on"), "and on")
	}
}

func TestAsManyRecordsMayBeMissingAsTheGapAllows(t *testing.T) {
	alice, bob := line(t)
	opens(t, bob, seal(t, alice, "before"), "before")
	for range MaxGap {
		alice.chain.step()
	}
	within, over := seal(t, alice, "within"), seal(t, alice, "over")
	refused(t, bob, over, ErrWithheld)
	opens(t, bob, within, "within")
	opens(t, bob, over, "over") // nothing is missing before it now
}

// A counter over the gap is refused by looking at it, or a relay could keep its victims computing.
func TestACounterOverTheGapCostsNothing(t *testing.T) {
	_, bob := line(t)
	for _, c := range []struct {
		epoch   uint32
		counter uint64
		want    error
	}{
		{0, MaxGap + 1, ErrWithheld},
		{0, maxCounter, ErrWithheld},
		{0, maxCounter + 1, ErrForged},
		{0, 1 << 63, ErrForged},
		{0, 1<<64 - 1, ErrForged},
		{1 << 31, 1 << 31, ErrWithheld},
	} {
		record := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, c.epoch), c.counter)
		refused(t, bob, append(record, make([]byte, 64)...), c.want)
	}
}

func TestAFlippedBitLeavesNoTrace(t *testing.T) {
	alice, bob := line(t)
	opens(t, bob, seal(t, alice, "before"), "before")
	record := seal(t, alice, "the genuine one")
	for i := range record {
		for bit := range 8 {
			forged := bytes.Clone(record)
			forged[i] ^= 1 << bit
			chain, window := *bob.chain, bob.window
			if text, err := bob.Open(forged); !Broken(err) || text != nil {
				t.Errorf("byte %d, bit %d: %q, %v", i, bit, text, err)
			}
			if *bob.chain != chain || bob.window != window {
				t.Fatalf("byte %d, bit %d left its trace", i, bit)
			}
		}
	}
	opens(t, bob, record, "the genuine one")
}

func TestAForgedRecordFarAheadLeavesNoTrace(t *testing.T) {
	alice, bob := line(t)
	for _, ahead := range []uint64{0, 1, 2, 500} {
		forged := seal(t, alice, "hello")
		binary.BigEndian.PutUint64(forged[4:], bob.Next()+ahead)
		forged[len(forged)-1] ^= 1
		refused(t, bob, forged, ErrForged)
	}
	refused(t, bob, make([]byte, recordHeader+tagSize), ErrForged)
	opens(t, bob, seal(t, alice, "hello"), "hello")
}

func TestARecordCutAtEveryLengthIsForged(t *testing.T) {
	for _, text := range []string{"", "hello"} {
		alice, bob := line(t)
		record := seal(t, alice, text)
		for n := range record {
			refused(t, bob, record[:n], ErrForged)
		}
		refused(t, bob, append(bytes.Clone(record), 0), ErrForged)
		opens(t, bob, record, text)
	}
}

func TestARecordSentBackToItsSenderIsForged(t *testing.T) {
	alice, bob, bobs, alices := lines(t)
	for range 3 {
		there, back := seal(t, alice, "hello"), seal(t, bobs, "hello")
		refused(t, alices, there, ErrForged)
		refused(t, bob, back, ErrForged)
	}
}

// The users are authenticated with every record: even where both directions, or two sessions, had the same keys, nothing
// would pass for what another said.
func TestARecordNamesItsSenderAndRecipient(t *testing.T) {
	keys := &Keys{Send: direction(1), Receive: direction(1)}
	a, b := ends(t, "alice", "bob")
	c, _ := ends(t, "carol", "bob")
	d, _ := ends(t, "bob", "carol")
	alice, alices := a.Records(keys)
	_, bob := b.Records(keys)
	carol, _ := c.Records(keys)
	_, bobFromCarol := d.Records(keys)
	record := seal(t, alice, "hello")
	refused(t, alices, record, ErrForged)
	refused(t, bobFromCarol, record, ErrForged)
	refused(t, bob, seal(t, carol, "hello"), ErrForged)
	opens(t, bob, record, "hello")
}

func TestNewKeysAreTakenWithWhicheverRecordUsesThem(t *testing.T) {
	alice, bob := line(t)
	opens(t, bob, seal(t, alice, "0"), "0")
	if bob.Expected() {
		t.Error("new keys are expected at once")
	}
	bob.Expect(direction(3))
	opens(t, bob, seal(t, alice, "still the old keys"), "still the old keys")
	if !bob.Expected() {
		t.Error("new keys are not expected any more")
	}
	old := *alice.chain
	alice.Renew(direction(3))
	if alice.Counter() != 2 {
		t.Errorf("the counter is at %d after new keys", alice.Counter())
	}
	for _, text := range []string{"the new keys", "and again"} {
		opens(t, bob, seal(t, alice, text), text)
	}
	if bob.Expected() || bob.Next() != 4 {
		t.Errorf("new keys are expected: %v, next is %d", bob.Expected(), bob.Next())
	}

	// the old keys are good for nothing now, not even where new ones are expected again
	late := &Sealer{chain: &old, users: alice.users}
	for late.Counter() < 4 {
		late.chain.step()
	}
	refused(t, bob, seal(t, late, "the old keys"), ErrForged)
	bob.Expect(direction(4))
	refused(t, bob, seal(t, late, "the old keys"), ErrForged)
	opens(t, bob, seal(t, alice, "4"), "4")
	alice.Renew(direction(4))
	opens(t, bob, seal(t, alice, "newer keys"), "newer keys")
	if bob.Expected() {
		t.Error("still expected")
	}
}

func TestNewKeysThatNobodyExpectsAreForged(t *testing.T) {
	alice, bob := line(t)
	opens(t, bob, seal(t, alice, "0"), "0")
	alice.Renew(direction(3))
	record := seal(t, alice, "1")
	refused(t, bob, record, ErrForged)
	bob.Expect(direction(4)) // other ones
	refused(t, bob, record, ErrForged)
	bob.Expect(direction(3)) // the last word counts
	opens(t, bob, record, "1")
}

func TestRecordsMayBeMissingAroundNewKeys(t *testing.T) {
	alice, bob := line(t)
	opens(t, bob, seal(t, alice, "0"), "0")
	bob.Expect(direction(3))
	lost := seal(t, alice, "1")
	alice.Renew(direction(3))
	lostToo := seal(t, alice, "2, the first with new keys")
	opens(t, bob, seal(t, alice, "3"), "3")
	refused(t, bob, lost, ErrReordered)
	refused(t, bob, lostToo, ErrReordered)
	opens(t, bob, seal(t, alice, "4"), "4")
}

func TestAForgedChangeOfKeysLeavesNoTrace(t *testing.T) {
	alice, bob := line(t)
	opens(t, bob, seal(t, alice, "0"), "0")
	opens(t, bob, seal(t, alice, "1"), "1")
	bob.Expect(direction(3))
	// With the right keys, but an epoch that cannot be: each byte of it is authenticated as its sender made it.
	for _, c := range []struct{ epoch, counter uint64 }{
		{1, 2},          // it would begin before what has come
		{3, 2},          // it would begin behind this record
		{maxCounter, 2}, // much behind
	} {
		liar := &Sealer{chain: newChain(direction(3), c.epoch), users: alice.users}
		for liar.chain.next = min(c.epoch, c.counter); liar.chain.next < c.counter; {
			liar.chain.step()
		}
		refused(t, bob, seal(t, liar, "hello"), ErrForged)
	}
	forged := &Sealer{chain: newChain(direction(5), 2), users: alice.users}
	refused(t, bob, seal(t, forged, "hello"), ErrForged)
	if !bob.Expected() {
		t.Fatal("the forged record used up the new keys")
	}
	opens(t, bob, seal(t, alice, "2"), "2")
	alice.Renew(direction(3))
	opens(t, bob, seal(t, alice, "3"), "3")
}

func TestAChangedEpochIsForged(t *testing.T) {
	alice, bob := line(t)
	for range 3 {
		opens(t, bob, seal(t, alice, "hello"), "hello")
	}
	bob.Expect(direction(3))
	alice.Renew(direction(3))
	record := seal(t, alice, "hello")
	for _, epoch := range []uint32{0, 1, 2, 4, 1 << 31} {
		forged := bytes.Clone(record)
		binary.BigEndian.PutUint32(forged, epoch)
		refused(t, bob, forged, ErrForged)
	}
	opens(t, bob, record, "hello")
}

func TestTheSessionIsExhaustedAtTheEndOfItsCounter(t *testing.T) {
	alice, bob := line(t)
	alice.chain.next = maxCounter
	bob.chain.next, bob.window.next = maxCounter, maxCounter
	opens(t, bob, seal(t, alice, "the last"), "the last")
	for range 2 {
		b, err := alice.Seal([]byte("before"), []byte("one too many"))
		if !errors.Is(err, ErrExhausted) || string(b) != "before" || alice.Counter() != maxCounter+1 {
			t.Errorf("%q, %v, the counter is at %d", b, err, alice.Counter())
		}
		alice.Renew(direction(3)) // new keys do not help: the counter goes through the whole session
	}
	liar := &Sealer{chain: &chain{epoch: 0, next: maxCounter}, users: alice.users}
	over := seal(t, liar, "hello")
	binary.BigEndian.PutUint64(over[4:], maxCounter+1)
	refused(t, bob, over, ErrForged)
}

func TestTheLastEpochFitsItsField(t *testing.T) {
	alice, bob := line(t)
	alice.chain.next = maxCounter
	bob.chain.next, bob.window.next = maxCounter, maxCounter
	bob.Expect(direction(3))
	alice.Renew(direction(3))
	record := seal(t, alice, "the last")
	if epoch := binary.BigEndian.Uint32(record); epoch != maxCounter {
		t.Errorf("the epoch is %d", epoch)
	}
	opens(t, bob, record, "the last")
}

func TestTheSamePlaintextNeverGivesTheSameRecord(t *testing.T) {
	alice, _ := line(t)
	seen := map[string]bool{}
	for i := range 300 {
		if i%100 == 99 {
			alice.Renew(direction(1)) // the worst case: the very keys again
		}
		box := string(seal(t, alice, "the same")[recordHeader:])
		if seen[box] || seen[box[:8]] { // neither the whole nor the key stream
			t.Errorf("record %d repeats", i)
		}
		seen[box], seen[box[:8]] = true, true
	}
}

// Who takes the keys out of a device must not read what it had sent and received before.
func TestAKeyIsForgottenWithItsRecord(t *testing.T) {
	alice, bob := line(t)
	before := alice.chain.key
	record := seal(t, alice, "hello")
	opens(t, bob, record, "hello")
	if alice.chain.key == before || bob.chain.key != alice.chain.key {
		t.Fatal("the chain did not move on")
	}
	thief := &Opener{chain: bob.chain, users: bob.users}
	refused(t, thief, record, ErrForged)
}

func TestMessageKeysAndChainKeysAreNotTheSame(t *testing.T) {
	c := newChain(direction(1), 0)
	seen := map[[32]byte]bool{c.key: true}
	for range 100 {
		key := c.step()
		if seen[key] || seen[c.key] || key == c.key {
			t.Fatal("a key came twice")
		}
		seen[key], seen[c.key] = true, true
	}
}

func TestWhatTheWindowSays(t *testing.T) {
	for _, c := range []struct {
		name    string
		came    []uint64
		counter uint64
		want    error
	}{
		{"the first", nil, 0, nil},
		{"a first that is not 0", nil, 5, nil},
		{"as far as the gap", nil, MaxGap, nil},
		{"over the gap", nil, MaxGap + 1, ErrWithheld},
		{"the next", []uint64{0, 1, 2}, 3, nil},
		{"the last again", []uint64{0, 1, 2}, 2, ErrReplayed},
		{"the first again", []uint64{0, 1, 2}, 0, ErrReplayed},
		{"one that was left out", []uint64{0, 2}, 1, ErrReordered},
		{"one before the first that came", []uint64{7}, 3, ErrReordered},
		{"one that came before a hole", []uint64{0, 2}, 0, ErrReplayed},
		{"the oldest in the window", []uint64{0, 63}, 0, ErrReplayed},
		{"the oldest in the window, left out", []uint64{63}, 0, ErrReordered},
		{"one behind the window", []uint64{64}, 0, ErrReplayed}, // nobody remembers; refused is refused
		{"a hole wider than the window", []uint64{0, 100}, 99, ErrReordered},
		{"what came before a wide hole", []uint64{36, 100}, 36, ErrReplayed},
		{"a hole in the middle", []uint64{0, 1, 2, 10, 20}, 11, ErrReordered},
		{"the edge of that hole", []uint64{0, 1, 2, 10, 20}, 10, ErrReplayed},
		{"as far as the gap, later", []uint64{0, 9}, 10 + MaxGap, nil},
		{"over the gap, later", []uint64{0, 9}, 11 + MaxGap, ErrWithheld},
		{"the last counter", []uint64{maxCounter - 1}, maxCounter, nil},
		{"one over the last counter", []uint64{maxCounter - 1}, maxCounter + 1, ErrForged},
		{"the largest number", []uint64{0}, 1<<64 - 1, ErrForged},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w window
			for _, counter := range c.came {
				w.mark(counter)
			}
			before := w
			if err := w.judge(c.counter); !errors.Is(err, c.want) {
				t.Errorf("%v, not %v", err, c.want)
			}
			if !reflect.DeepEqual(w, before) {
				t.Error("judging changed it")
			}
		})
	}
}
