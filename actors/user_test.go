package actors

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/sirupsen/logrus"

	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/store"
)

// stage is a UserActor among probes: actors that only note what they get.
type stage struct {
	t      testing.TB
	system *actor.ActorSystem
	shared *Shared
}

type probe struct {
	*actor.PID
	got chan any
}

func newStage(t testing.TB) *stage {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	system.EventStream.Subscribe(func(event any) { // as the relay does
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			Abandon(letter.Message)
		}
	})
	log := logrus.New()
	log.SetOutput(io.Discard)
	limits := Limits{
		Payload: frames.MaxPayload, LoginPayload: frames.MaxLoginPayload, Sealed: frames.MaxSealed, Window: 1 << 20, AskedBy: 64, AskedOf: 64, Sessions: 1024,
	}
	return &stage{t, system, NewShared(system.Root, limits, DoorLimits{}, &Trust{Store: store.NewMemory()}, logrus.NewEntry(log))}
}

func (s *stage) probe() probe {
	got := make(chan any, 100)
	pid := s.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started, *actor.Stopping, *actor.Stopped:
		default:
			got <- m
		}
	}))
	return probe{pid, got}
}

func (s *stage) user(key frames.Key, registry probe) *actor.PID {
	return s.system.Root.Spawn(UserProps(s.shared, Name(key), registry.PID))
}

func (s *stage) login(key frames.Key, connection, user *actor.PID) *Login {
	login := NewLogin(s.shared, key, connection)
	login.User = user
	return login
}

// run is one frame on its way from a login.
func (s *stage) run(from *Login, f frames.Frame) *Run {
	c := s.chunk(from, f)
	_, payload := c.frame()
	key, _, err := s.shared.Limits().Keys.Split(payload[frames.HeaderSize:])
	if err != nil {
		s.t.Fatal(err)
	}
	return c.run(len(key))
}

// next is the next message a probe gets, of the type wanted.
func next[T any](t testing.TB, p probe) T {
	t.Helper()
	select {
	case m := <-p.got:
		if m, ok := m.(T); ok {
			return m
		}
		t.Fatalf("got %T, want %T", m, *new(T))
	case <-time.After(10 * time.Second):
		t.Fatalf("%T does not come", *new(T))
	}
	panic("not reached")
}

// A login waits until every peer has let go of the one before it.
func TestALoginWaitsForTheFarewells(t *testing.T) {
	s := newStage(t)
	registry, first, second, peer, peerConnection := s.probe(), s.probe(), s.probe(), s.probe(), s.probe()
	bob := frames.Key("\x30\x01b")
	user := s.user(bob, registry)
	bobs := s.login(bob, first.PID, nil)
	s.system.Root.Send(user, Join{Login: bobs, Seq: 1})
	next[Joined](t, first)
	alice := s.login(frames.Key("\x30\x01a"), peerConnection.PID, peer.PID)
	ask := s.run(alice, frames.StartSession{Peer: bob, Sealed: []byte("g^a")})
	s.system.Root.Send(user, Hear{Run: ask})
	if m := next[Answered](t, peer); m.Code != 0 || m.Run != ask || !m.User.Equal(user) {
		t.Errorf("answered %+v", m)
	}
	next[Deliver](t, first)

	s.system.Root.Send(user, Leave{Login: bobs, Seq: 2})
	if m := next[Ended](t, peer); m.Peer != string(bob) || !m.User.Equal(user) {
		t.Errorf("ended %+v", m)
	}
	s.system.Root.Send(user, Join{Login: s.login(bob, second.PID, nil), Seq: 3})
	late := s.run(alice, frames.Message{Peer: bob, Body: []byte("under way")})
	s.system.Root.Send(user, Hear{Run: late})
	if m := next[Refuse](t, peerConnection); m.Run.code != frames.Offline || m.Run != late {
		t.Errorf("refused %+v", m)
	}
	if n := len(second.got); n > 0 {
		t.Errorf("the next login was answered before the last had ended: %T", <-second.got)
	}
	s.system.Root.Send(user, LetGo{Peer: alice.Name})
	next[Joined](t, second)
}

// A UserActor that nobody needs asks to go, and goes when the Registry has nothing under way to it.
func TestAUserGoesWhenNobodyCanReachIt(t *testing.T) {
	s := newStage(t)
	registry, connection, peer, peerConnection, watcher := s.probe(), s.probe(), s.probe(), s.probe(), s.probe()
	bob := frames.Key("\x30\x01b")
	user := s.user(bob, registry)
	bobs := s.login(bob, connection.PID, nil)
	s.system.Root.Send(user, Join{Login: bobs, Seq: 1})
	next[Joined](t, connection)
	s.system.Root.Send(user, Leave{Login: bobs, Seq: 2})
	if m := next[Vacate](t, registry); m.Heard != 2 {
		t.Errorf("heard %d", m.Heard)
	}
	alice := s.login(frames.Key("\x30\x01a"), peerConnection.PID, peer.PID)
	s.system.Root.Send(user, Hear{Run: s.run(alice, frames.StartSession{Peer: bob}).Numbered(3)})
	if m := next[Answered](t, peer); m.Code != frames.Unavailable {
		t.Errorf("answered %+v", m)
	}
	if m := next[Vacate](t, registry); m.Heard != 3 {
		t.Errorf("heard %d the second time", m.Heard)
	}
	s.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ctx.Watch(user)
			ctx.Send(user, Vacated{})
		case *actor.Terminated:
			watcher.got <- m
		}
	}))
	next[*actor.Terminated](t, watcher)
}

// Two who leave at once let go of each other, both.
func TestBothLeaveAtOnce(t *testing.T) {
	s := newStage(t)
	registry := s.probe()
	keys := []frames.Key{frames.Key("\x30\x01a"), frames.Key("\x30\x01b")}
	var users []*actor.PID
	var connections []probe
	var logins []*Login
	for _, key := range keys {
		connection := s.probe()
		users = append(users, s.user(key, registry))
		connections = append(connections, connection)
		logins = append(logins, s.login(key, connection.PID, nil))
		s.system.Root.Send(users[len(users)-1], Join{Login: logins[len(logins)-1], Seq: 1})
		next[Joined](t, connection)
	}
	s.system.Root.Send(users[0], Take{Chunk: s.chunk(logins[0], frames.StartSession{Peer: keys[1]})})
	m := next[Introduce](t, registry)
	s.system.Root.Send(users[1], Hear{Run: m.Run.Numbered(2)})
	next[Deliver](t, connections[1]).Run.settleAll(0)
	for i, user := range users {
		s.system.Root.Send(user, Leave{Login: logins[i], Seq: 3})
	}
	seen := map[string]uint64{}
	for range users {
		m := next[Vacate](t, registry)
		seen[m.Key] = m.Heard
	}
	if fmt.Sprint(seen) != fmt.Sprint(map[string]uint64{string(keys[0]): 3, string(keys[1]): 3}) {
		t.Errorf("vacated: %v", seen)
	}
	if a := s.shared.Ledger.Read(); a.InFlight.Frames != 0 || a.Delivered.Frames != 1 {
		t.Error(a)
	}
}

// Who says farewell to an actor that was stopped from outside is let go of all the same.
func TestAFarewellToWhoWasStopped(t *testing.T) {
	s := newStage(t)
	registry, first, second, peerConnection := s.probe(), s.probe(), s.probe(), s.probe()
	bob, alice := frames.Key("\x30\x01b"), frames.Key("\x30\x01a")
	user, peer := s.user(bob, registry), s.user(alice, registry)
	bobs, alices := s.login(bob, first.PID, nil), s.login(alice, peerConnection.PID, peer)
	s.system.Root.Send(user, Join{Login: bobs, Seq: 1})
	next[Joined](t, first)
	s.system.Root.Send(user, Hear{Run: s.run(alices, frames.StartSession{Peer: bob})})
	next[Deliver](t, first).Run.settleAll(0)
	if err := s.system.Root.StopFuture(peer).Wait(); err != nil {
		t.Fatal(err)
	}
	s.system.Root.Send(user, Leave{Login: bobs, Seq: 2})
	s.system.Root.Send(user, Join{Login: s.login(bob, second.PID, nil), Seq: 3})
	next[Joined](t, second)
}

// A UserActor that crashes on whatever it is told gives every frame its outcome nevertheless, and comes to an end with it.
func TestAUserThatAlwaysCrashesComesToAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		registry, connection := s.probe(), s.probe()
		alice, armed := frames.Key("\x30\x01a"), false
		restart := actor.NewOneForOneStrategy(1000, 0, func(any) actor.Directive { return actor.RestartDirective })
		user := s.system.Root.Spawn(UserProps(s.shared, Name(alice), registry.PID).Clone(
			actor.WithGuardian(restart),
			actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
				return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
					if armed {
						panic("of the test")
					}
					next(ctx, envelope)
				}
			}),
		))
		login := s.login(alice, connection.PID, user)
		s.system.Root.Send(user, Join{Login: login, Seq: 1})
		next[Joined](t, connection)
		armed = true
		nobody := frames.Message{Peer: frames.Key("\x30\x01b")}
		s.system.Root.Send(user, Take{Chunk: s.chunk(login, nobody, nobody, nobody)})
		synctest.Wait() // for ever, if it does not come to an end
		refused := 0
		for refused < 3 {
			m := next[Refuse](t, connection)
			if m.Run.code != frames.Internal {
				t.Errorf("refused with %v", m.Run.code)
			}
			refused += m.Run.count
			m.Run.settleAll(m.Run.code)
		}
		if a := s.shared.Ledger.Read(); a.InFlight.Frames > 0 {
			t.Error(a)
		}
		armed = false
		s.system.Root.Stop(user)
		s.shared.Wait()
		after(2 * time.Second) // Proto.Actor counts dead letters for a second
	})
}

func (s *stage) chunk(from *Login, list ...frames.Frame) *Chunk {
	c := &Chunk{shared: s.shared, login: from, window: &window{size: 1}, number: 1}
	for _, f := range list {
		c.bytes = f.Append(c.bytes)
	}
	s.shared.Ledger.taken.add(len(list), len(c.bytes))
	c.open.Store(1)
	return c
}
