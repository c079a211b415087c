package specs_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
)

// client is somebody who talks to the relay.
type client struct {
	key  frames.Key
	conn net.Conn
	in   *bufio.Reader
	said uint64 // frames, so the number of the last one
}

// freshKey is a public key of so many bits, whose private half nobody has: the relay cannot tell.
func freshKey(bits int) frames.Key {
	GinkgoHelper()
	modulus, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1)))
	Expect(err).NotTo(HaveOccurred())
	modulus.SetBit(modulus, 0, 1).SetBit(modulus, bits-1, 1)
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: modulus, E: 65537})
	Expect(err).NotTo(HaveOccurred())
	return logged.key(der)
}

// connect opens a connection for somebody with a key of their own.
func (r *relay) connect() *client { return r.connectAs(freshKey(2048)) }

func (r *relay) connectAs(key frames.Key) *client {
	GinkgoHelper()
	conn, err := r.dial()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	return &client{key: key, conn: conn, in: bufio.NewReaderSize(conn, 128<<10)}
}

// login opens a connection and logs in.
func (r *relay) login(ctx context.Context) *client { return r.loginAs(ctx, freshKey(2048)) }

func (r *relay) loginAs(ctx context.Context, key frames.Key) *client {
	GinkgoHelper()
	c := r.connectAs(key)
	c.says(frames.Login{Key: key})
	Expect(c.hears(ctx)).To(Equal(frames.LoginAccepted{}))
	return c
}

// session logs two in, and opens a session between them.
func (r *relay) session(ctx context.Context) (alice, bob *client) {
	GinkgoHelper()
	alice, bob = r.login(ctx), r.login(ctx)
	alice.meets(ctx, bob)
	return alice, bob
}

// meets opens a session: c asks, the other accepts.
func (c *client) meets(ctx context.Context, other *client) {
	GinkgoHelper()
	c.asks(ctx, other)
	other.says(frames.AcceptSession{Peer: c.key, Sealed: mark})
	Expect(c.hears(ctx)).To(Equal(frames.AcceptSession{Peer: other.key, Sealed: mark}))
}

// asks has a StartSession reach the other.
func (c *client) asks(ctx context.Context, other *client) {
	GinkgoHelper()
	c.says(frames.StartSession{Peer: other.key, Sealed: mark})
	Expect(other.hears(ctx)).To(Equal(frames.StartSession{Peer: c.key, Sealed: mark}))
}

// tcp is the connection, where it is one of TCP.
func (c *client) tcp() *net.TCPConn { return c.conn.(*net.TCPConn) }

// says sends frames, in one write.
func (c *client) says(list ...frames.Frame) {
	GinkgoHelper()
	var b []byte
	for _, f := range list {
		b = f.Append(b)
	}
	c.said += uint64(len(list))
	c.sends(b)
}

// sends sends bytes that says does not count.
func (c *client) sends(b []byte) {
	GinkgoHelper()
	Expect(c.conn.SetWriteDeadline(time.Now().Add(patience))).To(Succeed())
	_, err := c.conn.Write(b)
	Expect(err).NotTo(HaveOccurred())
}

// frame returns the next frame that comes, or why none does. It takes 512 bytes more than the relay reads, as a client must.
func (c *client) frame(ctx context.Context) (frames.Frame, error) {
	deadline := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok {
		deadline = d
	}
	_ = c.conn.SetReadDeadline(deadline) // fails on a pipe that the relay has closed, of which there may be something left to read
	f, err := frames.Read(c.in, frames.MaxPayload+frames.MaxGrowth)
	if err != nil {
		return nil, err
	}
	return frames.Keys{SeedRaw: true}.Decode(frames.FromRelay, f)
}

// hears returns the next frame.
func (c *client) hears(ctx context.Context) frames.Frame {
	GinkgoHelper()
	f, err := c.frame(ctx)
	Expect(err).NotTo(HaveOccurred())
	return f
}

// hearsNothing expects that nothing comes for a moment.
func (c *client) hearsNothing(ctx context.Context) {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(ctx, 60*time.Millisecond)
	defer cancel()
	f, err := c.frame(ctx)
	Expect(err).To(MatchError(os.ErrDeadlineExceeded), "heard %v", f)
}

// isRefused expects the Error for the last frame said.
func (c *client) isRefused(ctx context.Context, t frames.Type, code frames.Code) {
	GinkgoHelper()
	Expect(c.hears(ctx)).To(beError(t, c.said, code))
}

// isClosed expects that the relay closes the connection.
func (c *client) isClosed(ctx context.Context) {
	GinkgoHelper()
	f, err := c.frame(ctx)
	Expect(closedByPeer(err)).To(BeTrue(), "heard %v, %v", f, err)
}

// dies closes the connection without a farewell: what the kernel still holds is thrown away on both sides.
func (c *client) dies() {
	GinkgoHelper()
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		Expect(tcp.SetLinger(0)).To(Succeed())
	}
	Expect(c.conn.Close()).To(Succeed())
}

// beError matches an Error but for its text, of which there must be one.
func beError(t frames.Type, number uint64, code frames.Code) OmegaMatcher {
	return SatisfyAll(
		HaveField("Code", code), HaveField("Request", t), HaveField("Number", number), HaveField("Text", Not(BeEmpty())),
	)
}

// message is what c gets when from says body.
func message(from *client, body string) frames.Message {
	return frames.Message{Peer: from.key, Body: []byte(body)}
}
