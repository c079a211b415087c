package actors

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

// asker is a user whose requests the test answers.
type asker struct {
	*stage
	registry, connection probe
	login                *Login
}

func withAsker(t *testing.T, scene func(a *asker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.shared.Limits().Keys.SeedRaw = true
		a := &asker{stage: s, registry: s.probe(), connection: s.probe()}
		user := s.user(seedKey(1), a.registry)
		a.login = s.login(seedKey(1), a.connection.PID, user)
		s.system.Root.Send(user, Join{Login: a.login, Seq: 1})
		next[Joined](t, a.connection)
		scene(a)
		s.system.Root.Stop(user)
		s.shared.Wait()
		after(2 * time.Second) // Proto.Actor counts dead letters for a second
		if a := s.shared.Ledger.Read(); a.InFlight.Frames > 0 {
			t.Error(a)
		}
	})
}

// answers has the peer's side answer the next request.
func (a *asker) answers(code frames.Code) {
	a.t.Helper()
	a.system.Root.Send(a.login.User, Answered{Run: next[Introduce](a.t, a.registry).Run, Code: code})
	synctest.Wait()
}

// isRefused expects one refusal that came just now.
func (a *asker) isRefused(code frames.Code, number uint64) {
	a.t.Helper()
	synctest.Wait()
	select {
	case m := <-a.connection.got:
		if r := m.(Refuse).Run; r.code != code || r.spans[0].number != number || r.count != 1 {
			a.t.Errorf("number %d was refused with %v, want %d with %v", r.spans[0].number, r.code, number, code)
		} else {
			r.settleAll(code)
		}
	default:
		a.t.Fatalf("number %d was not refused", number)
	}
}

func (a *asker) hearsNothing() {
	a.t.Helper()
	if n := len(a.connection.got); n > 0 {
		a.t.Fatalf("refused too early: %v", (<-a.connection.got).(Refuse).Run.code)
	}
}

func TestUnavailableComesAlwaysAsLate(t *testing.T) {
	for _, takes := range []time.Duration{0, 5 * time.Millisecond, 19 * time.Millisecond} {
		t.Run(takes.String(), func(t *testing.T) {
			withAsker(t, func(a *asker) {
				a.system.Root.Send(a.login.User, Take{Chunk: a.chunk(a.login, frames.StartSession{Peer: seedKey(2)})})
				after(takes)
				a.answers(frames.Unavailable)
				after(unavailableAfter - takes - justBefore)
				a.hearsNothing()
				after(justBefore)
				a.isRefused(frames.Unavailable, 1)
			})
		})
	}
}

func TestTheWalkGoesOnWhileUnavailableIsDelayed(t *testing.T) {
	withAsker(t, func(a *asker) {
		start, message := frames.StartSession{Peer: seedKey(2)}, frames.Message{Peer: seedKey(2)}
		a.system.Root.Send(a.login.User, Take{Chunk: a.chunk(a.login, start, message, start, message)})
		synctest.Wait()
		a.hearsNothing()
		a.answers(frames.Unavailable)
		a.isRefused(frames.NoSession, 2)
		after(5 * time.Millisecond)
		a.hearsNothing() // the second request is not answered
		a.answers(frames.Unavailable)
		a.isRefused(frames.NoSession, 4)
		a.system.Root.Send(a.login.User, Take{Chunk: a.chunk(a.login, start)})
		synctest.Wait()
		a.answers(frames.Unavailable)
		after(15*time.Millisecond - justBefore)
		a.hearsNothing()
		after(justBefore)
		a.isRefused(frames.Unavailable, 1)
		a.isRefused(frames.Unavailable, 3)
		after(5*time.Millisecond - justBefore)
		a.hearsNothing()
		after(justBefore)
		a.isRefused(frames.Unavailable, 1) // of the second chunk
		after(time.Second)
		a.hearsNothing()
	})
}

func TestUnavailableComesAgain(t *testing.T) {
	withAsker(t, func(a *asker) {
		for range 3 {
			a.system.Root.Send(a.login.User, Take{Chunk: a.chunk(a.login, frames.StartSession{Peer: seedKey(2)})})
			a.answers(frames.Unavailable)
			after(unavailableAfter)
			a.isRefused(frames.Unavailable, 1)
			after(time.Second)
		}
	})
}

func TestWhatIsDelayedIsSettledWhenItsUserIsStopped(t *testing.T) {
	withAsker(t, func(a *asker) { // withAsker stops him, and looks what is under way then
		a.system.Root.Send(a.login.User, Take{Chunk: a.chunk(a.login, frames.StartSession{Peer: seedKey(2)})})
		a.answers(frames.Unavailable)
		a.login.over.Store(true) // nobody is there to write it
	})
}

func TestWhatIsDelayedIsSettledWhenItsClientLeaves(t *testing.T) {
	withAsker(t, func(a *asker) {
		a.system.Root.Send(a.login.User, Take{Chunk: a.chunk(a.login, frames.StartSession{Peer: seedKey(2)})})
		a.answers(frames.Unavailable)
		a.login.over.Store(true)
		a.system.Root.Send(a.login.User, Leave{Login: a.login, Seq: 2})
		next[Vacate](t, a.registry)
		if a := a.shared.Ledger.Read(); a.InFlight.Frames > 0 {
			t.Error(a)
		}
		after(time.Second)
		a.hearsNothing()
	})
}
