package actors

import (
	"testing"
	"testing/synctest"
	"time"

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

// Who was waiting and left meanwhile is not let in, and who waits is, when the one before has rested.
func TestWhoWaitsForARestMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		registry, first, second := s.probe(), s.probe(), s.probe()
		key := frames.Key("\x30\x01b")
		user := s.user(key, registry)
		s.system.Root.Send(user, GiveUp{})
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
		s.shared.Wait()
		after(2 * time.Second) // as above
	})
}
