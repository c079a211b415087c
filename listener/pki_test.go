package listener_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed25519Key(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// forged is a key whose private half nobody has: it signs nonsense.
type forged struct{ public crypto.PublicKey }

func (f forged) Public() crypto.PublicKey { return f.public }

func (forged) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return make([]byte, len(digest)), nil
}

// forge makes up an RSA key, and a certificate for it. Nobody could wait for a real one of some of these sizes.
func forge(t *testing.T, bits, exponent int) tls.Certificate {
	t.Helper()
	modulus, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1))) // never fails
	modulus.SetBit(modulus, 0, 1).SetBit(modulus, bits-1, 1)
	c := valid(t, ecdsaKey(t), 1)
	issuer := c.PrivateKey.(crypto.Signer)
	key := forged{&rsa.PublicKey{N: modulus, E: exponent}}
	der, err := x509.CreateCertificate(rand.Reader, c.Leaf, &x509.Certificate{Subject: c.Leaf.Subject}, key.public, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// issue signs a certificate for a key with itself, valid from a time to another. Its number tells it from others.
func issue(t *testing.T, key crypto.Signer, number int64, from, to time.Time) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"relay.test"},
		NotBefore: from, NotAfter: to,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// valid is issue from an hour ago for 90 days.
func valid(t *testing.T, key crypto.Signer, number int64) tls.Certificate {
	t.Helper()
	return issue(t, key, number, time.Now().Add(-time.Hour), time.Now().Add(90*24*time.Hour))
}

// pair is a folder with cert.pem and key.pem.
type pair string

func (p pair) certificate() string { return filepath.Join(string(p), "cert.pem") }

func (p pair) key() string { return filepath.Join(string(p), "key.pem") }

// put writes both as a careful program would: each beside the old one, and then in its place.
func (p pair) put(t *testing.T, c tls.Certificate) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, p.certificate(), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
	replace(t, p.key(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func replace(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}
