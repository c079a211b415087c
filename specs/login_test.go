package specs_test

import (
	"bytes"
	"encoding/pem"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Logging in", func() {
	It("is accepted with any RSA key of 2048 to 4096 bits", func(ctx SpecContext) {
		r := startRelay()
		for _, bits := range []int{2048, 2049, 3072, 4096} {
			r.loginAs(ctx, freshKey(bits))
		}
	}, SpecTimeout(patience))

	DescribeTable("is refused with BAD_KEY when the key is", func(ctx SpecContext, text string, bad func(frames.Key) []byte) {
		alice := startRelay().connect()
		alice.says(frames.Login{Key: bad(alice.key)})
		answer := alice.hears(ctx)
		Expect(answer).To(beError(frames.TypeLogin, 1, frames.BadKey))
		Expect(answer).To(HaveField("Text", ContainSubstring(text)))
		alice.says(frames.Login{Key: alice.key})
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}), "a refused login may be repeated")
	},
		Entry("too small", "2048 to 4096", func(frames.Key) []byte { return freshKey(1024) }),
		Entry("PEM", "PEM", func(k frames.Key) []byte {
			return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k})
		}),
		Entry("PKCS#1", "PKCS#1", func(k frames.Key) []byte { return k[24:] }),
		Entry("missing", "SubjectPublicKeyInfo", func(frames.Key) []byte { return nil }),
		Entry("followed by more", "SubjectPublicKeyInfo", func(k frames.Key) []byte { return append(slices.Clip(k), 0) }),
		Entry("not a key", "SubjectPublicKeyInfo", func(frames.Key) []byte { return []byte{0x30, 0} }),
		Entry("raw, as for the first server", "SubjectPublicKeyInfo", func(frames.Key) []byte {
			return bytes.Repeat([]byte{0x99}, frames.SeedKeySize)
		}),
	)

	When("the key is logged in already", func() {
		It("is refused with KEY_IN_USE, and disturbs nobody", func(ctx SpecContext) {
			r := startRelay()
			alice, bob := r.session(ctx)
			mallory := r.connectAs(alice.key)
			mallory.says(frames.Login{Key: alice.key})
			mallory.isRefused(ctx, frames.TypeLogin, frames.KeyInUse)
			bob.says(frames.Message{Peer: alice.key, Body: []byte("still you?")})
			Expect(alice.hears(ctx)).To(Equal(message(bob, "still you?")))
		}, SpecTimeout(patience))

		It("is accepted once that connection has ended", func(ctx SpecContext) {
			r := startRelay()
			alice := r.login(ctx)
			Expect(alice.conn.Close()).To(Succeed())
			Eventually(ctx, func(g Gomega) {
				again := r.connectAs(alice.key)
				again.says(frames.Login{Key: alice.key})
				g.Expect(again.hears(ctx)).To(Equal(frames.LoginAccepted{}))
			}).Should(Succeed())
		}, SpecTimeout(patience))
	})

	It("happens once on a connection", func(ctx SpecContext) {
		alice := startRelay().login(ctx)
		alice.says(frames.Login{Key: alice.key})
		alice.isRefused(ctx, frames.TypeLogin, frames.AlreadyLoggedIn)
		alice.says(frames.Login{Key: []byte("whatever")})
		alice.isRefused(ctx, frames.TypeLogin, frames.AlreadyLoggedIn)
	}, SpecTimeout(patience))

	It("decides how the frames behind it are judged", func(ctx SpecContext) {
		r := startRelay()
		bob := r.login(ctx)
		alice := r.connect()
		sealed := make([]byte, frames.MaxSealed) // more than is read before login
		alice.says(
			frames.Message{Peer: bob.key}, frames.Login{Key: []byte("no key")}, frames.Message{Peer: bob.key},
			frames.Login{Key: alice.key}, frames.Message{Peer: bob.key}, frames.StartSession{Peer: bob.key, Sealed: sealed},
		)
		Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, 1, frames.NotLoggedIn))
		Expect(alice.hears(ctx)).To(beError(frames.TypeLogin, 2, frames.BadKey))
		Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, 3, frames.NotLoggedIn))
		Expect(alice.hears(ctx)).To(Equal(frames.LoginAccepted{}))
		Expect(alice.hears(ctx)).To(beError(frames.TypeMessage, 5, frames.NoSession))
		Expect(bob.hears(ctx)).To(Equal(frames.StartSession{Peer: alice.key, Sealed: sealed}))
	}, SpecTimeout(patience))

	It("takes raw keys where the relay was told to", func(ctx SpecContext) {
		needsInside("the relay has to be told to take raw keys")
		r := startRelay(func(c *supervisor.Config) { c.SeedRawKeys = true })
		old := r.loginAs(ctx, bytes.Repeat([]byte{0x99}, frames.SeedKeySize))
		alice := r.login(ctx)
		alice.meets(ctx, old)
		old.says(frames.Message{Peer: alice.key, Body: []byte("hello from 2020")})
		Expect(alice.hears(ctx)).To(Equal(message(old, "hello from 2020")))
	}, SpecTimeout(patience))
})
