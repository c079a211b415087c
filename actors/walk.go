package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"golang.org/x/time/rate"

	"github.com/mdeiml/blubbel-server/frames"
)

// The walk: a UserActor goes through what its client sent, frame by frame and in order. Messages to one peer are gathered
// in a run, which is sent when the chunk ends or another kind of frame comes. A StartSession makes the walk wait until
// the peer's actor has answered, so that whatever follows to that peer takes the same way and cannot overtake it.

// walking is where the walk is, and what it has in hand. It survives crashes.
type walking struct {
	chunks   []*Chunk // what our client sent and was not walked yet, in order
	gathered []*pair  // whose run of the first chunk was not sent yet
	last     *pair    // to whom the last Message was; there is a session with them

	answers *Run // the last run of frames of the first chunk that are answered in the same way, not sent yet
	code    frames.Code
	text    string

	asking   *Run  // a StartSession that was not answered yet; the walk waits for it
	askingTo *pair // its recipient
	askedAt  time.Time
	starts   *rate.Limiter // of StartSessions; nil before the first, or without a limit
}

// take queues a chunk of our client.
func (u *user) take(c *Chunk) {
	if c.login != u.login || c.login.over.Load() {
		u.mail.Mark()
		c.refuseRest()
		return
	}
	u.chunks = append(u.chunks, c)
	u.mail.Mark()
}

// walk walks on, where there is something to walk and nothing to wait for.
func (u *user) walk(ctx actor.Context) {
	for len(u.chunks) > 0 && u.asking == nil {
		c := u.chunks[0]
		for t, whole := c.frame(); whole != nil && u.asking == nil; t, whole = c.frame() {
			u.frame(ctx, c, t, whole[frames.HeaderSize:])
		}
		if len(u.gathered) == 1 && u.answers == nil && c.at == len(c.bytes) {
			u.gathered[0].run.alone = true
		}
		if u.asking == nil {
			u.walked(ctx)
		} else {
			u.flush(ctx)
		}
	}
}

// walked lets go of the first chunk.
func (u *user) walked(ctx actor.Context) {
	u.flush(ctx)
	c := u.chunks[0]
	u.chunks = slices.Delete(u.chunks, 0, 1)
	c.release()
}

// frame judges the frame at the chunk's mark, and moves the mark behind it.
func (u *user) frame(ctx actor.Context, c *Chunk, t frames.Type, payload []byte) {
	if p := u.last; t == frames.TypeMessage && p.state&Open != 0 && startsWith(payload, p.peer) { // the rule, in short
		u.gather(c, p)
		return
	}
	if !t.Carries() && t != frames.TypeEnd {
		u.other(c, t, payload)
		return
	}
	if t == frames.TypeEnd && !c.login.extended {
		u.answer(c, frames.Unsupported, "")
		return
	}
	peer, rest, err := u.shared.Limits().Keys.Split(payload)
	if err == nil {
		err = u.checkRest(t, rest)
	}
	switch {
	case err != nil:
		u.answer(c, frames.Malformed, refusalOf(err).Text)
	case string(peer) == u.name:
		u.answer(c, frames.BadKey, "this is your own key")
	case t == frames.TypeMessage:
		u.message(c, peer)
	case t == frames.TypeEnd:
		u.flush(ctx)
		u.end(ctx, c, peer)
	case t == frames.TypeStart && !u.mayAsk(c.login):
		u.answer(c, frames.RateLimited, "")
	default:
		u.flush(ctx) // or the frame would overtake what was gathered
		u.offer(ctx, c, peer, EventOf(t))
	}
}

// checkRest refuses what is too long behind a key.
func (u *user) checkRest(t frames.Type, rest []byte) error {
	switch t { //nolint:exhaustive // of the others the whole frame is limited
	case frames.TypeStart, frames.TypeAccept:
		return frames.CheckSealed(rest, u.shared.Limits().Sealed)
	case frames.TypeEnd:
		return frames.CheckReason(rest)
	}
	return nil
}

// other answers a frame that is not for a peer.
func (u *user) other(c *Chunk, t frames.Type, payload []byte) {
	code, text := frames.Unsupported, ""
	switch {
	case t == frames.TypeLogin, t == frames.TypeHello, t == frames.TypeProve && c.login.extended:
		code = frames.AlreadyLoggedIn
	case c.login.extended:
		switch frame, err := u.shared.Limits().Keys.Decode(frames.FromClient, frames.Raw{Type: t, Payload: payload}); frame.(type) {
		case frames.Ping:
			code = 0
		case frames.Pong: // of this it was enough to read it
			c.pass(frames.HeaderSize + len(payload))
			return
		default:
			code, text = refusalOf(err).Code, refusalOf(err).Text
		}
	}
	u.answer(c, code, text)
}

func startsWith(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}

// stranger stands for whoever there is nothing with. It is never written to.
var stranger pair

// message gathers a Message, if there is a session.
func (u *user) message(c *Chunk, peer frames.Key) {
	p, ok := u.pairs[string(peer)]
	if !ok {
		p = &stranger
	}
	if _, code := p.state.Say(Message, Allowance{}); code != 0 {
		u.answer(c, code, "")
		return
	}
	u.last = p
	u.gather(c, p)
}

func (u *user) gather(c *Chunk, p *pair) {
	if p.run == nil {
		u.gathered = append(u.gathered, p)
		p.run = c.run(len(p.peer))
		p.run.here, p.run.there = p, p.mirror
		return
	}
	p.run.add()
}

// mayAsk reports whether one more StartSession is within the rates, and counts it.
func (u *user) mayAsk(l *Login) bool {
	if u.starts == nil {
		u.starts = u.shared.Limits().Starts.limiter()
	}
	now := time.Now()
	return allow(u.starts, now) && l.address.mayAsk(now)
}

// offer passes on a StartSession or an AcceptSession.
func (u *user) offer(ctx actor.Context, c *Chunk, peer frames.Key, e Event) {
	p := u.pair(Name(peer))
	limits := u.shared.Limits()
	state, code := p.state.Say(e, Allowance{Ask: u.asked < limits.AskedBy, Open: u.places < limits.Sessions})
	if code != 0 {
		u.answer(c, code, "")
		return
	}
	run := c.run(len(peer))
	run.here, run.there, run.alone = p, p.mirror, true
	if e == Accept {
		u.set(p, state)
		ctx.Send(p.user, Hear{Run: run})
		u.opened(ctx, p)
		return
	}
	u.asking, u.askingTo, u.askedAt = run, p, time.Now()
	if p.user != nil {
		ctx.Send(p.user, Hear{Run: run})
	} else {
		ctx.Send(u.registry, Introduce{To: p.peer, Run: run})
	}
}

// answered takes note of what the peer's actor, or the Registry, has decided on our StartSession.
func (u *user) answered(ctx actor.Context, m Answered) {
	if m.Run != u.asking {
		return // answered before a crash
	}
	p := u.pair(u.askingTo.peer) // they may have asked us meanwhile
	switch {
	case m.Code == 0:
		p.user = m.User
		u.set(p, p.state|Asked)
		u.asking = nil
		if u.phase == leaving {
			u.farewell(ctx, p, disconnected)
		}
	case m.Code == frames.Unavailable && u.phase == online:
		u.delay(ctx, u.asking, u.askedAt)
		u.asking = nil
	default:
		u.asking.refuse(m.Code, "")
		u.asking = nil
	}
}

// answer answers the frame at the chunk's mark: why it is refused, or, with code 0, with what it asks for. Answers of one kind in a row
// travel together.
func (u *user) answer(c *Chunk, code frames.Code, text string) {
	t, _ := c.frame()
	if u.answers != nil && u.answers.Type == t && u.code == code && u.text == text {
		u.answers.add()
		return
	}
	u.sendAnswers()
	u.answers, u.code, u.text = c.run(0), code, text
}

func (u *user) sendAnswers() {
	if run := u.answers; run != nil {
		u.answers = nil
		u.mail.carry(run).refuse(u.code, u.text)
	}
}

// flush sends what was gathered.
func (u *user) flush(ctx actor.Context) {
	for _, p := range u.gathered { // should we crash in here, those that are sent have no run any more
		u.sendRun(ctx, p)
	}
	u.gathered = u.gathered[:0]
	u.sendAnswers()
}

func (u *user) sendRun(ctx actor.Context, p *pair) {
	if run := p.run; run != nil {
		p.run = nil
		ctx.Send(p.user, Hear{Run: u.mail.carry(run)})
	}
}

// skip refuses the frame on which the walk crashed.
func (u *user) skip(ctx actor.Context) {
	if len(u.chunks) == 0 || u.asking != nil {
		return
	}
	c := u.chunks[0]
	if _, whole := c.frame(); whole != nil {
		u.answer(c, frames.Internal, "")
	}
	if c.at == len(c.bytes) {
		u.walked(ctx)
	}
}

// dropChunks refuses what was not walked: its login is over. What was gathered is refused, too.
func (u *user) dropChunks() {
	for _, p := range u.gathered {
		if run := p.run; run != nil {
			p.run = nil
			run.refuse(frames.Offline, "")
		}
	}
	u.gathered = nil
	u.sendAnswers()
	for _, c := range u.chunks {
		c.refuseRest()
	}
	u.chunks = nil
}
