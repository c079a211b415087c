package actors

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/mdeiml/blubbel-server/frames"
)

func address(last int) *Address {
	return &Address{prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, byte(last >> 8), byte(last)}), 32)}
}

// asks has a stranger ask, and be let in if there is room and time.
func asks(b *box, l *Limits, a *Address) bool {
	if !b.room(l, a) || !b.allow(l, a, time.Now()) {
		return false
	}
	b.count(a, +1)
	return true
}

func TestOneAddressHasItsShareOfTheRequestBox(t *testing.T) {
	l, b := &Limits{AskedOf: 6, AskedOfByAddress: 2}, new(box)
	one, two := address(1), address(2)
	for i, want := range []bool{true, true, false, false} {
		if got := asks(b, l, one); got != want {
			t.Errorf("request %d from one address: %v", i+1, got)
		}
	}
	for i, want := range []bool{true, true, true, false} {
		if got := asks(b, l, nil); got != want { // those without an address have no share, and are counted
			t.Errorf("request %d from no address: %v", i+1, got)
		}
		if i == 0 && !asks(b, l, two) {
			t.Error("a second address found no room")
		}
	}
	b.count(one, -1)
	if !asks(b, l, one) {
		t.Error("a request that is pending no longer does not make room")
	}
}

func TestOneAddressHasItsShareOfTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Limits{AskedOf: 64, AskedOfByAddress: 8, StartsTo: Rate{Limit: rate.Every(time.Second), Burst: 100}}
		b := new(box)
		asksAgain := func(a *Address) (n int) { // one request that replaces itself takes no room
			for range 200 {
				if b.allow(l, a, time.Now()) {
					n++
				}
			}
			return n
		}
		if n := asksAgain(address(1)); n != 12 { // an eighth
			t.Errorf("one address may ask %d times at once, want 12", n)
		}
		all := 12
		for i := 2; i < 20; i++ {
			all += asksAgain(address(i))
		}
		if all != 100 {
			t.Errorf("many may ask %d times at once, want 100", all)
		}
		after(8 * time.Second)
		if n := asksAgain(address(1)); n != 1 {
			t.Errorf("after 8 s one address may ask %d times more, want 1", n)
		}
		if n := asksAgain(nil); n != 7 {
			t.Errorf("after 8 s the others may ask %d times, want 7", n)
		}
	})
}

func TestSharesThatNobodyUsesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Limits{AskedOf: 64, AskedOfByAddress: 8, StartsTo: Rate{Limit: 100, Burst: 100}}
		b := new(box)
		for i := range 10_000 {
			a := address(i)
			if !asks(b, l, a) {
				t.Fatal("there is no room")
			}
			b.count(a, -1)
			after(10 * time.Millisecond)
		}
		if n := len(b.shares); n > 256 {
			t.Errorf("%d shares are kept", n)
		}
	})
}

// An address that comes and goes has its share of the rate, and no more; one that has a request pending keeps its share.
func TestSharesThatAreUsedAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &Limits{AskedOf: 1000, AskedOfByAddress: 100, StartsTo: Rate{Limit: rate.Every(time.Hour), Burst: 1000}}
		b := new(box)
		pending, asking := address(0), address(1)
		b.count(pending, +1)
		for range 100 {
			if !b.allow(l, asking, time.Now()) {
				t.Fatal("there was more to its share")
			}
		}
		for i := range 100 {
			asks(b, l, address(i+2))
		}
		if b.allow(l, asking, time.Now()) {
			t.Error("its rate was forgotten")
		}
		if s, ok := b.share(pending); !ok || s.pending != 1 {
			t.Error("its request was forgotten")
		}
	})
}

func TestAUserMayAskSoOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.shared.Limits().Starts = Rate{Limit: rate.Every(6 * time.Second), Burst: 20}
		s.shared.Limits().AskedBy = 1 // what is refused for that is counted nevertheless
		registry, connection := s.probe(), s.probe()
		user := s.user(seedKey(1), registry)
		s.shared.Limits().Keys.SeedRaw = true
		login := s.login(seedKey(1), connection.PID, nil)
		s.system.Root.Send(user, Join{Login: login, Seq: 1})
		next[Joined](t, connection)
		var many []frames.Frame
		for i := range 30 {
			many = append(many, frames.StartSession{Peer: seedKey(byte(i + 2))})
		}
		starts := func() string {
			s.system.Root.Send(user, Take{Chunk: s.chunk(login, many...)})
			asked, refused := 0, map[frames.Code]int{}
			for synctest.Wait(); len(registry.got)+len(connection.got) > 0; synctest.Wait() {
				select {
				case m := <-registry.got: // the first time as an introduction
					run := reflect.ValueOf(m).FieldByName("Run").Interface().(*Run)
					asked++
					s.system.Root.Send(user, Answered{Run: run, User: registry.PID})
					run.settleAll(0)
				case m := <-connection.got:
					run := m.(Refuse).Run
					refused[run.code] += run.count
					run.settleAll(run.code)
				}
			}
			return fmt.Sprintf("asked %d, refused %v", asked, refused)
		}
		if got := starts(); got != "asked 1, refused map[RATE_LIMITED:10 LIMIT:19]" {
			t.Error(got)
		}
		after(time.Minute)
		if got := starts(); got != "asked 1, refused map[RATE_LIMITED:20 LIMIT:9]" {
			t.Error("a minute later", got)
		}
		s.system.Root.Stop(user)
		next[Orphaned](t, connection)
		s.shared.Wait()
		after(2 * time.Second)
	})
}
