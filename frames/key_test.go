package frames_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/mdeiml/blubbel-server/frames"
)

// spki encodes what a SubjectPublicKeyInfo of these numbers would be, sane or not.
func spki(t testing.TB, modulus, exponent *big.Int) []byte {
	t.Helper()
	public, err := asn1.Marshal(struct{ N, E *big.Int }{modulus, exponent})
	if err != nil {
		t.Fatal(err)
	}
	type algorithm struct {
		OID        asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}
	der, err := asn1.Marshal(struct {
		Algorithm algorithm
		Key       asn1.BitString
	}{
		algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue},
		asn1.BitString{Bytes: public, BitLength: len(public) * 8},
	})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

var exponent65537 = big.NewInt(65537)

// modulus returns an odd number of n bits.
func modulus(n int) *big.Int {
	m := new(big.Int).Lsh(big.NewInt(1), uint(n-1))
	return m.SetBit(m, 0, 1)
}

func TestCheckKey(t *testing.T) {
	alice := publicKey("alice")
	e := exponent65537
	edit := func(at int, to ...byte) []byte { // alice's key with other bytes at a place
		k := bytes.Clone(alice)
		copy(k[at:], to)
		return k
	}
	huge := new(big.Int).Lsh(big.NewInt(1), 1<<10)
	for _, c := range []struct {
		name string
		key  []byte
		ok   bool
	}{
		{"alice", alice, true},
		{"2048 bits", spki(t, modulus(2048), e), true},
		{"2049 bits", spki(t, modulus(2049), e), true},
		{"4096 bits", spki(t, modulus(4096), e), true},
		{"2047 bits", spki(t, modulus(2047), e), false},
		{"4097 bits", spki(t, modulus(4097), e), false},
		{"1024 bits", spki(t, modulus(1024), e), false},
		{"even modulus", spki(t, new(big.Int).Lsh(modulus(2047), 1), e), false},
		{"modulus 0", spki(t, big.NewInt(0), e), false},
		{"negative modulus", spki(t, new(big.Int).Neg(modulus(2048)), e), false},
		{"exponent 0", spki(t, modulus(2048), big.NewInt(0)), false},
		{"exponent 1", spki(t, modulus(2048), big.NewInt(1)), false},
		{"exponent 2", spki(t, modulus(2048), big.NewInt(2)), false},
		{"exponent 3", spki(t, modulus(2048), big.NewInt(3)), false},
		{"exponent -1", spki(t, modulus(2048), big.NewInt(-1)), false},
		{"huge exponent", spki(t, modulus(2048), huge), false},
		{"nothing", nil, false},
		{"one byte", []byte{0x30}, false},
		{"empty sequence", []byte{0x30, 0}, false},
		{"cut off", alice[:len(alice)-1], false},
		{"a byte more", append(bytes.Clone(alice), 0), false},
		{"another algorithm", edit(6, 0x55), false},
		{"unused bits", edit(23, 1), false},
		{"no bit string", edit(19, 0x04), false},
		{"raw key of the first server", bytes.Repeat([]byte{0x80}, frames.SeedKeySize), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := frames.DefaultKeys().Check(c.key)
			var refusal *frames.Refusal
			switch {
			case c.ok && err != nil:
				t.Error(err)
			case !c.ok && (!errors.As(err, &refusal) || refusal.Code != frames.BadKey || refusal.Text == ""):
				t.Errorf("refused with %v", err)
			}
		})
	}
}

func TestCheckKeyAtEveryLength(t *testing.T) {
	alice := publicKey("alice")
	for n := range alice {
		if frames.DefaultKeys().Check(alice[:n]) == nil {
			t.Errorf("the first %d bytes of a key pass for a key", n)
		}
		if _, _, err := frames.DefaultKeys().Split(alice[:n]); err == nil {
			t.Errorf("the first %d bytes of a key are split off as a key", n)
		}
	}
}

func TestSeedRawKeys(t *testing.T) {
	seed := frames.Keys{MinBits: 2048, MaxBits: 4096, SeedRaw: true}
	old := bytes.Repeat([]byte{0xab}, frames.SeedKeySize)
	if err := seed.Check(old); err != nil {
		t.Error(err)
	}
	if err := seed.Check(publicKey("alice")); err != nil {
		t.Error(err)
	}
	if err := seed.Check(append(old, 1)); err == nil {
		t.Error("129 bytes pass for a raw key")
	}
	key, rest, err := seed.Split(append(bytes.Clone(old), "text"...))
	if err != nil || !bytes.Equal(key, old) || string(rest) != "text" {
		t.Errorf("split into %v, %q, %v", key, rest, err)
	}
	if _, _, err := seed.Split(old[:127]); err == nil {
		t.Error("127 bytes are split off as a raw key")
	}
}

func TestAKeyDoesNotPrint(t *testing.T) {
	key := publicKey("alice")
	asJSON, err := json.Marshal(struct{ Key frames.Key }{key})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(key), fmt.Sprintf("%x %q %+v %#v", key, key, key, key), string(asJSON)} {
		if !strings.Contains(s, "key of 294 bytes") || len(s) > 100 {
			t.Errorf("prints as %s", s)
		}
	}
}
