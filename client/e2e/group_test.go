package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/big"
	"testing"
)

// power returns 2^n.
func power(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

// bigPrime is p by its definition (RFC 7919, A.2), not by the digits in the package:
// 2^3072 - 2^3008 + (⌊2^2942·e⌋ + 2625351)·2^64 - 1.
func bigPrime() *big.Int {
	const guard = 128 // bits behind the point, far more than the series' rounding can reach
	e, term := new(big.Int), power(2942+guard)
	for k := int64(1); term.Sign() > 0; k++ { // e = 1/0! + 1/1! + 1/2! + …
		e.Add(e, term)
		term = new(big.Int).Quo(term, big.NewInt(k))
	}
	e.Rsh(e, guard).Add(e, big.NewInt(2625351)).Lsh(e, 64)
	p := power(3072)
	p.Sub(p, power(3008))
	return p.Add(p, e).Sub(p, big.NewInt(1))
}

// element pads a number to a share. Numbers may be as large as 2^3072 - 1.
func element(n *big.Int) []byte { return n.FillBytes(make([]byte, shareSize)) }

// around returns p + d.
func around(d int64) *big.Int { return new(big.Int).Add(bigPrime(), big.NewInt(d)) }

// outside are the shares as long as a share that are none: not in the group, or with a secret that anybody knows.
var outside = map[string][]byte{
	"0":          element(big.NewInt(0)),
	"1":          element(big.NewInt(1)),
	"p-1":        element(around(-1)),
	"p":          element(around(0)),
	"p+1":        element(around(1)),
	"2^3072 - 1": bytes.Repeat([]byte{0xff}, shareSize),
}

// exponentOf returns a small number as an exponent.
func exponentOf(n uint64) *exponent {
	x := new(exponent)
	binary.BigEndian.PutUint64(x[exponentSize-8:], n)
	return x
}

func TestThePrimeIsThatOfRFC7919AndSafe(t *testing.T) {
	p := bigPrime()
	if used := new(big.Int).SetBytes(prime.Nat().Bytes(prime)); used.Cmp(p) != 0 {
		t.Fatalf("p is\n%x, by its definition\n%x", used, p)
	}
	if prime.BitLen() != 3072 || prime.Size() != shareSize {
		t.Errorf("p has %d bits in %d bytes", prime.BitLen(), prime.Size())
	}
	half := new(big.Int).Rsh(p, 1)
	if !p.ProbablyPrime(2) || !half.ProbablyPrime(2) { // both also by Baillie-PSW
		t.Error("p or (p-1)/2 is composite")
	}
	if new(big.Int).Exp(big.NewInt(2), half, p).Cmp(big.NewInt(1)) != 0 {
		t.Error("2 does not generate the subgroup of order (p-1)/2")
	}
}

func TestSharesAgreeWithMathBig(t *testing.T) {
	p, largest := bigPrime(), new(exponent)
	for i := range largest {
		largest[i] = 0xff
	}
	for _, x := range []*exponent{exponentOf(1), exponentOf(3071), exponentOf(3072), largest, newExponent(), newExponent()} {
		want := new(big.Int).Exp(big.NewInt(2), new(big.Int).SetBytes(x[:]), p)
		if got := x.share(); !bytes.Equal(got, element(want)) {
			t.Errorf("2^%x is %x", x[:], got)
		}
		y := newExponent()
		shared, err := y.shared(x.share())
		want.Exp(want, new(big.Int).SetBytes(y[:]), p)
		if err != nil || !bytes.Equal(shared, element(want)) {
			t.Errorf("%x^%x is %x, %v", x.share(), y[:], shared, err)
		}
	}
}

func TestBothSidesShareTheSameSecret(t *testing.T) {
	x, y := newExponent(), newExponent()
	one, err := x.shared(y.share())
	other, err2 := y.shared(x.share())
	if err != nil || err2 != nil || !bytes.Equal(one, other) {
		t.Errorf("%x and %x: %v, %v", one, other, err, err2)
	}
	if *x == *y {
		t.Error("two exponents are the same")
	}
}

// A secret with zeros in front must keep them, or its length tells of it and the two sides hash different things.
func TestSharesAndSecretsKeepTheirLeadingZeros(t *testing.T) {
	for _, c := range []struct{ n, zeros int }{{1, shareSize - 1}, {7, shareSize - 1}, {8, shareSize - 2}, {3063, 1}, {3064, 0}} {
		want := element(power(uint(c.n)))
		share := exponentOf(uint64(c.n)).share()
		if !bytes.Equal(share, want) || !bytes.Equal(share[:c.zeros], make([]byte, c.zeros)) || share[c.zeros] == 0 {
			t.Errorf("2^%d as a share is %x", c.n, share)
		}
		if secret, err := exponentOf(uint64(c.n)).shared(element(big.NewInt(2))); err != nil || !bytes.Equal(secret, want) {
			t.Errorf("2^%d as a secret is %x, %v", c.n, secret, err)
		}
		if secret, err := exponentOf(1).shared(want); err != nil || !bytes.Equal(secret, want) {
			t.Errorf("2^%d to the 1 is %x, %v", c.n, secret, err)
		}
	}
}

func TestOnlyElementsOfTheGroupAreTaken(t *testing.T) {
	x := newExponent()
	for name, share := range outside {
		if secret, err := x.shared(share); !errors.Is(err, ErrGroup) || secret != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, share := range map[string][]byte{
		"nothing":                  {},
		"a byte short":             element(power(3000))[1:],
		"only its digits":          {2},
		"a byte long":              append(element(power(3000)), 0),
		"a zero in front too many": append([]byte{0}, element(power(3000))...),
	} {
		if secret, err := x.shared(share); !errors.Is(err, ErrGroup) || secret != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, n := range map[string]*big.Int{"2": big.NewInt(2), "p-2": around(-2)} {
		if _, err := x.shared(element(n)); err != nil {
			t.Errorf("%s, an element: %v", name, err)
		}
	}
}

func TestAnErasedExponentIsGone(t *testing.T) {
	x := newExponent()
	x.erase()
	if *x != (exponent{}) {
		t.Errorf("it is %x", x[:])
	}
}
