package frames

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// Sizes of what proves something, in bytes.
const (
	NonceSize    = 32
	exporterSize = 32
)

// ExporterLabel is the label of TLS 1.3's exporter whose 32 bytes, without a context, a Binding holds (RFC 9266).
const ExporterLabel = "EXPORTER-Channel-Binding"

// Binding ties a proof to the channel it is sent over, so that nobody can forward it over another. The zero value ties it to
// none, on connections without TLS, and where a browser could not know.
type Binding struct {
	Exported bool               // by TLS: type 1 on the wire; 0 if not
	Value    [exporterSize]byte // zeros if not
}

// Greeting is what both proofs are about: a Hello, its Welcome, and the channel they went over.
type Greeting struct {
	Hello   [sha256.Size]byte // of the payload
	Welcome [sha256.Size]byte // of the payload; for the relay's proof, without the signature's element
	Channel Binding
}

// NewGreeting takes the payloads of a Hello and of its whole Welcome, for the user's proof.
func NewGreeting(hello, welcome []byte, channel Binding) Greeting {
	return Greeting{Hello: sha256.Sum256(hello), Welcome: sha256.Sum256(welcome), Channel: channel}
}

// What both signed texts begin with: 64 spaces, as TLS 1.3 does (RFC 8446, 4.4.3), and what the text is for.
var (
	loginPurpose = strings.Repeat(" ", 64) + "blubbel login v1\x00"
	relayPurpose = strings.Repeat(" ", 64) + "blubbel relay v1\x00"
)

// text returns what is signed but for the key of a login.
func (g Greeting) text(purpose string) []byte {
	t := append([]byte(purpose), g.Hello[:]...)
	t = append(t, g.Welcome[:]...)
	exported := byte(0)
	if g.Channel.Exported {
		exported = 1
	}
	return append(append(t, exported), g.Channel.Value[:]...)
}

// LoginText returns what a Prove signs (docs/protocol.md, Prove).
func (g Greeting) LoginText(key Key) []byte {
	who := key.Fingerprint()
	return append(g.text(loginPurpose), who[:]...)
}

// pss is the one form of signature that is taken.
var pss = &rsa.PSSOptions{SaltLength: sha256.Size, Hash: crypto.SHA256}

// Prove returns the proof that the holder of a private key logs in with.
func (g Greeting) Prove(private *rsa.PrivateKey) (Prove, error) {
	key, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return Prove{}, err
	}
	digest := sha256.Sum256(g.LoginText(key))
	signature, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], pss)
	return Prove{Key: key, Signature: signature}, err
}

// Proven reports whether a proof is a valid one of this greeting. It takes up to half a millisecond of computing. The key is to have been
// checked, by [Keys.Check]: of others the arithmetic may take very long.
func (g Greeting) Proven(p Prove) bool {
	parsed, err := x509.ParsePKIXPublicKey(p.Key)
	public, ok := parsed.(*rsa.PublicKey)
	if err != nil || !ok {
		return false
	}
	digest := sha256.Sum256(g.LoginText(p.Key))
	return rsa.VerifyPSS(public, crypto.SHA256, digest[:], p.Signature, pss) == nil
}

// RelayID is a relay's Ed25519 public key: who it is, to clients that know it from an address.
type RelayID [ed25519.PublicKeySize]byte

// String returns the id as it stands in addresses, in base64url without padding.
func (id RelayID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseRelayID reads an id as String writes it.
func ParseRelayID(s string) (id RelayID, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	switch {
	case err != nil || len(b) != len(id) || len(s) != len(id.String()): // line breaks are skipped
		return id, errors.New("a relay's id is 43 letters, digits, - and _")
	case RelayID(b).String() != s: // bits behind the last byte
		return id, errors.New("this relay id cannot be right; perhaps a letter is mistyped")
	}
	return RelayID(b), nil
}

// signatureElement is the length of a Welcome's last element.
const signatureElement = 3 + ed25519.SignatureSize

// relayText returns what the relay signs: welcome is the payload of its Welcome before the signature's element.
func relayText(hello, welcome []byte, channel Binding) []byte {
	return NewGreeting(hello, welcome, channel).text(relayPurpose)
}

// Sign returns the Welcome with the relay's signature. It answers the Hello with this payload, which is to have a nonce.
func (f Welcome) Sign(hello []byte, channel Binding, identity ed25519.PrivateKey) Welcome {
	f.Signature = nil
	f.Signature = ed25519.Sign(identity, relayText(hello, f.Append(nil)[HeaderSize:], channel))
	return f
}

// SignedBy reports whether the payload of a Welcome, which answers a Hello with that payload, was signed by the relay.
func SignedBy(id RelayID, hello, welcome []byte, channel Binding) bool {
	before := len(welcome) - signatureElement
	if before < 0 || welcome[before] != 7 || binary.BigEndian.Uint16(welcome[before+1:]) != ed25519.SignatureSize {
		return false // or it is not its last element: what is behind it would be unsigned
	}
	return ed25519.Verify(id[:], relayText(hello, welcome[:before], channel), welcome[before+3:])
}
