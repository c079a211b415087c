package model

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"slices"

	"github.com/mdeiml/blubbel-server/frames"
)

// privates are the users' keys, of different lengths: made of a handful of primes, because those take long to find. Nobody else should
// do so.
var privates = func() (list []*rsa.PrivateKey) {
	const exponent = 65537
	var primes []*big.Int
	for _, bits := range []int{1024, 1024, 1024, 1536, 1536} {
		primes = append(primes, must(rand.Prime(rand.Reader, bits)))
	}
	one := big.NewInt(1)
	for _, of := range [][2]int{{0, 1}, {0, 2}, {1, 2}, {3, 4}, {0, 3}} {
		p, q := primes[of[0]], primes[of[1]]
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		key := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
			D:         new(big.Int).ModInverse(big.NewInt(exponent), phi), // there is one, but for one time in thousands
			Primes:    []*big.Int{p, q},
		}
		key.Precompute()
		list = append(list, key)
	}
	return list
}()

// keys are their public halves.
var keys = func() (list []frames.Key) {
	for _, private := range privates {
		list = append(list, must(x509.MarshalPKIXPublicKey(&private.PublicKey)))
	}
	return list
}()

func userOf(k frames.Key) int {
	return slices.IndexFunc(keys, func(key frames.Key) bool { return string(k) == string(key) })
}
