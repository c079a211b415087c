package e2e

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"filippo.io/bigmod"
)

// The group is ffdhe3072 (RFC 7919, A.2): a safe prime, generator 2.
const (
	shareSize    = 384 // bytes of a group element, and of the shared secret
	exponentSize = 40  // bytes; 2 × 125 bits of strength would need 275 bits, more cost little
	ffdhe3072    = "" +
		"ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1d8b9c583ce2d3695" +
		"a9e13641146433fbcc939dce249b3ef97d2fe363630c75d8f681b202aec4617a" +
		"d3df1ed5d5fd65612433f51f5f066ed0856365553ded1af3b557135e7f57c935" +
		"984f0c70e0e68b77e2a689daf3efe8721df158a136ade73530acca4f483a797a" +
		"bc0ab182b324fb61d108a94bb2c8e3fbb96adab760d7f4681d4f42a3de394df4" +
		"ae56ede76372bb190b07a7c8ee0a6d709e02fce1cdf7e2ecc03404cd28342f61" +
		"9172fe9ce98583ff8e4f1232eef28183c3fe3b1b4c6fad733bb5fcbc2ec22005" +
		"c58ef1837d1683b2c6f34a26c1b2effa886b4238611fcfdcde355b3b6519035b" +
		"bc34f4def99c023861b46fc9d6e6c9077ad91d2691f7f7ee598cb0fac186d91c" +
		"aefe130985139270b4130c93bc437944f4fd4452e2d74dd364f2e21e71f54bff" +
		"5cae82ab9c9df69ee86d2bc522363a0dabc521979b0deada1dbf9a42d5c4484e" +
		"0abcd06bfa53ddef3c1b20ee3fd59d7c25e41d2b66c62e37ffffffffffffffff"
)

// prime is p. bigmod computes in constant time, which math/big does not.
var prime = func() *bigmod.Modulus {
	b, err := hex.DecodeString(ffdhe3072)
	if err != nil {
		panic(err)
	}
	m, err := bigmod.NewModulus(b)
	if err != nil {
		panic(err)
	}
	return m
}()

// exponent is the secret half of an exchange, used once.
type exponent [exponentSize]byte

func newExponent() *exponent {
	x := new(exponent)
	_, _ = rand.Read(x[:]) // never fails: crypto/rand ends the program instead
	return x
}

// share returns g^x mod p, big-endian and padded to shareSize bytes.
func (x *exponent) share() []byte {
	return bigmod.NewNat().Exp(bigmod.NewNat().SetUint(2).ExpandFor(prime), x[:], prime).Bytes(prime)
}

// shared returns y^x mod p, padded to shareSize bytes: a secret whose length varied would leak (RFC 8446, 7.4.1). A y
// outside 2 … p-2 is refused with ErrGroup; more need not be checked in a group of a safe prime (RFC 7919, 5.1).
func (x *exponent) shared(y []byte) ([]byte, error) {
	if len(y) != shareSize {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrGroup, len(y))
	}
	base, err := bigmod.NewNat().SetBytes(y, prime)
	if err != nil {
		return nil, fmt.Errorf("%w: it is not below p", ErrGroup)
	}
	if base.IsZero()|base.IsOne()|base.IsMinusOne(prime) != 0 {
		return nil, fmt.Errorf("%w: it is 0, 1 or p-1", ErrGroup)
	}
	return bigmod.NewNat().Exp(base, x[:], prime).Bytes(prime), nil
}

// erase overwrites the exponent, as far as Go's memory allows.
func (x *exponent) erase() { clear(x[:]) }
