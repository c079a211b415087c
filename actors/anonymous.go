package actors

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// What a ConnectionActor does until somebody is logged in.

// anonymous: nobody is logged in, and frames come one by one.
func (c *ConnectionActor) anonymous(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case received:
		c.judge(ctx, m.chunk)
	default:
		c.always(ctx)
	}
}

// proving: a proof of possession is being looked at.
func (c *ConnectionActor) proving(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case proved:
		if m.crash != nil {
			m.crash.raise()
		}
		if m.login == c.login {
			c.proved(ctx, m)
		}
	case overdue:
		if m.login == c.login {
			c.turnAway(frames.Timeout, errTooLate.Text)
		}
	default:
		c.always(ctx)
	}
}

// joining: the Registry was asked to make our login the one of its key.
func (c *ConnectionActor) joining(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case Joined:
		if m.Login == c.login {
			c.joined()
		}
	case Rejected:
		if m.Login == c.login {
			c.refuseLogin(m.Code, "")
		}
	default:
		c.always(ctx)
	}
}

// judge answers a frame before login.
func (c *ConnectionActor) judge(ctx actor.Context, chunk *Chunk) {
	t, whole := chunk.frame()
	c.mail.Mark()
	run := chunk.run(0)
	chunk.release() // the run holds it now
	payload := whole[frames.HeaderSize:]
	switch {
	case t == frames.TypeLogin:
		c.logIn(ctx, run, payload)
	case t == frames.TypeHello:
		c.hello(run, payload)
	case t.Carries():
		c.answer(run, frames.NotLoggedIn, "")
	case c.greeting == nil:
		c.answer(run, frames.Unsupported, "")
	default:
		c.judgeExtension(ctx, run, payload)
	}
}

// judgeExtension answers a frame of the types that Hello brings.
func (c *ConnectionActor) judgeExtension(ctx actor.Context, run *Run, payload []byte) {
	frame, err := c.shared.Limits().Keys.Decode(frames.FromClient, frames.Raw{Type: run.Type, Payload: payload})
	switch f := frame.(type) {
	case frames.Ping:
		c.answer(run, 0, "")
	case frames.Pong:
		run.settleAll(0)
	case frames.Prove:
		c.prove(ctx, run, frames.Prove{Key: slices.Clone(f.Key), Signature: slices.Clone(f.Signature)})
	default:
		code, text := frames.NotLoggedIn, ""
		if refusal := refusalOf(err); refusal != nil && run.Type != frames.TypeEnd {
			code, text = refusal.Code, refusal.Text
		}
		c.answer(run, code, text)
	}
}

// hello takes note of what the client understands, once.
func (c *ConnectionActor) hello(run *Run, payload []byte) {
	frame, err := c.shared.Limits().Keys.Decode(frames.FromClient, frames.Raw{Type: frames.TypeHello, Payload: payload})
	switch {
	case c.greeting != nil:
		c.answer(run, frames.Malformed, "Hello is said once")
	case err != nil:
		c.answer(run, frames.Malformed, refusalOf(err).Text)
	default:
		var welcome frames.Welcome
		welcome, c.greeting = c.shared.greet(frame.(frames.Hello), payload, c.conn, c.reader.limits)
		run.settleAll(0)
		c.tell(welcome)
	}
}

// tell says something of the relay's own to the client.
func (c *ConnectionActor) tell(f frames.Frame) { c.out.push(notice(c.shared, &c.reader.window, f)) }

// answer tells the client what became of what it sent: why it was refused, or, with code 0, what answers it.
func (c *ConnectionActor) answer(run *Run, code frames.Code, text string) {
	run.code, run.text = code, text
	c.out.push(run)
}

// logIn begins a login whose client shows no proof, other than, perhaps, in TLS.
func (c *ConnectionActor) logIn(ctx actor.Context, run *Run, key frames.Key) {
	c.asking = run
	if err := c.shared.Limits().Keys.Check(key); err != nil {
		c.entry.punish(badLogin)
		c.refuseLogin(frames.BadKey, refusalOf(err).Text)
		return
	}
	c.login = c.newLogin(ctx, key)
	switch {
	case c.shows(key):
		c.startProving(nil, frames.Prove{})
	case c.shared.needsProof(c.login.fingerprint()):
		c.refuseLogin(frames.ProofRequired, "")
	default:
		c.join(ctx)
	}
}

// shows reports whether the connection itself shows that whoever is there holds the key.
func (c *ConnectionActor) shows(key frames.Key) bool {
	switch {
	case certified(c.conn, key):
		c.login.shown = LoginCertificate
	case len(key) > 0 && string(c.vouched) == string(key):
		c.login.shown = LoginHost
	}
	return c.login.shown != 0
}

// prove begins a login whose client shows a proof.
func (c *ConnectionActor) prove(ctx actor.Context, run *Run, proof frames.Prove) {
	c.asking = run
	c.login = c.newLogin(ctx, proof.Key)
	c.startProving(c.greeting, proof)
}

func (c *ConnectionActor) newLogin(ctx actor.Context, key frames.Key) *Login {
	l := NewLogin(c.shared, key, ctx.Self())
	l.address, l.window = c.entry.from(), &c.reader.window
	l.extended, l.pinnings = c.greeting != nil, c.shared.Trust.pinnings.Load()
	l.presence = l.extended && c.greeting.presence
	return l
}

func (c *ConnectionActor) startProving(g *greeting, proof frames.Prove) {
	c.become(isProving)
	c.shared.running.Add(1)
	c.shared.pool.start(&proving{shared: c.shared, login: c.login, greeting: g, proof: proof, quits: c.reader.quits})
	if by := c.reader.loginBy; !by.IsZero() {
		shared, login := c.shared, c.login
		c.provingBy = time.AfterFunc(time.Until(by), func() { shared.send(login.Connection, overdue{login: login}) })
	}
}

// proved goes on with a login whose proof was looked at.
func (c *ConnectionActor) proved(ctx actor.Context, m proved) {
	if c.provingBy != nil {
		c.provingBy.Stop()
	}
	switch {
	case m.gone:
		c.refuseLogin(frames.ShuttingDown, "")
	case m.code == frames.ProofInvalid:
		c.entry.punish(badProof)
		c.turnAway(m.code, "")
	case m.code != 0:
		c.refuseLogin(m.code, "")
	default:
		c.login.proven = true
		c.join(ctx)
	}
}

// join asks to make the login the one of its key.
func (c *ConnectionActor) join(ctx actor.Context) {
	if !c.entry.logIn() {
		c.turnAway(frames.Limit, "too many users are logged in from your address")
		return
	}
	c.become(isJoining)
	c.login.Ride(c.mail)
	ctx.Send(c.registry, Join{Login: c.login})
}

func (c *ConnectionActor) joined() {
	run := c.asking
	c.asking = nil
	c.become(isOnline)
	c.reader.login.Store(c.login)
	c.shared.counts.logins[c.login.kind()].Add(1)
	c.out.push(run)
}

// turnAway refuses a login, and closes the connection.
func (c *ConnectionActor) turnAway(code frames.Code, text string) {
	run := c.noLogin(code)
	c.ends(EndingLogin, code)
	run.code, run.text = code, text
	c.reader.stop()
	c.out.finish(run.refusal(run.spans[0].number).Append(nil))
	run.settleAll(code)
}

func (c *ConnectionActor) refuseLogin(code frames.Code, text string) {
	c.entry.logOut()
	c.answer(c.noLogin(code), code, text)
}

// noLogin forgets a login that is refused, and returns what asked for it.
func (c *ConnectionActor) noLogin(code frames.Code) *Run {
	c.shared.counts.refused[code].Add(1)
	run := c.asking
	c.asking, c.login = nil, nil
	c.become(isAnonymous)
	return run
}
