package client

import (
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

const (
	// batchSize is how many bytes are gathered, about, before they are written.
	batchSize = 64 << 10
	// writing is how long the relay may take nothing before the connection counts as lost.
	writing = 30 * time.Second
	// forever is until when nothing is due, if nothing is.
	forever = 24 * time.Hour
)

// posted is a frame that waits to be written. Nobody waits for the answer to one without a request.
type posted struct {
	frame   frames.Frame
	request *request
}

// request is a frame that may be refused, and that somebody waits for.
type request struct {
	peer   *peer  // whom it is for; nil for the relay
	number uint64 // by which the relay refuses it; 0 until it is written
	err    error  // why nothing comes of it
}

// post puts a frame into the outbox. The lock is held.
func (c *Client) post(l *link, f frames.Frame, r *request) {
	l.outbox = append(l.outbox, posted{frame: f, request: r})
	c.poke()
}

// poke has the writer look what there is to send.
func (c *Client) poke() {
	select {
	case c.wanted <- struct{}{}:
	default: // it will look anyway
	}
}

// write is the writer: it gathers what there is to send and writes it, until the client is done and all is written.
func (c *Client) write(l *link) {
	for {
		batch, next, done := c.gather(l, time.Now())
		switch {
		case len(batch) > 0:
			if _, err := l.conn.Write(batch); err != nil {
				c.hangUp(l) // the reader goes on: the relay may have said why it closed
				return
			}
		case done:
			c.hangUp(l)
			return
		default:
			c.rest(next)
		}
	}
}

// rest waits until something is wanted, or due.
func (c *Client) rest(until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-c.wanted:
	case <-timer.C:
	}
}

// hangUp shuts the writing side, so that the relay handles what it has, and lets the reader read the end.
func (c *Client) hangUp(l *link) {
	c.mu.Lock()
	if !c.closing { // else Close has set a deadline
		_ = l.conn.SetReadDeadline(time.Now().Add(lingering))
	}
	c.mu.Unlock()
	if half, ok := l.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = l.conn.Close()
}

// gather returns frames to write, or else when to look again, and whether there will be no more.
func (c *Client) gather(l *link, now time.Time) (batch []byte, next time.Time, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next = c.watch(l, now)
	if l.err != nil {
		return nil, next, true
	}
	batch = l.flush(now)
	if l.loggedIn {
		batch = c.leave(l, now, c.records(l, now, batch))
		for _, s := range c.sessions {
			if d := s.talk.deadline(now); d.Before(next) {
				next = d
			}
		}
	}
	if !c.closing { // else Close has set one
		_ = l.conn.SetWriteDeadline(now.Add(writing))
	}
	return batch, next, c.closing
}

// flush empties the outbox. The lock is held.
func (l *link) flush(now time.Time) (batch []byte) {
	for _, p := range l.outbox {
		l.number++
		if p.request != nil {
			p.request.number = l.number
			l.asked[l.number] = p.request
		}
		if f, ok := p.frame.(frames.Ping); ok && l.pings[f] != nil {
			l.pings[f].sent = now
		}
		batch = p.frame.Append(batch)
	}
	l.outbox = nil
	return batch
}

// records appends what sessions have to say, one record of each after the other, as far as there is room. The lock is held.
func (c *Client) records(l *link, now time.Time, batch []byte) []byte {
	for _, s := range c.sessions {
		if err := s.talk.overdue(now); err != nil {
			s.fail(err)
		}
		s.part()
	}
	for idle := 0; idle < len(c.sessions) && len(batch) < batchSize; {
		s := c.sessions[0]
		c.sessions = append(c.sessions[1:], s) // whose turn it was goes last
		record, sent, err := s.talk.produce(now)
		if err != nil {
			s.fail(err)
		}
		if record == nil {
			idle++
			continue
		}
		idle = 0
		l.number++
		sent.frame = l.number
		s.talk.out.sent(sent)
		batch = frames.Message{Peer: s.peer.key, Body: record}.Append(batch)
	}
	return batch
}
