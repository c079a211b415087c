package specs_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// relay is what a spec talks to: a relay of its own in this process, or the running one.
type relay struct {
	address string
	dial    func() (net.Conn, error) // connects where the relay served last
	inside  *supervisor.Relay        // nil for a running one
}

// patience is how long anything may take before a spec calls it a hang.
const patience = 10 * time.Second

// soon is how often one looks whether what every spec waits for has come.
const soon = time.Millisecond

// startRelay starts a relay for one spec, on top of an actor system of its own.
func startRelay(change ...func(*supervisor.Config)) *relay {
	GinkgoHelper()
	if *running != "" {
		return &relay{address: *running, dial: dialTo(*running)}
	}
	r := spawnRelay(func(inside *supervisor.Relay, log *logrus.Entry) {
		_, err := inside.Spawn(supervisor.NewSystem(log).Root, "relay")
		Expect(err).NotTo(HaveOccurred())
	}, change...)
	r.serve()
	return r
}

// alive is how many relays the spec has started and not stopped.
var alive int

// spawnRelay makes a relay that spawn is to spawn. At the spec's end it is stopped, if the spec did not; every frame must
// be settled then, none mislaid, and, when it was the last of them, no goroutine left.
func spawnRelay(spawn func(*supervisor.Relay, *logrus.Entry), change ...func(*supervisor.Config)) *relay {
	GinkgoHelper()
	before := gleak.Goroutines()
	log := logrus.New()
	log.SetOutput(logged.log())
	log.SetLevel(logrus.TraceLevel)
	bugs := &bugHook{}
	log.AddHook(bugs)
	config := supervisor.Config{Log: logrus.NewEntry(log), NoRateLimits: true}
	for _, f := range change {
		f(&config)
	}
	inside, err := supervisor.New(config)
	Expect(err).NotTo(HaveOccurred())
	r := &relay{inside: inside}
	alive++
	DeferCleanup(func(ctx SpecContext) {
		r.settles(ctx)
		Expect(inside.Stop(ctx)).To(Or(Succeed(), MatchError(context.DeadlineExceeded)))
		account := inside.Account()
		Expect(account.InFlight).To(BeZero(), account.String())
		Expect(account.DeadLetters).To(BeZero(), account.String())
		online, anonymous := inside.Connections()
		Expect([]int{online, anonymous}).To(HaveEach(0), "connections are counted that are gone")
		Expect(bugs.seen.Load()).To(BeZero(), "the relay says that it has a bug; see the log")
		if alive--; alive > 0 {
			return
		}
		Eventually(ctx, gleak.Goroutines).WithTimeout(5 * time.Second).WithPolling(soon).ShouldNot(gleak.HaveLeaked(before, throttle))
	}, NodeTimeout(patience))
	spawn(inside, config.Log)
	return r
}

func dialTo(address string) func() (net.Conn, error) {
	return func() (net.Conn, error) { return net.Dial("tcp", address) }
}

// serve makes the relay listen, until the spec's end, and whoever connects from now on connects there.
func (r *relay) serve(change ...func(net.Listener) net.Listener) {
	GinkgoHelper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	r.address = ln.Addr().String()
	r.dial = dialTo(r.address)
	r.serveOn(ln, change...)
}

// servePipes does so with pipes.
func (r *relay) servePipes(change ...func(net.Listener) net.Listener) {
	GinkgoHelper()
	p := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
	r.dial = p.dial
	r.serveOn(p, change...)
}

func (r *relay) serveOn(ln net.Listener, change ...func(net.Listener) net.Listener) {
	GinkgoHelper()
	for _, f := range change {
		ln = f(ln)
	}
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { served <- r.inside.Serve(ctx, ln) }()
	DeferCleanup(func(ctx SpecContext) {
		cancel()
		Eventually(ctx, served).WithPolling(soon).Should(Receive(BeNil()))
	}, NodeTimeout(patience))
}

// pipes listens for connections within the process. They have no descriptor, and what is written to them waits for a reader.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) dial() (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case p.accepted <- theirs:
		return mine, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (*pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// wrapped is a listener whose connections something is put around.
type wrapped struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

// Accept implements net.Listener.
func (w wrapped) Accept() (net.Conn, error) {
	conn, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return w.wrap(conn), nil
}

// bugHook counts the lines in which the relay says that it has made a mistake.
type bugHook struct{ seen atomic.Int32 }

func (*bugHook) Levels() []logrus.Level { return logrus.AllLevels }

func (h *bugHook) Fire(line *logrus.Entry) error {
	if strings.Contains(line.Message, "this is a bug") {
		h.seen.Add(1)
	}
	return nil
}

// throttle is a goroutine of Proto.Actor's that counts dead letters, and ends a second after the last. Its function's name
// begins with whatever it is inlined into.
var throttle = HaveField("TopFunction", MatchRegexp(`^github\.com/asynkron/protoactor-go/actor\..*NewThrottle\.`))

// settles waits until nothing is under way.
func (r *relay) settles(ctx context.Context) {
	GinkgoHelper()
	if r.inside != nil {
		Eventually(ctx, func() uint64 { return r.inside.Account().InFlight.Frames }).WithTimeout(patience).WithPolling(soon).Should(BeZero())
	}
}

// closedByPeer reports whether err is how a connection ends that the other side has closed.
func closedByPeer(err error) bool {
	return err != nil && !errors.Is(err, context.DeadlineExceeded) &&
		(errors.Is(err, io.ErrClosedPipe) || strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe"))
}
