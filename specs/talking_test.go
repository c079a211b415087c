package specs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	sdk "github.com/mdeiml/blubbel-server/client"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

var _ = Describe("Talking through the SDK", func() {
	var r *relay
	BeforeEach(func() { r = startRelay() })

	When("Alice and Bob have an open session", func() {
		It("carries texts both ways, byte for byte", func(ctx SpecContext) {
			_, _, toBob, toAlice := friends(ctx, r.address, r.address)
			every := make([]byte, 256)
			for i := range every {
				every[i] = byte(i)
			}
			longest := strings.Repeat("ü👋\n", sdk.MaxText/7)
			texts := []string{"Hello Bob", "", string(every), longest, "no newline at the end"}
			for _, text := range texts {
				Expect(toBob.Send(ctx, []byte(text))).To(Succeed())
				Expect(toAlice.Send(ctx, []byte(text))).To(Succeed())
			}
			Expect(reads(ctx, toAlice, len(texts))).To(Equal(texts))
			Expect(reads(ctx, toBob, len(texts))).To(Equal(texts))
		}, SpecTimeout(patience))

		It("refuses a text that is too long, and goes on", func(ctx SpecContext) {
			_, _, toBob, toAlice := friends(ctx, r.address, r.address)
			Expect(toBob.Send(ctx, make([]byte, sdk.MaxText+1))).To(MatchError(sdk.ErrTooLong))
			Expect(toBob.Send(ctx, []byte("short"))).To(Succeed())
			Expect(reads(ctx, toAlice, 1)).To(Equal([]string{"short"}))
		}, SpecTimeout(patience))

		It("confirms a text once Bob is done with it, not sooner", func(ctx SpecContext) {
			_, _, toBob, toAlice := friends(ctx, r.address, r.address)
			Expect(toBob.Send(ctx, []byte("read me"))).To(Succeed())
			flushed := make(chan error, 1)
			go func() { flushed <- toBob.Flush(ctx) }()
			for text, err := range toAlice.Messages(ctx) {
				Expect(err).NotTo(HaveOccurred())
				Expect(text).To(BeEquivalentTo("read me"))
				Consistently(ctx, flushed).WithTimeout(60 * time.Millisecond).ShouldNot(Receive())
				Expect(toBob.Unconfirmed()).To(Equal(1))
				break
			}
			Eventually(ctx, flushed).Should(Receive(BeNil()))
			Expect(toBob.Unconfirmed()).To(BeZero())
		}, SpecTimeout(patience))

		It("holds Alice back while Bob does not read, and loses nothing", func(ctx SpecContext) {
			_, _, toBob, toAlice := friends(ctx, r.address, r.address)
			const all = 500
			sent := make(chan error, 1)
			go func() {
				for i := range all {
					if err := toBob.Send(ctx, fmt.Appendf(nil, "text %d", i)); err != nil {
						sent <- err
					}
				}
				sent <- toBob.End(ctx, "")
			}()
			Eventually(ctx, toBob.Unconfirmed).Should(BeNumerically(">=", 30))
			Consistently(ctx, toBob.Unconfirmed).WithTimeout(60 * time.Millisecond).Should(BeNumerically("<=", 32))
			i := 0
			for text, err := range toAlice.Messages(ctx) {
				Expect(err).NotTo(HaveOccurred())
				Expect(string(text)).To(Equal(fmt.Sprintf("text %d", i)))
				i++
			}
			Expect(i).To(Equal(all))
			Eventually(ctx, sent).Should(Receive(BeNil()))
		}, SpecTimeout(patience))

		It("ends when both have said their last, and each knows that the other has taken everything", func(ctx SpecContext) {
			_, _, toBob, toAlice := friends(ctx, r.address, r.address)
			Expect(toBob.Send(ctx, []byte("goodbye"))).To(Succeed())
			ended := make(chan error, 1)
			go func() { ended <- toBob.End(ctx, "dinner") }()
			Consistently(ctx, ended).WithTimeout(60 * time.Millisecond).ShouldNot(Receive())
			Expect(reads(ctx, toAlice, 2)).To(Equal([]string{"goodbye"}), "and then the loop ends")
			Eventually(ctx, ended).Should(Receive(BeNil()))
			Expect(toBob.Send(ctx, []byte("too late"))).To(MatchError(&sdk.Ended{Reason: "dinner"}))

			Expect(toAlice.Send(ctx, []byte("enjoy it"))).To(Succeed(), "Bob may go on")
			Expect(reads(ctx, toBob, 1)).To(Equal([]string{"enjoy it"}))
			Expect(toBob.Done()).NotTo(BeClosed())
			Expect(toAlice.End(ctx, "")).To(Succeed())
			Expect(reads(ctx, toBob, 1)).To(BeEmpty())
			Expect(fate(ctx, toAlice)).To(Equal(&sdk.Ended{ByPeer: true, Reason: "dinner"}))
			Expect(fate(ctx, toBob)).To(Equal(&sdk.Ended{Reason: "dinner"}))
		}, SpecTimeout(patience))

		It("ends well when both end it at once", func(ctx SpecContext) {
			_, _, toBob, toAlice := friends(ctx, r.address, r.address)
			ended := make(chan error, 2)
			go func() { ended <- toBob.End(ctx, "") }()
			go func() { ended <- toAlice.End(ctx, "") }()
			for range 2 {
				for _, s := range []*sdk.Session{toBob, toAlice} {
					for text, err := range s.Messages(ctx) {
						Fail(fmt.Sprintf("heard %q, %v", text, err))
					}
				}
				Eventually(ctx, ended).Should(Receive(BeNil()))
			}
		}, SpecTimeout(patience))

		It("tells Alice, with her next text, that Bob has left", func(ctx SpecContext) {
			_, bob, toBob, _ := friends(ctx, r.address, r.address)
			Expect(bob.Close()).To(Succeed())
			Expect(toBob.Send(ctx, []byte("are you there?"))).To(Succeed())
			err := fate(ctx, toBob)
			Expect(sdk.IsRefused(err, frames.NoSession)).To(BeTrue(), "%v", err)
			Expect(err).To(HaveField("Request", frames.TypeMessage))
			Expect(err).To(HaveField("Peer", bob.self.Key()))
		}, SpecTimeout(patience))

		It("gives way to a new one when Bob comes back and asks", func(ctx SpecContext) {
			alice, bob, old, _ := friends(ctx, r.address, r.address)
			Expect(bob.Close()).To(Succeed())
			bob = friendAt(ctx, r.address, "bob")
			toAlice, toBob := bob.befriends(ctx, alice)
			Expect(fate(ctx, old)).To(MatchError(sdk.ErrReplaced))
			Expect(toBob.Send(ctx, []byte("welcome back"))).To(Succeed())
			Expect(reads(ctx, toAlice, 1)).To(Equal([]string{"welcome back"}))
		}, SpecTimeout(patience))

		It("leaves the session of others alone when it ends", func(ctx SpecContext) {
			alice, bob, toBob, _ := friends(ctx, r.address, r.address)
			carol := friendAt(ctx, r.address, "carol")
			fromCarol, toCarol := carol.befriends(ctx, alice)
			Expect(bob.Close()).To(Succeed())
			Expect(toBob.Send(ctx, nil)).To(Succeed())
			Expect(fate(ctx, toBob)).NotTo(Succeed())
			Expect(toCarol.Send(ctx, []byte("still here"))).To(Succeed())
			Expect(reads(ctx, fromCarol, 1)).To(Equal([]string{"still here"}))
		}, SpecTimeout(patience))
	})

	When("Alice asks for a session", func() {
		It("is told that Bob is away", func(ctx SpecContext) {
			alice := friendAt(ctx, r.address, "alice")
			_, err := alice.StartSession(ctx, identity("bob").Key())
			Expect(sdk.IsRefused(err, frames.Unavailable)).To(BeTrue(), "%v", err)
			Expect(err).To(HaveField("Request", frames.TypeStart))
		}, SpecTimeout(patience))

		It("waits for Bob until her context ends, and may ask again", func(ctx SpecContext) {
			alice, bob := friendAt(ctx, r.address, "alice"), friendAt(ctx, r.address, "bob")
			for range 6 {
				short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
				_, err := alice.StartSession(short, bob.self.Key())
				cancel()
				Expect(err).To(MatchError(context.DeadlineExceeded))
			}
			asked := alice.asksInBackground(bob)
			Eventually(ctx, func() bool {
				short, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				bob.event(short)
				_, err := bob.AcceptSession(short, alice.self.Key())
				return err == nil
			}).Should(BeTrue())
			var answer started
			Eventually(ctx, asked).Should(Receive(&answer))
			Expect(answer.err).NotTo(HaveOccurred())
		}, SpecTimeout(patience))

		It("gets one session with Bob if both ask at once", func(ctx SpecContext) {
			for range 5 {
				alice, bob := friendAt(ctx, r.address, "alice"), friendAt(ctx, r.address, "bob")
				both := []<-chan started{alice.asksInBackground(bob), bob.asksInBackground(alice)}
				var sessions []*sdk.Session
				for _, asked := range both {
					var s started
					Eventually(ctx, asked).Should(Receive(&s))
					Expect(s.err).NotTo(HaveOccurred())
					sessions = append(sessions, s.session)
				}
				Expect(sessions[0].Send(ctx, []byte("to Bob"))).To(Succeed())
				Expect(sessions[1].Send(ctx, []byte("to Alice"))).To(Succeed())
				Expect(reads(ctx, sessions[1], 1)).To(Equal([]string{"to Bob"}))
				Expect(reads(ctx, sessions[0], 1)).To(Equal([]string{"to Alice"}))
				Expect(alice.Close()).To(Succeed())
				Expect(bob.Close()).To(Succeed())
			}
		}, SpecTimeout(2*patience))

		It("accepts Bob's request, if he was faster", func(ctx SpecContext) {
			alice, bob := friendAt(ctx, r.address, "alice"), friendAt(ctx, r.address, "bob")
			asked := bob.asksInBackground(alice)
			Expect(alice.event(ctx)).To(HaveField("Peer", bob.self.Key()))
			session, err := alice.StartSession(ctx, bob.self.Key())
			Expect(err).NotTo(HaveOccurred())
			var bobs started
			Eventually(ctx, asked).Should(Receive(&bobs))
			Expect(session.Send(ctx, []byte("hello"))).To(Succeed())
			Expect(reads(ctx, bobs.session, 1)).To(Equal([]string{"hello"}))
		}, SpecTimeout(patience))

		It("asks herself if Bob asked and is gone again", func(ctx SpecContext) {
			alice, bob := friendAt(ctx, r.address, "alice"), friendAt(ctx, r.address, "bob")
			bob.asksInBackground(alice)
			Expect(alice.event(ctx)).To(HaveField("Peer", bob.self.Key()))
			Expect(bob.Close()).To(Succeed())
			_, err := alice.StartSession(ctx, bob.self.Key())
			Expect(sdk.IsRefused(err, frames.Unavailable)).To(BeTrue(), "%v", err)
		}, SpecTimeout(patience))

		It("cannot ask herself, or for what is no key", func(ctx SpecContext) {
			alice := friendAt(ctx, r.address, "alice")
			for _, key := range []frames.Key{alice.self.Key(), nil, frames.Key("\x30\x00"), bytes.Repeat([]byte{0x30}, 300)} {
				_, err := alice.StartSession(ctx, key)
				Expect(err).To(HaveOccurred())
				_, err = alice.AcceptSession(ctx, key)
				Expect(err).To(MatchError(sdk.ErrNoRequest))
			}
		}, SpecTimeout(patience))
	})

	When("logging in", func() {
		It("is told that the key is in use, and may try again on the same connection", func(ctx SpecContext) {
			alice := friendAt(ctx, r.address, "alice")
			second, err := sdk.Dial(ctx, r.address, sdk.Options{Unproven: true})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(second.Close)
			err = second.Login(ctx, alice.self)
			Expect(sdk.IsRefused(err, frames.KeyInUse)).To(BeTrue(), "%v", err)
			Expect(err).To(HaveField("Request", frames.TypeLogin))
			Expect(alice.Close()).To(Succeed())
			Eventually(ctx, func() error { return second.Login(ctx, alice.self) }).Should(Succeed())
			Expect(second.Login(ctx, alice.self)).To(MatchError(sdk.ErrLoggedIn))
		}, SpecTimeout(patience))

		It("comes before everything else", func(ctx SpecContext) {
			c, err := sdk.Dial(ctx, r.address, sdk.Options{Unproven: true})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(c.Close)
			_, err = c.StartSession(ctx, identity("bob").Key())
			Expect(err).To(MatchError(sdk.ErrNotLoggedIn))
		}, SpecTimeout(patience))
	})

	It("tells everybody why, when the relay stops", func(ctx SpecContext) {
		needsInside("the relay has to be stopped")
		alice, bob, toBob, toAlice := friends(ctx, r.address, r.address)
		go func() { _ = r.inside.Stop(ctx) }()
		for _, f := range []*friend{alice, bob} {
			Eventually(ctx, f.Done()).Should(BeClosed())
			Expect(sdk.IsRefused(f.Err(), frames.ShuttingDown)).To(BeTrue(), "%v", f.Err())
		}
		Expect(errors.Is(fate(ctx, toBob), alice.Err())).To(BeTrue())
		Expect(errors.Is(fate(ctx, toAlice), bob.Err())).To(BeTrue())
	}, SpecTimeout(patience))

	It("ends every call when the client is closed", func(ctx SpecContext) {
		alice, _, toBob, _ := friends(ctx, r.address, r.address)
		calls := []func() error{
			func() error { return toBob.End(ctx, "") },
			func() error { _, err := alice.StartSession(ctx, identity("carol").Key()); return err },
			func() error {
				for _, err := range toBob.Messages(ctx) {
					return err
				}
				return nil
			},
			func() error {
				for _, err := range alice.Events(ctx) {
					return err
				}
				return nil
			},
		}
		returned := make(chan error, len(calls))
		for _, call := range calls {
			go func() { returned <- call() }()
		}
		Eventually(ctx, returned).Should(Receive(Satisfy(func(err error) bool { // Carol is away
			return sdk.IsRefused(err, frames.Unavailable)
		})))
		Consistently(ctx, returned).WithTimeout(20 * time.Millisecond).ShouldNot(Receive())
		Expect(alice.Close()).To(Succeed())
		for range calls[1:] {
			Eventually(ctx, returned).Should(Receive(MatchError(sdk.ErrClosed)))
		}
	}, SpecTimeout(patience))
})

var _ = Describe("Talking while the relay's actors crash", func() {
	for _, after := range []bool{false, true} {
		It(fmt.Sprintf("loses no text (crashing after the effect: %v)", after), func(ctx SpecContext) {
			b := &bomb{spot: spot{kind: supervisor.KindUser, message: "Hear"}, after: after}
			r := startRelayWith(b)
			_, _, toBob, toAlice := friends(ctx, r.address, r.address)
			b.arm(2) // the second refuses the message: it will be sent again
			for i := range 10 {
				Expect(toBob.Send(ctx, fmt.Appendf(nil, "%d", i))).To(Succeed())
			}
			Expect(strings.Join(reads(ctx, toAlice, 10), "")).To(Equal("0123456789"))
		}, SpecTimeout(patience))
	}
})
