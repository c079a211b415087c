package specs_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

// owner is somebody who holds the private half of a key, and says Hello.
type owner struct {
	*client
	private  *rsa.PrivateKey
	hello    []byte // the payload
	welcome  []byte // the payload
	greeting frames.Greeting
}

// primes of 1024 bits: any two make a key, so that a thousand keys cost no more than a few dozen. Nobody else should do so.
var primes struct {
	sync.Mutex
	are        []*big.Int
	left, next int
}

// freshOwner is a key of 2048 bits with its private half.
func freshOwner() *rsa.PrivateKey {
	GinkgoHelper()
	primes.Lock()
	defer primes.Unlock()
	for {
		if primes.next >= len(primes.are) {
			p, err := rand.Prime(rand.Reader, 1024)
			Expect(err).NotTo(HaveOccurred())
			primes.are = append(primes.are, p)
			primes.left, primes.next = 0, len(primes.are)-1
		}
		for primes.left < primes.next {
			p, q := primes.are[primes.left], primes.are[primes.next]
			primes.left++
			if key := keyOf(p, q); key != nil {
				return key
			}
		}
		primes.next++
	}
}

// keyOf makes a key of two primes, if they make one.
func keyOf(p, q *big.Int) *rsa.PrivateKey {
	one := big.NewInt(1)
	n := new(big.Int).Mul(p, q)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(big.NewInt(65537), phi)
	if d == nil || n.BitLen() != 2048 || p.Cmp(q) == 0 {
		return nil
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d, Primes: []*big.Int{p, q}}
	key.Precompute()
	if key.Validate() != nil {
		return nil
	}
	return key
}

// publicOf is the public half, as on the wire.
func publicOf(private *rsa.PrivateKey) frames.Key {
	GinkgoHelper()
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	Expect(err).NotTo(HaveOccurred())
	return logged.key(der)
}

// features of a Hello.
const wantsPresence = 1

// greets connects as the holder of a key, and says Hello, with a nonce.
func (r *relay) greets(ctx context.Context, private *rsa.PrivateKey, features uint32) *owner {
	GinkgoHelper()
	o := &owner{client: r.connectAs(publicOf(private)), private: private}
	o.saysHello(ctx, features)
	return o
}

func (o *owner) saysHello(ctx context.Context, features uint32) {
	GinkgoHelper()
	nonce := make([]byte, frames.NonceSize)
	_, _ = rand.Read(nonce)
	hello := frames.Hello{Elements: frames.Elements{Features: features, Nonce: nonce, Software: "specs"}}
	o.says(hello)
	welcome := o.hears(ctx)
	Expect(welcome).To(BeAssignableToTypeOf(frames.Welcome{}))
	o.hello, o.welcome = hello.Append(nil)[frames.HeaderSize:], welcome.Append(nil)[frames.HeaderSize:]
	o.greeting = frames.NewGreeting(o.hello, o.welcome, o.channel())
}

// channel is what the connection's proofs are bound to.
func (o *owner) channel() (b frames.Binding) {
	GinkgoHelper()
	conn, ok := o.conn.(*tls.Conn)
	if !ok {
		return b
	}
	state := conn.ConnectionState()
	value, err := state.ExportKeyingMaterial(frames.ExporterLabel, nil, len(b.Value))
	Expect(err).NotTo(HaveOccurred())
	return frames.Binding{Exported: true, Value: [32]byte(value)}
}

// proof is what the owner proves with on this connection.
func (o *owner) proof() frames.Prove {
	GinkgoHelper()
	p, err := o.greeting.Prove(o.private)
	Expect(err).NotTo(HaveOccurred())
	return p
}

// proves logs the holder of a key in.
func (r *relay) proves(ctx context.Context, private *rsa.PrivateKey, features uint32) *owner {
	GinkgoHelper()
	o := r.greets(ctx, private, features)
	o.says(o.proof())
	Expect(o.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	return o
}

// provenSession logs two in who have proved, and opens a session between them.
func (r *relay) provenSession(ctx context.Context, features uint32) (alice, bob *owner) {
	GinkgoHelper()
	alice, bob = r.proves(ctx, freshOwner(), features), r.proves(ctx, freshOwner(), features)
	alice.meets(ctx, bob.client)
	if features&wantsPresence != 0 {
		Expect(alice.hears(ctx)).To(Equal(frames.Presence{Online: true, Peer: bob.key}))
		Expect(bob.hears(ctx)).To(Equal(frames.Presence{Online: true, Peer: alice.key}))
	}
	return alice, bob
}
