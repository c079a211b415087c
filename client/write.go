package client

import (
	"slices"
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

// posted is a frame that waits to be written.
type posted struct {
	frame   frames.Frame
	request *request
}

// request is a Login, StartSession or AcceptSession that may be refused.
type request struct {
	peer   *peer  // nil for a Login
	number uint64 // by which the relay refuses it; 0 until it is written
	err    error  // why nothing comes of it
}

// post puts a frame into the outbox. The lock is held.
func (c *Client) post(f frames.Frame, r *request) {
	c.outbox = append(c.outbox, posted{frame: f, request: r})
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
func (c *Client) write() {
	for {
		batch, next, done := c.gather(time.Now())
		switch {
		case len(batch) > 0:
			if _, err := c.conn.Write(batch); err != nil {
				c.hangUp() // the reader goes on: the relay may have said why it closed
				return
			}
		case done:
			c.hangUp()
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
func (c *Client) hangUp() {
	c.mu.Lock()
	if !c.closing { // else Close has set a deadline
		_ = c.conn.SetReadDeadline(time.Now().Add(lingering))
	}
	c.mu.Unlock()
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = c.conn.Close()
}

// gather returns frames to write, or else when to look again, and whether the client is done.
func (c *Client) gather(now time.Time) (batch []byte, next time.Time, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.outbox {
		c.number++
		p.request.number = c.number
		c.asked[c.number] = p.request
		batch = p.frame.Append(batch)
	}
	c.outbox = nil
	next = now.Add(forever)
	for _, s := range c.sessions {
		if err := s.talk.overdue(now); err != nil {
			s.fail(err)
		}
		s.part()
	}
	batch = c.records(now, batch)
	for _, s := range c.sessions {
		if d := s.talk.deadline(now); d.Before(next) {
			next = d
		}
	}
	c.sessions = slices.DeleteFunc(c.sessions, func(s *Session) bool { return s.talk.silent(now) })
	if !c.closing { // else Close has set one
		_ = c.conn.SetWriteDeadline(now.Add(writing))
	}
	return batch, next, c.closing || c.err != nil
}

// records appends what sessions have to say, one record of each after the other, as far as there is room.
func (c *Client) records(now time.Time, batch []byte) []byte {
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
		c.number++
		sent.frame = c.number
		s.talk.out.sent(sent)
		batch = frames.Message{Peer: s.peer.key, Body: record}.Append(batch)
	}
	return batch
}
