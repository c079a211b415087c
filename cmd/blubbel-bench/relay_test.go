package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// startRelay starts a relay until the test's end.
func startRelay(t *testing.T) (address string) {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	relay, err := supervisor.New(supervisor.Config{Log: logrus.NewEntry(log), NoRateLimits: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Spawn(supervisor.NewSystem(logrus.NewEntry(log)).Root, "relay"); err != nil {
		t.Fatal(err)
	}
	ln := listen(t)
	served := make(chan error)
	go func() { served <- relay.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(relay.Stop(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// liar is a relay that asks nobody for consent, and may do with frames what no relay should.
type liar struct {
	// on is asked what to do with the nth frame of its type, counted from 1. Without it, everything is passed on.
	on map[frames.Type]func(nth int, f *passing)

	mu    sync.Mutex // held while anything is done with a frame
	users map[string]net.Conn
	seen  map[frames.Type]int
}

// passing is a frame that a liar has to do with.
type passing struct {
	from, to net.Conn // to is nil if nobody has the key
	sender   frames.Key
	raw      frames.Raw
	rest     []byte // behind the key
	number   uint64
}

func (f *passing) pass() { f.passAs(f.sender, f.rest) }

func (f *passing) passAs(sender frames.Key, rest []byte) {
	if f.raw.Type == frames.TypeLogin {
		_, _ = f.from.Write(frames.LoginAccepted{}.Append(nil))
		return
	}
	b := frames.AppendHeader(nil, f.raw.Type, len(sender)+len(rest))
	_, _ = f.to.Write(append(append(b, sender...), rest...))
}

func (f *passing) refuse(code frames.Code) { f.refuseAs(code, f.number) }

func (f *passing) refuseAs(code frames.Code, number uint64) {
	_, _ = f.from.Write(frames.Error{Code: code, Request: f.raw.Type, Number: number, Text: "because"}.Append(nil))
}

// start serves connections until the test's end.
func (r *liar) start(t *testing.T) (address string) {
	t.Helper()
	ln := listen(t)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { r.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		conns.Wait() // the clients have closed their connections
	})
	return ln.Addr().String()
}

func (r *liar) serve(conn net.Conn) {
	defer conn.Close()
	var self frames.Key
	for number := uint64(1); ; number++ {
		raw, err := frames.Read(conn, frames.MaxPayload)
		if err != nil {
			return
		}
		f := &passing{from: conn, sender: self, raw: raw, number: number}
		if raw.Type == frames.TypeLogin {
			self = frames.Key(raw.Payload)
		}
		r.handle(f)
	}
}

func (r *liar) handle(f *passing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users == nil {
		r.users, r.seen = map[string]net.Conn{}, map[frames.Type]int{}
	}
	if f.raw.Type == frames.TypeLogin {
		r.users[string(f.raw.Payload)] = f.from
	} else {
		key, rest, _ := frames.DefaultKeys().Split(f.raw.Payload)
		f.to, f.rest = r.users[string(key)], rest
	}
	r.seen[f.raw.Type]++
	if on := r.on[f.raw.Type]; on != nil {
		on(r.seen[f.raw.Type], f)
		return
	}
	f.pass()
}

// onMessage is a liar's map with one entry.
func onMessage(on func(nth int, f *passing)) map[frames.Type]func(int, *passing) {
	return map[frames.Type]func(int, *passing){frames.TypeMessage: on}
}
