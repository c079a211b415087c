package listener_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/listener"
)

// scripted is a listener whose Accept does what the script says, and then waits until it is closed.
type scripted struct {
	script []any // a net.Conn or an error
	closed chan struct{}
}

func (s *scripted) Accept() (net.Conn, error) {
	if len(s.script) == 0 {
		<-s.closed
		return nil, net.ErrClosed
	}
	next := s.script[0]
	s.script = s.script[1:]
	if err, ok := next.(error); ok {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
	}
	return next.(net.Conn), nil
}

func (s *scripted) Close() error {
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
	return nil
}

func (*scripted) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8000} }

func silent() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

func TestServeWaitsOutFaultsThatPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := net.Pipe()
		script := []any{}
		for range 12 {
			script = append(script, syscall.EMFILE)
		}
		ln := &scripted{script: append(script, one), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		err := listener.Serve(ctx, ln, func() listener.TCP { return listener.TCP{} }, silent(), func(conn net.Conn) {
			if conn != one {
				t.Error("another connection")
			}
			cancel()
		})
		if err != nil {
			t.Error(err)
		}
		// 5, 10, 20, ... 640 ms, then four times a second
		if took, want := time.Since(begin), 5275*time.Millisecond; took != want {
			t.Errorf("took %v, want %v", took, want)
		}
	})
}

func TestServeReturnsOtherFaults(t *testing.T) {
	ln := &scripted{script: []any{syscall.EINVAL}, closed: make(chan struct{})}
	err := listener.Serve(t.Context(), ln, func() listener.TCP { return listener.TCP{} }, silent(), func(net.Conn) { t.Error("there is no connection") })
	if !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	select {
	case <-ln.closed:
	default:
		t.Error("the listener is still open")
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	for name, script := range map[string][]any{"accepting": nil, "waiting": {syscall.EMFILE}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				ln := &scripted{script: script, closed: make(chan struct{})}
				ended := make(chan error)
				go func() {
					ended <- listener.Serve(ctx, ln, func() listener.TCP { return listener.TCP{} }, silent(), func(net.Conn) {})
				}()
				synctest.Wait()
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
