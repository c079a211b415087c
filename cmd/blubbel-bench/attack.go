package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// attack is hostile clients. Few goroutines open their connections, on a schedule.
type attack struct {
	connect func(ctx context.Context, nth int) (net.Conn, error)
	tally   *tally
}

// plan is what one hostile client does.
type plan struct {
	first []byte    // what it says as soon as it is connected
	login bool      // that begins with a Login
	then  []byte    // what it says once it is logged in
	shut  bool      // after the first it says no more, and shuts its side
	drip  bool      // it says one byte more each second
	until time.Time // it stays until then, if the relay lets it
	spoke string    // what it is called if the relay has closed the connection and refused nothing
}

// run lets n clients come, evenly over a time, and returns when the last has gone. Who has not come when ctx ends stays away.
func (a *attack) run(ctx context.Context, n int, over time.Duration, next func() (plan, error)) error {
	begin := time.Now()
	var taken atomic.Int64
	var openers, clients sync.WaitGroup
	var failed atomic.Pointer[error]
	open := func() (more bool) {
		nth := int(taken.Add(1) - 1)
		if nth >= n {
			return false
		}
		if !waitUntil(ctx, begin.Add(over*time.Duration(nth)/time.Duration(n))) {
			a.tally.count(stayedAway, 1)
			return true
		}
		p, err := next()
		if err != nil {
			failed.Store(&err)
			return false
		}
		a.admit(ctx, nth, p, &clients)
		return true
	}
	for range min(atOnce, n) {
		openers.Go(func() { // ends when all have come
			for open() {
			}
		})
	}
	openers.Wait()
	clients.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// waitUntil waits until a time; it reports false if ctx ends first.
func waitUntil(ctx context.Context, at time.Time) bool {
	if wait := time.Until(at); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	return ctx.Err() == nil
}

// What may become of a hostile client, besides the names of codes.
const (
	stayedAway   = "stayed away"
	notConnected = "not connected"
	notLoggedIn  = "not logged in: "
	toTheEnd     = "open to the end"
	wordless     = "closed without a word"
	reset        = "reset"
)

// admit connects the nth client, and lets it do what it plans.
func (a *attack) admit(ctx context.Context, nth int, p plan, clients *sync.WaitGroup) {
	conn, err := a.connect(ctx, nth)
	if err != nil {
		a.tally.count(notConnected, 1)
		return
	}
	noFarewell(conn)
	clients.Go(func() { // ends when the relay closes its connection, or with its plan, or with ctx
		h := &hostile{plan: p, inbox: inbox{conn: conn}, begun: time.Now()}
		end := h.play(ctx)
		a.tally.add(end, time.Since(h.begun))
	})
}

// noFarewell lets a connection end at once when it is closed, so that its port is free for the next.
func noFarewell(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// hostile is a client that does what its plan says, and reads what the relay says to it.
type hostile struct {
	plan
	inbox
	begun time.Time // when it said what it is there for
	in    bool      // it is logged in
	word  string    // the code of the last Error
}

const (
	littleRead = 256 // few hostile clients get more than one Error at once
	dripEvery  = time.Second
)

// play returns what has become of it.
func (h *hostile) play(ctx context.Context) string {
	defer h.conn.Close()
	defer context.AfterFunc(ctx, func() { _ = h.conn.SetReadDeadline(longAgo) })()
	h.grow(littleRead)
	_ = h.conn.SetWriteDeadline(h.until)
	h.say(h.first)
	if half, ok := h.conn.(interface{ CloseWrite() error }); ok && h.shut {
		_ = half.CloseWrite()
	}
	err := h.hear(ctx)
	for err == nil {
		err = h.hear(ctx)
	}
	end := h.end(err)
	if h.login && !h.in {
		return notLoggedIn + end
	}
	return end
}

// say writes something. What is wrong with the connection, reading will tell.
func (h *hostile) say(b []byte) {
	if len(b) > 0 {
		_, _ = h.conn.Write(b)
	}
}

// errEnough says that a client has stayed for as long as it planned.
var errEnough = errors.New("this client has nothing more to do")

// hear reads once, or until it is time to say something more.
func (h *hostile) hear(ctx context.Context) error {
	deadline := h.until
	if drop := time.Now().Add(dripEvery); h.drip && drop.Before(deadline) {
		deadline = drop
	}
	_ = h.conn.SetReadDeadline(deadline)
	if ctx.Err() != nil { // else the deadline just set may have replaced the one that ends it
		return errEnough
	}
	err := h.fill()
	switch {
	case err == nil:
		return h.take()
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case ctx.Err() != nil, !time.Now().Before(h.until):
		return errEnough
	}
	h.say([]byte{0})
	return nil
}

// take takes the frames that have been read whole.
func (h *hostile) take() error {
	for {
		raw, ok, err := h.next()
		if err != nil || !ok {
			return err
		}
		f, err := frames.DefaultKeys().Decode(frames.FromRelay, raw)
		if err != nil {
			continue
		}
		switch f := f.(type) {
		case frames.LoginAccepted:
			h.in = true
			if len(h.then) > 0 {
				h.begun = time.Now()
			}
			h.say(h.then)
		case frames.Error:
			h.word = f.Code.String()
		}
	}
}

// end names what has become of it.
func (h *hostile) end(err error) string {
	switch {
	case errors.Is(err, errEnough) && h.word != "":
		return h.word + ", " + toTheEnd
	case errors.Is(err, errEnough):
		return toTheEnd
	case h.word != "":
		return h.word
	case errors.Is(err, io.EOF) && h.in && h.spoke != "":
		return h.spoke
	case errors.Is(err, io.EOF):
		return wordless
	case errors.Is(err, errNoFrame):
		return "answered with what is no frame"
	}
	return reset
}
