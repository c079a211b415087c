package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/frames"
)

// What a UserActor still does for others when it crashes again and again, and when it is stopped from outside.

// quarantine settles a message on which the actor crashed twice.
func (u *user) quarantine(ctx actor.Context, message any) {
	if _, ok := message.(*actor.Stopping); ok {
		u.abandon()
		return
	}
	walked := u.mail.Marked()
	if !walked {
		u.decline(ctx, message)
	}
	switch message.(type) {
	case Take, walk:
		walked = true
	}
	if walked {
		u.skip(ctx)
	}
	u.left(ctx)
	if len(u.chunks) > 0 && u.asking == nil { // each time there is a frame less, so this ends even if it always crashes
		ctx.Send(ctx.Self(), walk{})
	}
}

// decline does what others wait for of a message on which the actor crashed; what was sent with it is refused.
func (u *user) decline(ctx actor.Context, message any) {
	switch m := message.(type) {
	case Take:
		u.take(m.Chunk)
	case Hear:
		u.heard = max(u.heard, m.Run.seq)
		if m.Run.Type == frames.TypeEnd { // for the third time: nothing may be left of it
			u.hearEnd(ctx, m.Run)
			return
		}
		u.mail.Mark()
		if m.Run.Type == frames.TypeStart {
			ctx.Send(m.Run.Sender(), Answered{Run: m.Run, Code: frames.Internal})
		} else {
			m.Run.refuse(frames.Internal, "")
		}
		u.vacateIfVacant(ctx)
	case Join:
		u.heard = max(u.heard, m.Seq)
		ctx.Send(m.Login.Connection, Rejected{Login: m.Login, Code: frames.Internal})
		u.vacateIfVacant(ctx)
	default:
		u.handle(ctx, m) // for the third time: there is nobody to ask again
	}
}

// abandon settles what is held when the actor is stopped from outside.
func (u *user) abandon() {
	u.rest.stop()
	u.absence.end()
	u.dropChunks()
	u.delayed.stop()
	for _, m := range u.next {
		Abandon(m)
	}
	u.next = nil
	if u.login != nil {
		u.shared.Root.Send(u.login.Connection, Orphaned{})
	}
}
