package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// bench is what the commands share: the relay, the server's process, and the results.
type bench struct {
	common
	server   *process
	results  []*result
	progress *progress
	reach    func(ctx context.Context, from netip.Addr) (net.Conn, error)
	connect  func(ctx context.Context, nth int) (net.Conn, error)
	pause    func(time.Duration)
	out      io.Writer
	json     io.Writer // nil without --json
	close    func() error
}

func newBench(options common, stdout, stderr io.Writer) (*bench, error) {
	b := &bench{common: options, progress: newProgress(stderr), pause: pause, out: stdout, close: func() error { return nil }}
	b.reach, b.connect = b.dialFrom, b.dial
	if options.PID != 0 {
		server, err := openProcess(options.PID)
		if err != nil {
			return nil, err
		}
		b.server = server
	}
	switch options.JSON {
	case "":
	case "-":
		b.json, b.out = stdout, io.Discard
	default:
		file, err := os.Create(options.JSON)
		if err != nil {
			return nil, withCode(exitUsage, "--json: %w", err)
		}
		b.json, b.close = file, file.Close
	}
	return b, nil
}

// dial connects to the relay, from one address after the other if there are several.
func (b *bench) dial(ctx context.Context, nth int) (net.Conn, error) {
	var from netip.Addr
	if b.Sources > 1 {
		from = following(firstSource, nth%b.Sources)
	}
	return b.reach(ctx, from)
}

// firstSource is the first of the addresses that --sources takes.
var firstSource = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// following returns the nth IPv4 address behind this one.
func following(first netip.Addr, nth int) netip.Addr {
	four := first.As4()
	binary.BigEndian.PutUint32(four[:], binary.BigEndian.Uint32(four[:])+uint32(nth)) //nolint:gosec // the flags allow far less
	return netip.AddrFrom4(four)
}

// dialFrom connects to the relay from an address, or, if that is none, from wherever the machine likes.
func (b *bench) dialFrom(ctx context.Context, from netip.Addr) (net.Conn, error) {
	dialer := net.Dialer{Timeout: answerTime}
	if from.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
		dialer.Control = portLater
	}
	conn, err := dialer.DialContext(ctx, "tcp", b.Relay)
	if err != nil {
		return nil, explainDial(b.Relay, err)
	}
	return conn, nil
}

// load begins a load that is nobody's yet.
func (b *bench) load() *load {
	return &load{dial: b.connect, pause: b.pause, patience: b.Patience, epoch: time.Now(), broken: make(chan error, 1)}
}

// join adds a user to a load.
func (b *bench) join(ctx context.Context, l *load, bits int) (*user, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	u, err := l.enter(ctx, len(l.users), bits)
	if err != nil {
		return nil, explainLogin(b.Relay, err)
	}
	l.users = append(l.users, u)
	return u, nil
}

// meet opens a session between two users.
func (b *bench) meet(ctx context.Context, one, other *user) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := one.meet(other); err != nil {
		return explainSession(err)
	}
	return nil
}

// add adds results.
func (b *bench) add(r ...*result) { b.results = append(b.results, r...) }

// over reports whether further loads would say no more: we were interrupted, or a load had to end early.
func (b *bench) over(ctx context.Context) bool {
	return ctx.Err() != nil || slices.ContainsFunc(b.results, func(r *result) bool { return r.Error != "" })
}

// pass lets a load run until a time, in ns since it began. It ends early, and returns why, if a connection ends that should
// not, or ctx does.
func (b *bench) pass(ctx context.Context, l *load, what string, until int64) error {
	end := time.NewTimer(time.Duration(until - l.now()))
	defer end.Stop()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-l.broken:
			return err
		case <-end.C:
			return nil
		case <-tick.C:
			b.progress.show(what, delivered(l.senders), time.Duration(until-l.now()))
		}
	}
}

// print prints all results.
func (b *bench) print() error {
	b.progress.clear()
	if len(b.results) > 0 {
		printTable(b.out, b.results)
	}
	if b.json == nil {
		return nil
	}
	encoder := json.NewEncoder(b.json)
	var err error
	for _, r := range b.results {
		err = errors.Join(err, encoder.Encode(r))
	}
	return errors.Join(err, b.close())
}

// verdict says what was found that must not be, if anything was.
func (b *bench) verdict() error {
	for _, r := range b.results {
		switch {
		case !r.wrong():
		case r.Error != "":
			return fmt.Errorf("%s: %s", r.Cell, r.Error)
		case len(r.Wrong) > 0:
			return fmt.Errorf("%s: %s", r.Cell, r.Wrong[0])
		case !r.Account.adds():
			return fmt.Errorf("%s: the Messages do not add up: %s", r.Cell, r.Account.sum())
		default:
			return fmt.Errorf("%s: %s lost, %s bad", r.Cell, grouped(r.Account.Lost), grouped(r.Account.Bad))
		}
	}
	return nil
}
