package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"slices"

	"github.com/mdeiml/blubbel-server/frames"
)

// badKey is a key that no relay may take.
type badKey struct {
	name string
	key  frames.Key
}

// DER, as far as bad keys need it (X.690).
const (
	derInteger    = 0x02
	derBits       = 0x03
	derSequence   = 0x30
	shortest      = 0x80 // lengths from here on have bytes of their own
	indefinite    = 0x80
	rsaAlgorithm  = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"
	noParameters  = "\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
	pssAlgorithm  = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x05\x00"
	usualExponent = "\x01\x00\x01"

	goodBytes  = 256  // of a modulus of 2048 bits
	giantBytes = 2010 // of the longest modulus that fits into a Login
	hugeBytes  = 1700 // of an exponent behind a modulus of 2048 bits
)

// der is an element with its length in the shortest form.
func der(tag byte, content ...[]byte) []byte {
	var all []byte
	for _, c := range content {
		all = append(all, c...)
	}
	n := len(all)
	head := []byte{tag, byte(n)} //nolint:gosec // the lower byte
	switch {
	case n > 0xff:
		head = []byte{tag, shortest | 2, byte(n >> 8), byte(n)} //nolint:gosec // the two lower bytes
	case n >= shortest:
		head = []byte{tag, shortest | 1, byte(n)}
	}
	return append(head, all...)
}

// spki is a SubjectPublicKeyInfo, whatever its numbers are.
func spki(algorithm string, modulus, power []byte) []byte {
	return der(derSequence, []byte(algorithm), der(derBits, []byte{0}, pkcs1(modulus, power)))
}

func pkcs1(modulus, power []byte) []byte {
	return der(derSequence, der(derInteger, modulus), der(derInteger, power))
}

// number is a random odd number of so many bytes, all of whose bits count, as DER has it.
func number(bytes int) []byte {
	n := make([]byte, 1+bytes)
	_, _ = rand.Read(n[1:]) // it never fails
	n[1] |= 0x80
	n[bytes] |= 1
	return n
}

// hostileKeys returns the bad keys there are, with new numbers.
func hostileKeys() []badKey {
	n := number(goodBytes)
	return append(badNumbers(n), badForms(n)...)
}

// badNumbers are keys whose form is right. All others are made of the modulus n.
func badNumbers(n []byte) (keys []badKey) {
	usual := []byte(usualExponent)
	for _, k := range []struct {
		name           string
		modulus, power []byte
	}{
		{"a giant modulus", number(giantBytes), usual},
		{"a giant modulus and exponent 2", number(giantBytes), []byte{2}},
		{"1024 bits", number(128), usual},
		{"4104 bits", number(513), usual},
		{"an even modulus", append(number(goodBytes-1), 0), usual},
		{"a negative modulus", n[1:], usual},
		{"the modulus 0", []byte{0}, usual},
		{"a modulus with a zero in front", append([]byte{0}, n...), usual},
		{"the exponent 0", n, []byte{0}},
		{"the exponent 1", n, []byte{1}},
		{"the exponent 2", n, []byte{2}},
		{"the exponent 3", n, []byte{3}},
		{"a huge exponent", n, number(hugeBytes)},
		{"a negative exponent", n, []byte{0x81, 0, 1}},
		{"an exponent with a zero in front", n, append([]byte{0}, usual...)},
	} {
		keys = append(keys, badKey{k.name, spki(rsaAlgorithm, k.modulus, k.power)})
	}
	return keys
}

// badForms are not quite, or not at all, the form of a key, though some would be one of the modulus n otherwise.
func badForms(n []byte) []badKey {
	usual := []byte(usualExponent)
	good := spki(rsaAlgorithm, n, usual)
	other, _ := x509.MarshalPKIXPublicKey(ed25519.PublicKey(n[1 : 1+ed25519.PublicKeySize])) // it always can
	return []badKey{
		{"a length that is not the shortest", append([]byte{derSequence, shortest | 3, 0}, good[2:]...)},
		{"a length that is not given", append(append([]byte{derSequence, indefinite}, good[4:]...), 0, 0)},
		{"something behind it", append(slices.Clone(good), 0)},
		{"cut short", good[:len(good)-1]},
		{"nothing", nil},
		{"noise", number(frames.MaxLoginPayload - 1)[1:]},
		{"PEM", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: good})},
		{"PKCS#1", pkcs1(n, usual)},
		{"RSA-PSS", spki(pssAlgorithm, n, usual)},
		{"no parameters", spki(noParameters, n, usual)},
		{"Ed25519", other},
	}
}
