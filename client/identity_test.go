package client

import (
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
)

func TestKeysInPEM(t *testing.T) {
	self := testIdentity(t, "bob")
	secret, err := self.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	public := MarshalKey(self.Key())
	if again, err := ParseIdentity(secret); err != nil || string(again.Key()) != string(self.Key()) {
		t.Error("the secret key does not come back", err)
	}
	if key, err := ParseKey(public); err != nil || string(key) != string(self.Key()) {
		t.Error("the public key does not come back", err)
	}
	for name, c := range map[string]struct {
		err  func() error
		says string
	}{
		"nothing":                {func() error { _, err := ParseIdentity(nil); return err }, "not a key in PEM"},
		"public for secret":      {func() error { _, err := ParseIdentity(public); return err }, "this is a public key"},
		"secret for public":      {func() error { _, err := ParseKey(secret); return err }, "never send this around"},
		"text for public":        {func() error { _, err := ParseKey([]byte("hello")); return err }, "not a key in PEM"},
		"another kind of secret": {func() error { _, err := ParseIdentity(block("RSA PRIVATE KEY")); return err }, "PKCS#8"},
		"another kind of public": {func() error { _, err := ParseKey(block("RSA PUBLIC KEY")); return err }, "BEGIN PUBLIC KEY"},
		"a broken secret":        {func() error { _, err := ParseIdentity(block("PRIVATE KEY")); return err }, "not a sound RSA key"},
		"a broken public":        {func() error { _, err := ParseKey(block("PUBLIC KEY")); return err }, "SubjectPublicKeyInfo"},
	} {
		if err := c.err(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v %s %x", self, self, self, self, self); strings.Contains(printed, "private") || len(printed) > 120 {
		t.Errorf("printed as %s", printed)
	}
}

// block is a PEM block of a type, with nonsense in it.
func block(label string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: []byte("nonsense")})
}
