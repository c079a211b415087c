package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"

	"github.com/mdeiml/blubbel-server/frames"
)

// exponent is the one that a relay takes.
const exponent = 65537

// madeUpKey returns a public key whose modulus is a random odd number of so many bits. Nobody knows its factors, and a
// relay does not ask: making thousands of real keys would take minutes.
func madeUpKey(bits int) (frames.Key, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1)))
	if err != nil {
		return nil, fmt.Errorf("no random numbers: %w", err)
	}
	n.SetBit(n, bits-1, 1)
	n.SetBit(n, 0, 1)
	return x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: exponent})
}
