package specs_test

import (
	"encoding/json"
	"io"
	"net"
	"regexp"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// hostileAddress is one that is put together to look like lines of a log, and like commands to a terminal.
type hostileAddress struct{}

func (hostileAddress) Network() string { return "tcp\n" }

func (hostileAddress) String() string { return hostileText }

const hostileText = "1.2.3.4:5\nlevel=error msg=\"all is lost\"\r\n{\"level\":\"fatal\"}\x1b[2J\x1b]0;title\a\x00\x7f\b\t\u009b2J\u2028\u202e\xff\" x=\"y"

// hostileConn is a connection from there.
type hostileConn struct{ net.Conn }

func (hostileConn) RemoteAddr() net.Addr { return hostileAddress{} }

// hostileListener fails once, for a while, with a hostile text.
type hostileListener struct {
	net.Listener
	failed atomic.Bool
}

type hostileError struct{}

func (hostileError) Error() string   { return hostileText }
func (hostileError) Temporary() bool { return true }

// Accept implements net.Listener.
func (l *hostileListener) Accept() (net.Conn, error) {
	if l.failed.CompareAndSwap(false, true) {
		return nil, hostileError{}
	}
	return wrapped{l.Listener, func(conn net.Conn) net.Conn { return hostileConn{conn} }}.Accept()
}

var _ = Describe("Being logged", func() {
	colours := regexp.MustCompile(`\x1b\[[\d;]+m`)
	for format, formatter := range map[string]logrus.Formatter{ // those of the daemon, and of the daemon on a terminal
		"text":                &logrus.TextFormatter{FullTimestamp: true},
		"text, on a terminal": &logrus.TextFormatter{FullTimestamp: true, ForceColors: true},
		"JSON":                &logrus.JSONFormatter{},
	} {
		It("begins no line, and commands no terminal, whatever an address, an error or a key is made of: in "+format, func(ctx SpecContext) {
			needsInside("the log is looked through")
			var out safeBuffer
			h := &hasLogged{}
			r := spawnRelay(spawn, h.config, func(c *supervisor.Config) {
				c.Log.Logger.SetFormatter(formatter)
				c.Log.Logger.SetOutput(io.MultiWriter(logged.log(), &out))
			})
			r.serve(func(ln net.Listener) net.Listener { return &hostileListener{Listener: ln} })
			alice, bob := r.session(ctx)
			alice.says(frames.Message{Peer: bob.key, Body: []byte(hostileText)})
			Expect(bob.hears(ctx)).To(Equal(message(alice, hostileText)))
			mallory := r.connect()
			mallory.says(frames.Login{Key: []byte(hostileText)})
			mallory.isRefused(ctx, frames.TypeLogin, frames.BadKey)
			Expect(r.inside.Stop(ctx)).To(Succeed())

			h.mu.Lock()
			defer h.mu.Unlock()
			entries := 0
			for _, lines := range h.lines {
				entries += len(lines)
			}
			text := colours.ReplaceAllString(out.b.String(), "")
			Expect(strings.Count(text, "\n")).To(Equal(entries), "%q", text)
			Expect(strings.Count(text, "1.2.3.4:5")).To(Equal(4), "%q", text)
			for _, c := range strings.ReplaceAll(text, "\n", "") {
				Expect(c).To(BeNumerically(">=", ' '), "%q", text)
				if format != "JSON" { // whose encoder lets these through in what the host's own listener says
					Expect(c).To(BeNumerically("<", 0x7f), "%q", text)
				}
			}
			if format == "JSON" {
				for line := range strings.Lines(text) {
					var fields struct{ Remote string }
					Expect(json.Unmarshal([]byte(line), &fields)).To(Succeed(), "%q", line)
					Expect(fields.Remote).To(MatchRegexp("^[ -~]*$"))
				}
			}
		}, SpecTimeout(patience))
	}
})
