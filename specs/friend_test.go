package specs_test

import (
	"context"
	"os"
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	sdk "github.com/mdeiml/blubbel-server/client"
)

// friend is somebody who talks through the SDK.
type friend struct {
	*sdk.Client
	self *sdk.Identity
}

// identity is one of the keys in client/testdata.
func identity(name string) *sdk.Identity {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "client", "testdata", "keys", name+".pem"))
	Expect(err).NotTo(HaveOccurred())
	self, err := sdk.ParseIdentity(text)
	Expect(err).NotTo(HaveOccurred())
	logged.key(self.Key())
	return self
}

// friendAt connects and logs in somebody of this name.
func friendAt(ctx context.Context, address, name string) *friend {
	GinkgoHelper()
	c, err := sdk.Dial(ctx, address, sdk.Options{Unproven: true})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(c.Close)
	f := &friend{Client: c, self: identity(name)}
	Eventually(ctx, func() error { return c.Login(ctx, f.self) }).Should(Succeed()) // once an earlier connection is gone
	return f
}

// friends are Alice and Bob with an open session. Each may have a relay address of their own.
func friends(ctx context.Context, alices, bobs string) (alice, bob *friend, toBob, toAlice *sdk.Session) {
	GinkgoHelper()
	alice, bob = friendAt(ctx, alices, "alice"), friendAt(ctx, bobs, "bob")
	toBob, toAlice = alice.befriends(ctx, bob)
	return alice, bob, toBob, toAlice
}

// befriends opens a session: f asks, the other accepts.
func (f *friend) befriends(ctx context.Context, other *friend) (there, back *sdk.Session) {
	GinkgoHelper()
	asked := f.asksInBackground(other)
	Expect(other.event(ctx)).To(HaveField("Peer", f.self.Key()))
	back, err := other.AcceptSession(ctx, f.self.Key())
	Expect(err).NotTo(HaveOccurred())
	var answer started
	Eventually(ctx, asked).Should(Receive(&answer))
	Expect(answer.err).NotTo(HaveOccurred())
	return answer.session, back
}

// started is what StartSession returned.
type started struct {
	session *sdk.Session
	err     error
}

// asksInBackground asks, and waits for the answer elsewhere, until the spec's end.
func (f *friend) asksInBackground(other *friend) <-chan started {
	asked := make(chan started, 1)
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	go func() { // ends with ctx
		session, err := f.StartSession(ctx, other.self.Key())
		asked <- started{session, err}
	}()
	return asked
}

// event returns the next event.
func (f *friend) event(ctx context.Context) sdk.Event {
	GinkgoHelper()
	for e, err := range f.Events(ctx) {
		Expect(err).NotTo(HaveOccurred())
		return e
	}
	return nil
}

// trouble returns the error of the next event, which must be a Trouble.
func (f *friend) trouble(ctx context.Context) error {
	GinkgoHelper()
	e := f.event(ctx)
	Expect(e).To(BeAssignableToTypeOf(sdk.Trouble{}))
	return e.(sdk.Trouble).Err
}

// reads returns the next texts of a session.
func reads(ctx context.Context, s *sdk.Session, n int) (texts []string) {
	GinkgoHelper()
	for text, err := range s.Messages(ctx) {
		Expect(err).NotTo(HaveOccurred())
		texts = append(texts, string(text))
		if len(texts) == n {
			break
		}
	}
	return texts
}

// fate waits until a session is over and returns how it ended.
func fate(ctx context.Context, s *sdk.Session) error {
	GinkgoHelper()
	Eventually(ctx, s.Done()).Should(BeClosed())
	return s.Err()
}
