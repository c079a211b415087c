package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/mdeiml/blubbel-server/frames"
)

// read reads a user's connection until it ends.
func (u *user) read(l *load) {
	if u.begin != nil {
		u.begin()
		l.sending.Done()
	}
	err := u.takeAll(l)
	for err == nil {
		if err = u.fill(); err == nil {
			err = u.takeAll(l)
		}
	}
	u.ended.Store(true)
	if l.closing.Load() {
		return
	}
	u.cut = true
	switch {
	case u.lastWord != "":
		err = fmt.Errorf("the relay closed a connection, and said %s", u.lastWord)
	case errors.Is(err, io.EOF):
		err = errors.New("the relay closed a connection without a word")
	case errors.Is(err, errNoFrame):
	default:
		err = fmt.Errorf("the relay, or something on the way, closed a connection: %w", plain(err))
	}
	u.reason = err
	if !u.mayEnd {
		l.miss(err)
	}
}

// takeAll takes the frames that have been read whole.
func (u *user) takeAll(l *load) error {
	now := int64(-1)
	for {
		f, ok, err := u.next()
		if err != nil || !ok {
			u.credit(nil, 0)
			return err
		}
		if f.Type == frames.TypeMessage {
			if now < 0 {
				now = l.now()
			}
			u.takeMessage(l, f.Payload, now)
			continue
		}
		u.takeOther(l, f)
	}
}

func (u *user) takeMessage(l *load, payload []byte, now int64) {
	st, s, err := judge(u, l.streams, payload)
	if err != nil {
		l.fault(err)
		return
	}
	fresh, err := st.arrive(s.seq)
	if err != nil {
		l.fault(fmt.Errorf("%w: number %d of stream %d", err, s.seq, st.id))
	}
	if !fresh {
		return
	}
	u.credit(st.from.sender, 1) // settled when all that was read is taken, and answered
	for _, latencies := range st.latencies {
		latencies.add(s.at, now)
	}
	if st.reply != nil {
		st.reply(s.at)
	}
}

// credit notes that n Messages of a sender have arrived, and tells the sender before it turns to another: senders' counters
// are read by other processors, and each time costs something.
func (u *user) credit(from *sender, n uint64) {
	if from != u.from {
		if u.got > 0 {
			u.from.settle(u.got)
		}
		u.from, u.got = from, 0
	}
	u.got += n
}

// takeOther takes what is no Message. What the protocol has no name for is skipped, as it wants.
func (u *user) takeOther(l *load, raw frames.Raw) {
	f, err := frames.DefaultKeys().Decode(frames.FromRelay, raw)
	e, isError := f.(frames.Error)
	ask, isStart := f.(frames.StartSession)
	switch {
	case err == nil && isError && e.Number == 0:
		u.lastWord = e.Code.String()
		return
	case err == nil && isError:
		err = u.takeRefusal(e)
	case err == nil && isStart && u.asked != nil:
		err = u.asked(ask)
	case raw.Type < frames.TypeHello && raw.Type > 0:
		err = fmt.Errorf("a %v arrived that nobody sent", raw.Type)
	default:
		return
	}
	if err != nil {
		l.fault(err)
	}
}

// takeRefusal notes that a Message was refused.
func (u *user) takeRefusal(e frames.Error) error {
	s := u.sender
	if s == nil || e.Request != frames.TypeMessage || e.Number <= s.first || e.Number-s.first > s.sent.Load() {
		return fmt.Errorf("an Error %v for number %d, which is no Message that was sent", e.Code, e.Number)
	}
	st, seq := s.message(e.Number - s.first - 1)
	if !st.refused.add(seq) {
		return fmt.Errorf("a Message was refused twice: number %d of stream %d", seq, st.id)
	}
	s.refusals[e.Code]++
	if st.retry != nil {
		st.retry() // before this one is settled, so that there is never nothing under way
	}
	s.settle(1)
	s.refused.Add(1) // after it: see delivered
	return nil
}
