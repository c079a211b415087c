package supervisor

import (
	"container/list"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/mdeiml/blubbel-server/actors"
	"github.com/mdeiml/blubbel-server/frames"
)

// Registry knows which UserActor a key has, and supervises them. A UserActor is spawned for the first login of its key,
// never for being asked for.
type Registry struct {
	config *atomic.Pointer[Config]
	shared *actors.Shared
	mail   *actors.Mailbox
	users  map[string]*entry // by the Name of the key
	keys   map[string]string // by the id of the UserActor's PID
	away   *list.List        // Names of keys whose users are away and keep sessions, longest first
	over   bool              // it is being stopped: who is spawned now, nobody would stop
}

type entry struct {
	user *actor.PID
	sent uint64 // how many messages of ours it was sent; it may go when it has seen them all
	away *list.Element
}

func registryProps(c *atomic.Pointer[Config], shared *actors.Shared) *actor.Props {
	r := &Registry{config: c, shared: shared, users: map[string]*entry{}, keys: map[string]string{}, away: list.New()}
	r.mail = actors.NewMailbox(shared, r.decline)
	return actor.PropsFromProducer(
		func() actor.Actor { return r },
		actor.WithSupervisor(&restart{shared, c}),
		r.mail.Props(),
	)
}

// Receive implements actor.Actor.
func (r *Registry) Receive(ctx actor.Context) {
	if r.mail.Marked() {
		return
	}
	switch m := ctx.Message().(type) {
	case actors.Join:
		r.join(ctx, m)
	case actors.Leave:
		r.leave(ctx, m)
	case actors.Introduce:
		r.introduce(ctx, m)
	case actors.Away:
		r.isAway(ctx, m)
	case actors.Vacate:
		r.vacate(ctx, m)
	case actors.Recheck:
		for _, e := range r.users {
			ctx.Send(e.user, m)
		}
	case *actor.Terminated:
		r.forget(m.Who)
	case *actor.Stopping:
		r.over = true // messages still come while the children stop
	case *actor.Started, *actor.Restarting, *actor.Stopped:
	default:
		actors.Abandon(m)
	}
	r.mail.Mark()
}

func (r *Registry) join(ctx actor.Context, m actors.Join) {
	key := m.Login.Name
	e, ok := r.users[key]
	if !ok && r.over {
		actors.Abandon(m)
		return
	}
	if !ok {
		props := actors.UserProps(r.shared, key, ctx.Self())
		e = &entry{user: ctx.Spawn(r.config.Load().Props(KindUser, props))}
		r.users[key], r.keys[e.user.Id] = e, key
	}
	r.isBack(e)
	e.sent++
	m.Seq = e.sent
	m.Login.Ride(r.mail)
	ctx.Send(e.user, m)
}

// leave passes on what the user may not hear before the Join.
func (r *Registry) leave(ctx actor.Context, m actors.Leave) {
	if e, ok := r.users[m.Login.Name]; ok {
		e.sent++
		m.Seq = e.sent
		ctx.Send(e.user, m)
	}
}

func (r *Registry) introduce(ctx actor.Context, m actors.Introduce) {
	e, ok := r.users[m.To]
	if !ok {
		ctx.Send(m.Run.Sender(), actors.Answered{Run: m.Run, Code: frames.Unavailable})
		return
	}
	e.sent++
	ctx.Send(e.user, actors.Hear{Run: m.Run.Numbered(e.sent)})
}

// isAway takes note of a user that is away. If there are too many, whoever has been for longest has been for too long.
func (r *Registry) isAway(ctx actor.Context, m actors.Away) {
	e, ok := r.users[m.Key]
	if !ok || !e.user.Equal(m.User) || e.sent != m.Heard || e.away != nil {
		return
	}
	e.away = r.away.PushBack(m.Key)
	if r.away.Len() <= r.config.Load().UsersAway {
		return
	}
	longest := r.users[r.away.Front().Value.(string)]
	r.isBack(longest)
	ctx.Send(longest.user, actors.Forget{})
}

func (r *Registry) isBack(e *entry) {
	if e.away != nil {
		r.away.Remove(e.away)
		e.away = nil
	}
}

func (r *Registry) vacate(ctx actor.Context, m actors.Vacate) {
	e, ok := r.users[m.Key]
	if ok && e.user.Equal(m.User) && e.sent == m.Heard {
		r.forget(m.User)
		ctx.Send(m.User, actors.Vacated{})
	}
}

func (r *Registry) forget(user *actor.PID) {
	if key, ok := r.keys[user.Id]; ok {
		r.isBack(r.users[key])
		delete(r.keys, user.Id)
		delete(r.users, key)
	}
}

// decline answers a message on which the Registry crashed twice.
func (r *Registry) decline(ctx actor.Context, message any) {
	if r.mail.Marked() {
		return
	}
	switch m := message.(type) {
	case *actor.Stopping:
		r.over = true
	case *actor.Terminated:
		r.forget(m.Who)
	case actors.Join:
		ctx.Send(m.Login.Connection, actors.Rejected{Login: m.Login, Code: frames.Internal})
	case actors.Leave:
		r.leave(ctx, m)
	case actors.Away:
		r.isAway(ctx, m)
	case actors.Vacate:
		r.vacate(ctx, m)
	case actors.Introduce:
		ctx.Send(m.Run.Sender(), actors.Answered{Run: m.Run, Code: frames.Internal})
	default:
		actors.Abandon(m)
	}
}
