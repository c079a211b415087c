package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// pester is a flood of Logins with bad keys, over a few connections.
type pester struct {
	rate int // keys a second over all of them
	keys []badKey
}

const (
	pesterConnections = 10
	pesterTick        = 10 * time.Millisecond
	comeBack          = 100 * time.Millisecond // so long after the relay closed a connection the next is tried
	accepted          = "LOGIN ACCEPTED"
	unanswered        = "not answered"
	lineEnded         = "a connection, not a key: "
)

func (c *floods) badKeys() cell {
	flood := func() flood { return &pester{rate: c.BadKeys, keys: hostileKeys()} }
	return cell{
		name: "bad-keys", flood: flood, lasts: c.lasting(floodLasts), addresses: 1, atOnce: pesterConnections, quiet: true,
	}
}

func (*pester) enter(context.Context, *siege) error { return nil }

func (f *pester) pour(ctx context.Context, s *siege) error {
	var workers sync.WaitGroup
	for nth := range pesterConnections {
		workers.Go(func() { f.pester(ctx, s, nth) }) // ends when it has sent its share, or with ctx
	}
	workers.Wait()
	return nil
}

func (*pester) tell(s *siege, _ error) {
	if n := s.attack.tally.of(accepted); n > 0 {
		s.beside.wrongly(fmt.Sprintf("%s Logins with keys that no relay may take were accepted", grouped(n)))
	}
}

// pester sends a connection's share of keys, each when it is due, and connects anew if the relay closes.
func (f *pester) pester(ctx context.Context, s *siege, nth int) {
	began, rate := time.Now(), float64(f.rate)/pesterConnections
	line := &line{tally: s.attack.tally}
	defer line.hangUp(s.patience)
	for sent, all := 0, int(rate*s.cell.lasts.Seconds()); sent < all && waitUntil(ctx, time.Now().Add(pesterTick)); {
		due := min(all, int(rate*time.Since(began).Seconds()))
		var batch []byte
		for n := sent; n < due; n++ {
			batch = frames.Login{Key: f.keys[(n*pesterConnections+nth)%len(f.keys)].key}.Append(batch)
		}
		line.say(ctx, s.attack.connect, batch, due-sent)
		sent = due
	}
}

// line is a connection, and the next if that ends, on which Logins are said and their answers counted.
type line struct {
	tally  *tally
	conn   net.Conn
	tried  time.Time
	ended  chan struct{}
	missed atomic.Int64 // how many are not answered on this connection
}

// say sends a batch of n Logins. Without a connection they count as not said.
func (l *line) say(ctx context.Context, connect func(context.Context, int) (net.Conn, error), batch []byte, n int) {
	if l.conn != nil && over(l.ended) {
		l.hangUp(0)
	}
	if l.conn == nil && time.Since(l.tried) >= comeBack {
		l.tried = time.Now()
		l.call(ctx, connect)
	}
	if l.conn == nil {
		return
	}
	l.missed.Add(int64(n))
	_, _ = l.conn.Write(batch) // why it fails, the answers say
}

// call connects.
func (l *line) call(ctx context.Context, connect func(context.Context, int) (net.Conn, error)) {
	conn, err := connect(ctx, 0)
	if err != nil {
		if ctx.Err() == nil {
			l.tally.count(notConnected, 1)
		}
		return
	}
	noFarewell(conn)
	_ = conn.SetWriteDeadline(time.Now().Add(floodLasts))
	ended := make(chan struct{})
	l.conn, l.ended = conn, ended
	go func() { // ends with the connection
		defer close(ended)
		l.hear(&inbox{conn: conn})
	}()
}

// hear counts answers until the connection ends, or a key was accepted: on that connection there is nothing more to learn.
func (l *line) hear(in *inbox) {
	in.grow(modestRead)
	for {
		raw, ok, err := in.next()
		if err == nil && !ok {
			err = in.fill()
		}
		if err != nil {
			return
		}
		if !ok {
			continue
		}
		if l.answer(raw) {
			return
		}
	}
}

// answer counts a frame of the relay, and reports whether it was the one that should not come.
func (l *line) answer(raw frames.Raw) (wrong bool) {
	f, err := frames.DefaultKeys().Decode(frames.FromRelay, raw)
	if err != nil {
		return false
	}
	switch f := f.(type) {
	case frames.LoginAccepted:
		l.missed.Add(-1)
		l.tally.count(accepted, 1)
		return true
	case frames.Error:
		if f.Number == 0 {
			l.tally.count(lineEnded+f.Code.String(), 1)
			break
		}
		l.missed.Add(-1)
		l.tally.count(f.Code.String(), 1)
	}
	return false
}

// hangUp says that this was all, waits for what is still to be answered, and closes.
func (l *line) hangUp(patience time.Duration) {
	if l.conn == nil {
		return
	}
	if half, ok := l.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = l.conn.SetReadDeadline(time.Now().Add(patience))
	<-l.ended
	_ = l.conn.Close()
	l.conn = nil
	l.tally.count(unanswered, uint64(max(0, l.missed.Swap(0))))
}
