package actors

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"golang.org/x/time/rate"

	"github.com/mdeiml/blubbel-server/frames"
)

// A key whose actor was given up waits for its next login, longer each time, until a minute was calm. In virtual time.
func TestAUserThatIsGivenUpHasToRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		registry := s.probe()
		key := frames.Key("\x30\x01b")
		user, seq := s.user(key, registry), uint64(0)
		comes := func() (*Login, probe, time.Duration) {
			connection, began := s.probe(), time.Now()
			login := s.login(key, connection.PID, nil)
			seq++
			s.system.Root.Send(user, Join{Login: login, Seq: seq})
			next[Joined](t, connection)
			return login, connection, time.Since(began)
		}
		leaves := func(login *Login) {
			seq++
			s.system.Root.Send(user, Leave{Login: login, Seq: seq})
		}
		crashes := func(want time.Duration) {
			login, connection, waited := comes()
			if waited != want {
				t.Errorf("it waited %v, want %v", waited, want)
			}
			s.system.Root.Send(user, GiveUp{})
			if m := next[Close](t, connection); m.Code != frames.Internal {
				t.Errorf("closed with %v", m.Code)
			}
			leaves(login)
		}
		const ms = time.Millisecond
		for _, want := range []time.Duration{0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms} {
			crashes(want)
		}
		after(5*time.Second + time.Minute - ms)
		if len(registry.got) > 0 {
			t.Errorf("it asked to go before it was forgotten: %T", <-registry.got)
		}
		next[Vacate](t, registry)
		crashes(0)
		crashes(100 * ms)
		login, _, _ := comes()
		leaves(login)
		after(calmTime)
		next[Vacate](t, registry)
		s.system.Root.Send(user, Vacated{})
		s.shared.Wait()
		after(2 * time.Second) // Proto.Actor counts dead letters for a second
	})
}

// withResting plays a scene with a user that was just given up, in virtual time.
func withResting(t *testing.T, scene func(s *stage, user *actor.PID, key frames.Key), options ...actor.PropsOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		key := frames.Key("\x30\x01b")
		user := s.system.Root.Spawn(UserProps(s.shared, Name(key), s.probe().PID).Clone(options...))
		s.system.Root.Send(user, GiveUp{})
		scene(s, user, key)
		s.system.Root.Stop(user)
		s.shared.Wait()
		after(2 * time.Second) // Proto.Actor counts dead letters for a second
	})
}

// Who was waiting and left meanwhile is not let in, and who waits is, when the one before has rested.
func TestWhoWaitsForARestMayLeave(t *testing.T) {
	withResting(t, func(s *stage, user *actor.PID, key frames.Key) {
		first, second := s.probe(), s.probe()
		impatient, patient := s.login(key, first.PID, nil), s.login(key, second.PID, nil)
		s.system.Root.Send(user, Join{Login: impatient, Seq: 1})
		s.system.Root.Send(user, Join{Login: patient, Seq: 2})
		impatient.over.Store(true)
		s.system.Root.Send(user, Leave{Login: impatient, Seq: 3})
		next[Joined](t, second)
		if len(first.got) > 0 {
			t.Errorf("got %T", <-first.got)
		}
		s.system.Root.Stop(user)
		next[Orphaned](t, second)
	})
}

// A rest that is over when the next has begun already does not cut that short, nor makes it last longer.
func TestARestThatWasOverIsNotTheNext(t *testing.T) {
	busy := actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			if _, ok := envelope.Message.(walk); ok {
				<-time.After(100 * time.Millisecond)
			}
			next(ctx, envelope)
		}
	})
	withResting(t, func(s *stage, user *actor.PID, key frames.Key) { // until 100 ms
		connection := s.probe()
		after(50 * time.Millisecond)
		s.system.Root.Send(user, walk{})   // from 50 to 150 ms
		s.system.Root.Send(user, GiveUp{}) // at 150 ms, so until 350 ms; rested of the first comes after it
		s.system.Root.Send(user, Join{Login: s.login(key, connection.PID, nil), Seq: 1})
		began := time.Now()
		next[Joined](t, connection)
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Errorf("it waited %v", took)
		}
	}, busy)
}

// Who waits for a rest has an answer when the actor is stopped.
func TestWhoWaitsForARestIsAnsweredWhenItStops(t *testing.T) {
	withResting(t, func(s *stage, user *actor.PID, key frames.Key) {
		connection := s.probe()
		s.system.Root.Send(user, Join{Login: s.login(key, connection.PID, nil), Seq: 1})
		after(time.Millisecond)
		s.system.Root.Stop(user)
		if m := next[Rejected](t, connection); m.Code != frames.Internal {
			t.Errorf("rejected with %v", m.Code)
		}
	})
}

// Who has left is not kept until the rest is over.
func TestWhoLeavesDuringARestIsForgotten(t *testing.T) {
	var actorOf *user
	keeps := actor.WithReceiverMiddleware(func(next actor.ReceiverFunc) actor.ReceiverFunc {
		return func(ctx actor.ReceiverContext, envelope *actor.MessageEnvelope) {
			actorOf = ctx.(interface{ Actor() actor.Actor }).Actor().(*UserActor).user
			next(ctx, envelope)
		}
	})
	withResting(t, func(s *stage, user *actor.PID, key frames.Key) {
		connection := s.probe()
		for seq := range uint64(100) {
			login := s.login(key, connection.PID, nil)
			s.system.Root.Send(user, Join{Login: login, Seq: 2 * seq})
			login.over.Store(true)
			s.system.Root.Send(user, Leave{Login: login, Seq: 2*seq + 1})
		}
		after(time.Millisecond)
		if len(actorOf.next) > 0 {
			t.Errorf("%d logins are kept", len(actorOf.next))
		}
	}, keeps)
}

// Who has asked often, and leaves, is remembered until that makes no difference any more.
func TestAUserStaysUntilItMayAskAsOftenAsAnyone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.shared.Limits().Keys.SeedRaw = true
		s.shared.Limits().Starts = Rate{Limit: rate.Every(6 * time.Second), Burst: 20}
		registry, connection, peer := s.probe(), s.probe(), s.probe()
		user := s.user(seedKey(1), registry)
		comes := func(seq uint64) *Login {
			login := s.login(seedKey(1), connection.PID, user)
			s.system.Root.Send(user, Join{Login: login, Seq: seq})
			next[Joined](t, connection)
			return login
		}
		login := comes(1)
		for range 3 {
			s.system.Root.Send(user, Take{Chunk: s.chunk(login, frames.StartSession{Peer: seedKey(2)})})
			m := next[Introduce](t, registry)
			s.system.Root.Send(user, Answered{Run: m.Run, Code: frames.Limit, User: peer.PID})
			next[Refuse](t, connection).Run.settleAll(frames.Limit)
		}
		after(time.Second)
		s.system.Root.Send(user, Leave{Login: login, Seq: 2})
		after(17*time.Second - time.Millisecond)
		if n := len(registry.got); n > 0 {
			t.Fatalf("goes too early: %T", <-registry.got)
		}
		after(2 * time.Millisecond) // tokens are fractions
		next[Vacate](t, registry)
		login = comes(3)
		s.system.Root.Send(user, Leave{Login: login, Seq: 4})
		next[Vacate](t, registry) // at once
		s.system.Root.Stop(user)
		s.shared.Wait()
		after(2 * time.Second)
	})
}
