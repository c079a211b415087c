package client

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/mdeiml/blubbel-server/client/e2e"
	"github.com/mdeiml/blubbel-server/frames"
)

// identityBits is the size of new keys: 128 bits of strength (SP 800-57, part 1, table 2).
const identityBits = 3072

// The labels of PEM blocks (RFC 7468, 10 and 13).
const (
	pemPrivate = "PRIVATE KEY" // PKCS#8
	pemPublic  = "PUBLIC KEY"  // SubjectPublicKeyInfo
)

// Identity is a user's own key, with its secret half. Users are RSA keys, and nothing else.
type Identity struct {
	private *rsa.PrivateKey
	key     frames.Key
}

// NewIdentity makes a key of 3072 bits.
func NewIdentity() (*Identity, error) {
	private, err := rsa.GenerateKey(rand.Reader, identityBits)
	if err != nil {
		return nil, err
	}
	return identityOf(private)
}

// ParseIdentity reads a secret key: PKCS#8 in PEM ("BEGIN PRIVATE KEY"), RSA, 2048 to 4096 bits, exponent 65537, without a
// passphrase.
func ParseIdentity(text []byte) (*Identity, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("this is not a key in PEM (BEGIN PRIVATE KEY)")
	case block.Type == pemPublic:
		return nil, errors.New("this is a public key; the secret one is needed here")
	case block.Type != pemPrivate:
		return nil, fmt.Errorf("a key as PKCS#8 (BEGIN PRIVATE KEY) is needed here, not %q", block.Type)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("this is not a sound RSA key")
	}
	return identityOf(private)
}

func identityOf(private *rsa.PrivateKey) (*Identity, error) {
	key, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := frames.DefaultKeys().Check(key); err != nil {
		return nil, unwordy(err)
	}
	return &Identity{private: private, key: key}, nil
}

// Key is the public half: who this user is, to everybody else.
func (i *Identity) Key() frames.Key { return i.key }

// MarshalPEM returns the secret key as ParseIdentity reads it. Whoever has it is the user.
func (i *Identity) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(i.private)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// Format implements fmt.Formatter for every verb, so that a secret cannot be printed by mistake.
func (i *Identity) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "identity %.8s", i.key.Hex()) }

// MarshalKey returns a public key in PEM ("BEGIN PUBLIC KEY"), to give to a friend.
func MarshalKey(key frames.Key) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: key})
}

// ParseKey reads a public key in PEM ("BEGIN PUBLIC KEY"), RSA of 2048 to 4096 bits, exponent 65537.
func ParseKey(text []byte) (frames.Key, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("this is not a key in PEM (BEGIN PUBLIC KEY)")
	case block.Type == pemPrivate:
		return nil, errors.New("this is a secret key; ask for the public one, and never send this around")
	case block.Type != pemPublic:
		return nil, fmt.Errorf("a BEGIN PUBLIC KEY block is needed here, not %q", block.Type)
	}
	if err := frames.DefaultKeys().Check(block.Bytes); err != nil {
		return nil, unwordy(err)
	}
	return block.Bytes, nil
}

// unwordy leaves out the code's name: here no relay has refused anything.
func unwordy(err error) error {
	if refusal, ok := errors.AsType[*frames.Refusal](err); ok {
		return errors.New(refusal.Text)
	}
	return err
}

// SafetyNumber returns the number of two users, the same for both: 60 digits in twelve groups. If both see the same when
// they meet or call each other, each has the other's true key.
func SafetyNumber(one, other frames.Key) string { return e2e.SafetyNumber(one, other) }
