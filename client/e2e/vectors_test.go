package e2e

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

var update = flag.Bool("update", false, "write the vectors of testdata afresh, with new secrets")

// given are the values of a file: of a step, by their names, as they stand there.
type given map[string]map[string]string

// read reads a file of vectors. Its form is described in testdata/README.md.
func read(t testing.TB, name string) (text string, values given) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	values = given{}
	var step map[string]string
	last := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		name, value, ok := strings.Cut(line, ":")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == ' ':
			step[last] += strings.TrimSpace(line)
		case !ok:
			t.Fatalf("a line that is none: %q", line)
		case name == "step":
			step = map[string]string{}
			values[strings.TrimSpace(value)] = step
		default:
			last = name
			step[last] = strings.TrimSpace(value)
		}
	}
	return string(b), values
}

// bytes returns a value that is written in hex.
func (g given) bytes(t testing.TB, step, name string) []byte {
	t.Helper()
	value, ok := g[step][name]
	b, err := hex.DecodeString(value)
	if err != nil || !ok {
		t.Fatalf("%s, %s: %q", step, name, value)
	}
	return b
}

// vectors is a file of vectors while it is computed. Whatever is random is taken from the file, unless it is written
// afresh; everything else is computed from it. The text that comes out must be the file.
type vectors struct {
	testing.TB
	given given
	step  string
	text  strings.Builder
}

// begin begins a step, with comments before it.
func (v *vectors) begin(step string, comments ...string) {
	if v.text.Len() > 0 {
		v.text.WriteString("\n")
	}
	for _, c := range comments {
		v.text.WriteString("# " + c + "\n")
	}
	v.step = step
	v.words("step", step)
}

func (v *vectors) words(name, value string) {
	v.text.WriteString(strings.TrimSpace(name+": "+value) + "\n")
}

func (v *vectors) number(name string, n uint64) { v.words(name, strconv.FormatUint(n, 10)) }

// put writes what was computed, and returns it.
func (v *vectors) put(name string, b []byte) []byte {
	const width = 48 // bytes in a line
	if len(b) <= width {
		v.words(name, hex.EncodeToString(b))
		return b
	}
	v.text.WriteString(name + ":\n")
	for part := range slices.Chunk(b, width) {
		fmt.Fprintf(&v.text, "  %x\n", part)
	}
	return b
}

// random writes what cannot be computed: fresh, or as the file has it.
func (v *vectors) random(name string, fresh func() []byte) []byte {
	v.Helper()
	if *update {
		return v.put(name, fresh())
	}
	return v.put(name, v.given.bytes(v, v.step, name))
}

// secret writes n random bytes.
func (v *vectors) secret(name string, n int) []byte {
	v.Helper()
	return v.random(name, func() []byte {
		b := make([]byte, n)
		_, _ = rand.Read(b) // never fails
		return b
	})
}

// must returns what was made without an error.
func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// equal says which of two values that should be the same are not.
func equal(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %x instead of %x", what, got, want)
	}
}

// sealing writes a body sealed by one of the ends for the other, and unseals it.
func (v *vectors) sealing(from, to *Ends, body []byte) {
	v.Helper()
	key := v.secret("sealing key", 32)
	wrapped := v.random("wrapped key", func() []byte {
		return must[[]byte](v)(rsa.EncryptOAEP(sha256.New(), rand.Reader, from.peer, key, []byte(sealLabel)))
	})
	sealed := v.put("sealed", gcm(key).Seal(bytes.Clone(wrapped), make([]byte, 12), body, nil))
	equal(v, "unsealed", must[[]byte](v)(to.Unseal(sealed)), body)
	if len(sealed) > frames.MaxSealed {
		v.Errorf("sealed it has %d bytes", len(sealed))
	}
}

func TestVectors(t *testing.T) {
	for _, file := range []struct {
		name string
		fill func(*vectors)
	}{
		{"handshake", func(v *vectors) { handshakeVectors(v, "alice", "bob") }},
		{"handshake-4096", func(v *vectors) { handshakeVectors(v, "carol", "alice") }},
		{"records", recordVectors}, // with the keys of the first handshake
		{"contents", contentVectors},
		{"safety", safetyVectors},
	} {
		t.Run(file.name, func(t *testing.T) {
			v := &vectors{TB: t}
			if !*update {
				_, v.given = read(t, file.name)
			}
			file.fill(v)
			if *update {
				if err := os.WriteFile(filepath.Join("..", "testdata", file.name+".txt"), []byte(v.text.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, _ := read(t, file.name)
			differ(t, v.text.String(), text)
		})
	}
}

// differ names the first line where what was computed is not what stands in the file.
func differ(t *testing.T, computed, file string) {
	t.Helper()
	got, want := strings.Split(computed, "\n"), strings.Split(file, "\n")
	step, name := "", ""
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			t.Fatalf("%d lines were computed, the file has %d", len(got), len(want))
		}
		if value, ok := strings.CutPrefix(want[i], "step: "); ok {
			step = value
		}
		if !strings.HasPrefix(want[i], " ") {
			name, _, _ = strings.Cut(want[i], ":")
		}
		if got[i] != want[i] {
			t.Fatalf("line %d (step %q, %s): computed\n%s\nthe file has\n%s", i+1, step, name, got[i], want[i])
		}
	}
}

func TestEveryVectorFileIsChecked(t *testing.T) {
	for _, c := range []struct {
		dir  string
		want []string
	}{
		{"", []string{"README.md", "contents.txt", "handshake-4096.txt", "handshake.txt", "keys", "records.txt", "safety.txt"}},
		{"keys", []string{"alice.pem", "bob.pem", "carol.pem", "dave.pem", "erin.pem", "frank.pem"}},
	} {
		files, err := os.ReadDir(filepath.Join("..", "testdata", c.dir))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, f.Name())
		}
		if !slices.Equal(names, c.want) {
			t.Errorf("there are %q, this test knows %q", names, c.want)
		}
	}
}

// handshakeVectors writes a handshake.
func handshakeVectors(v *vectors, initiator, responder string) {
	a, b := ends(v, initiator, responder)
	v.begin("users", "A handshake: who takes part. Written by go test ./client/e2e -update.")
	v.words("initiator", initiator)
	v.words("responder", responder)
	v.put("initiator key", public(v, initiator))
	v.put("responder key", public(v, responder))
	equal(v, "from", v.put("initiator fingerprint", a.selfID[:]), b.peerID[:])
	equal(v, "to", v.put("responder fingerprint", b.selfID[:]), a.peerID[:])

	s := startVectors(v, a, b)
	bodyOfAccept, keys := acceptVectors(v, b, a, s)

	got, err := s.Finish(bodyOfAccept)
	if err != nil {
		v.Fatal(err)
	}
	if *got != *keys {
		v.Errorf("the initiator has %x, the responder's mirrored are %x", *got, *keys)
	}
}

// startVectors writes the initiator's half, and returns it as the initiator keeps it.
func startVectors(v *vectors, a, b *Ends) *Start {
	v.begin("start", "The initiator's half.")
	o := offer{from: a.selfID, to: b.selfID, time: noon}
	v.number("time", uint64(noon.UnixMilli()))
	x := exponent(v.secret("exponent", exponentSize))
	o.share = v.put("share", x.share())
	o.nonce = [32]byte(v.secret("nonce", 32))
	unsigned := v.put("unsigned body", o.append(nil))
	sum := hash(unsigned)
	v.put("transcript hash", sum[:])
	v.put("signed text", signedText(initiatorContext, sum))
	signature := v.random("signature", func() []byte { return must[[]byte](v)(a.sign(initiatorContext, sum)) })
	body := v.put("body", slices.Concat(unsigned, signature))
	v.sealing(a, b, body)

	r := must[*Request](v)(b.Open(body))
	if !r.Time.Equal(noon) || r.Hash != hash(body) {
		v.Errorf("it opens as a request of %v with the hash %x", r.Time, r.Hash)
	}
	return &Start{Body: body, ends: a, exponent: &x}
}

// acceptVectors writes the responder's half, and returns its body and the initiator's keys.
func acceptVectors(v *vectors, b, a *Ends, s *Start) ([]byte, *Keys) {
	v.begin("accept", "The responder's half, and the keys.")
	x := exponent(v.secret("exponent", exponentSize))
	says := answer{share: v.put("share", x.share()), from: b.selfID, to: a.selfID}
	says.nonce = [32]byte(v.secret("nonce", 32))
	says.start = hash(s.Body)
	v.put("hash of the start", says.start[:])
	unsigned := v.put("unsigned body", says.append(nil))
	transcript := hash(s.Body, unsigned)
	v.put("transcript hash", transcript[:])
	v.put("signed text", signedText(responderContext, transcript))
	signature := v.random("signature", func() []byte { return must[[]byte](v)(b.sign(responderContext, transcript)) })
	if err := a.verify(responderContext, transcript, signature); err != nil {
		v.Error(err)
	}

	shared := v.put("shared secret", must[[]byte](v)(x.shared(s.Body[atShare:atNonce])))
	equal(v, "the initiator's secret", must[[]byte](v)(s.exponent.shared(says.share)), shared)
	prk := v.put("prk", must[[]byte](v)(hkdf.Extract(sha256.New, shared, transcript[:])))
	keys := derive(shared, transcript, true)
	for _, k := range []struct {
		name string
		key  []byte
	}{
		{"initiator key", keys.Send.Chain[:]},
		{"initiator iv", keys.Send.IV[:]},
		{"responder key", keys.Receive.Chain[:]},
		{"responder iv", keys.Receive.IV[:]},
		{"responder confirm", keys.confirm[:]},
		{"exporter", keys.Exporter[:]},
	} {
		out := make([]byte, len(k.key))
		expand(out, prk, k.name) // the names are the labels
		equal(v, k.name, v.put(k.name, out), k.key)
	}
	mirrored := derive(shared, transcript, false)
	if mirrored.Send != keys.Receive || mirrored.Receive != keys.Send {
		v.Error("the responder's keys are not the initiator's mirrored")
	}

	signed := slices.Concat(unsigned, signature)
	confirmed := hash(s.Body, signed)
	v.put("confirmed hash", confirmed[:])
	body := slices.Concat(signed, v.put("confirmation", keys.confirmation(s.Body, signed)))
	v.put("body", body)
	v.sealing(b, a, body)
	return body, keys
}

// both is one session at its two ends, while its records are written.
type both struct {
	*vectors
	sealers map[string]*Sealer // by their sender
	openers map[string]*Opener // by the sender of what they read
}

// recordVectors writes records under the keys of the handshake in handshake.txt.
func recordVectors(v *vectors) {
	_, handshake := read(v, "handshake")
	a, b := ends(v, handshake["users"]["initiator"], handshake["users"]["responder"])
	v.begin("keys", "Records, with the keys of the handshake in handshake.txt.")
	v.put("initiator fingerprint", a.selfID[:])
	v.put("responder fingerprint", b.selfID[:])
	keys := &Keys{}
	for _, d := range []struct {
		name string
		*Direction
	}{{"initiator", &keys.Send}, {"responder", &keys.Receive}} {
		copy(d.Chain[:], v.put(d.name+" key", handshake.bytes(v, "accept", d.name+" key")))
		copy(d.IV[:], v.put(d.name+" iv", handshake.bytes(v, "accept", d.name+" iv")))
	}
	s := both{vectors: v, sealers: map[string]*Sealer{}, openers: map[string]*Opener{}}
	s.sealers["initiator"], s.openers["responder"] = a.Records(keys)
	s.sealers["responder"], s.openers["initiator"] = b.Records(&Keys{Send: keys.Receive, Receive: keys.Send})

	s.record("initiator", Content{Kind: Text, Number: 1, Body: []byte("Good evening, Bob.")}.Append(nil), "The first record of the initiator. Its plaintext is a content.")
	s.record("initiator", nil, "A record of nothing.")
	s.record("responder", Content{Kind: Confirm, Next: 2, Received: 2, Taken: 1}.Append(nil), "The other direction counts for itself.")
	s.record("responder", []byte("short"), "Not a content: a record carries any bytes.")
	s.lose("initiator")
	s.record("initiator", []byte("behind the gap"), "Record 2 of the initiator was lost on its way. Its key had to be derived nevertheless.")

	v.begin("new keys", "Both have agreed on new keys, and may use them from now on.")
	renewed := map[string]Direction{}
	for _, name := range []string{"initiator", "responder"} {
		renewed[name] = Direction{Chain: [32]byte(v.secret(name+" key", 32)), IV: [12]byte(v.secret(name+" iv", 12))}
		s.openers[name].Expect(renewed[name])
	}
	s.sealers["responder"].Renew(renewed["responder"])
	s.record("responder", []byte("the first with new keys"), "The responder uses them at once: a new epoch, whose number is its first record's.")
	s.record("initiator", []byte("the last with old keys"), "The initiator does not yet.")
	s.sealers["initiator"].Renew(renewed["initiator"])
	s.lose("initiator")
	s.record("initiator", []byte("the second with new keys"), "The first record of the initiator's new epoch, 5, was lost.")
	s.record("responder", []byte("and on"), "The last.")
	for name, o := range s.openers {
		if o.Expected() {
			v.Errorf("new keys of the %s are still expected", name)
		}
	}
}

// lose seals a record that nobody gets to see.
func (s both) lose(sender string) { must[[]byte](s)(s.sealers[sender].Seal(nil, nil)) }

// record writes a record, and opens it.
func (s both) record(sender string, plaintext []byte, comment string) {
	s.Helper()
	sealer := s.sealers[sender]
	before, counter := *sealer.chain, sealer.Counter()
	s.begin(fmt.Sprintf("%s's record %d", sender, counter), comment)
	s.words("sender", sender)
	s.number("epoch", before.epoch)
	s.number("counter", counter)
	s.put("chain key", before.key[:])
	var key, next [32]byte
	expand(key[:], before.key[:], "message")
	expand(next[:], before.key[:], "chain")
	s.put("message key", key[:])
	s.put("next chain key", next[:])
	nonce := s.put("nonce", before.nonce(counter))
	header := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(before.epoch)), counter)
	aad := s.put("aad", slices.Concat(header, sealer.users[:]))
	s.put("plaintext", plaintext)
	record := s.put("record", gcm(key[:]).Seal(header, nonce, plaintext, aad))

	equal(s, "sealed", must[[]byte](s)(sealer.Seal(nil, plaintext)), record)
	equal(s, "the chain moved on to", sealer.chain.key[:], next[:])
	equal(s, "opened", must[[]byte](s)(s.openers[sender].Open(record)), plaintext)
	equal(s, "the other side's chain", s.openers[sender].chain.key[:], next[:])
}

// contentVectors writes contents of every kind, and bodies at the borders of every bucket.
func contentVectors(v *vectors) {
	comments := []string{"Contents: the plaintexts of records."}
	for _, c := range []struct {
		name string
		Content
	}{
		{"confirm", Content{Kind: Confirm, Next: 7, Received: 5, Taken: 3}},
		{"probe", Content{Kind: Probe}},
		{"text", Content{Kind: Text, Next: 8, Received: 6, Taken: 4, Number: 1, Body: []byte("Grüße")}},
		{"end", Content{Kind: End, Next: 1 << 32, Received: 1<<32 - 1, Taken: 1 << 16, Number: 2, Body: []byte("good night")}},
		{"rekey", Content{Kind: Rekey, Next: 9, Received: 9, Taken: 9, Number: 3, Body: counting(746)}},
		{"rekeyed", Content{Kind: Rekeyed, Next: 10, Received: 10, Taken: 10, Number: 4, Body: counting(802)}},
		{"abort", Content{Kind: Abort, Next: 11, Received: 11, Taken: 11, Body: []byte{3}}},
		{"resume", Content{Kind: Resume, Next: 9, Received: 7, Taken: 2, Body: Resumption{Step: Asking, Complete: 3, Ahead: 0b1010}.Append(nil)}},
		{"unknown kind", Content{Kind: 200, Next: 1, Received: 1, Taken: 1, Number: 1, Body: counting(3)}},
		{"body of 0", Content{Kind: Text, Number: 5}},
		{"body of 256", Content{Kind: Text, Number: 6, Body: counting(256)}},
		{"body of 257", Content{Kind: Text, Number: 7, Body: counting(257)}},
		{"body of 1024", Content{Kind: Text, Number: 8, Body: counting(1024)}},
		{"body of 1025", Content{Kind: Text, Number: 9, Body: counting(1025)}},
		{"body of 4096", Content{Kind: Text, Number: 10, Body: counting(4096)}},
		{"body of 4097", Content{Kind: Text, Number: 11, Body: counting(4097)}},
		{"body of 16384", Content{Kind: Text, Number: 12, Body: counting(16384)}},
	} {
		v.begin(c.name, comments...)
		comments = nil
		v.content(c.Content)
	}
	comments = []string{"What must be refused."}
	all := malformed()
	for _, name := range []string{
		"a header cut short", "only a header", "padding cut short", "padding too long", "padding not zero at its beginning",
		"padding not zero at its end", "257 bytes in 256", "a length that reaches past its end", "an empty body in 1024",
	} {
		v.begin("refused: "+name, comments...)
		comments = nil
		b := v.put("content", all[name])
		if _, err := ParseContent(b); err == nil {
			v.Errorf("%s was not refused", name)
		}
	}
}

// counting returns n bytes that tell their place by the rule that testdata/README.md has.
func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// content writes a content, whole if it is short.
func (v *vectors) content(c Content) {
	v.Helper()
	v.number("kind", uint64(c.Kind))
	v.number("next", c.Next)
	v.number("received", c.Received)
	v.number("taken", c.Taken)
	v.number("number", c.Number)
	v.number("body length", uint64(len(c.Body)))
	switch {
	case len(c.Body) <= 32:
		v.put("body", c.Body)
	case bytes.Equal(c.Body, counting(len(c.Body))):
		v.words("body rule", "byte i is i mod 251")
	default:
		v.Error("a long body that keeps to no rule")
	}
	b := c.Append(nil)
	v.number("content length", uint64(len(b)))
	v.put("content header", b[:contentHeader])
	sum := hash(b)
	v.put("content hash", sum[:])
	if len(b) == contentHeader+Buckets[0] {
		v.put("content", b)
	}
	if got, err := ParseContent(b); err != nil || !same(got, c) {
		v.Errorf("it comes back as %+v, %v", got, err)
	}
}

// safetyVectors writes the safety numbers of every two of Alice, Bob and Carol.
func safetyVectors(v *vectors) {
	comments := []string{"Safety numbers."}
	for _, names := range [][2]string{{"alice", "bob"}, {"bob", "carol"}, {"alice", "carol"}} {
		v.begin(names[0]+" and "+names[1], comments...)
		comments = nil
		one, other := public(v, names[0]), public(v, names[1])
		low, high := one.Fingerprint(), other.Fingerprint()
		v.put("one fingerprint", low[:])
		v.put("other fingerprint", high[:])
		if bytes.Compare(low[:], high[:]) > 0 {
			low, high = high, low
		}
		v.put("hashed", slices.Concat([]byte("blubbel safety v1\x00"), low[:], high[:]))
		sum := hash([]byte("blubbel safety v1\x00"), low[:], high[:])
		v.put("first hash", sum[:])
		for i := range safetyRounds {
			sum = hash(sum[:], low[:], high[:])
			if i == 0 {
				v.put("hash after 1 round", sum[:])
			}
		}
		v.put(fmt.Sprintf("hash after %d rounds", safetyRounds), sum[:])
		v.put("digits", must[[]byte](v)(hkdf.Expand(sha256.New, sum[:], "blubbel safety v1 digits", 60)))
		v.words("safety number", SafetyNumber(one, other))
	}
}
