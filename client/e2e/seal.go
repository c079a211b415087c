package e2e

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
)

// sealLabel is the label of OAEP, so that nothing sealed for another purpose can be taken for ours.
const sealLabel = "blubbel session v1"

// Seal seals a body to the peer's key: OAEP-SHA256 (RFC 8017, 7.1) wraps a fresh key, AES-256-GCM with that key and a
// nonce of zeros carries the body. A half of an exchange and a signature would not fit into OAEP.
func (e *Ends) Seal(body []byte) ([]byte, error) {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	defer clear(key[:])
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, e.peer, key[:], []byte(sealLabel))
	if err != nil {
		return nil, err
	}
	var nonce [12]byte // the key is used once
	return gcm(key[:]).Seal(wrapped, nonce[:], body, nil), nil
}

// Unseal opens what the peer sealed to our key. Whatever is wrong is ErrUnsealable.
func (e *Ends) Unseal(sealed []byte) ([]byte, error) {
	n := e.self.Size()
	if len(sealed) < n {
		return nil, ErrUnsealable
	}
	wrapped, box := sealed[:n], sealed[n:]
	key, err := rsa.DecryptOAEP(sha256.New(), nil, e.self, wrapped, []byte(sealLabel))
	if err != nil || len(key) != 32 {
		return nil, ErrUnsealable
	}
	defer clear(key)
	var nonce [12]byte
	body, err := gcm(key).Open(nil, nonce[:], box, nil)
	if err != nil {
		return nil, ErrUnsealable
	}
	return body, nil
}

// gcm is AES-256-GCM with nonces of 12 bytes and tags of 16 (SP 800-38D).
func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // keys have 32 bytes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has blocks of 16 bytes
	}
	return aead
}
