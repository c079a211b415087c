package model

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/frames"
)

var (
	seconds = flag.Int("chaos.seconds", 0, "how long TestChaos runs; 0 is not at all")
	short   = flag.Duration("chaos.shrink", time.Minute, "how long it looks for a shorter history that goes wrong")
	first   = flag.Uint64("chaos.seed", 0, "its first seed; 0 draws one")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if *seconds > 0 {
		code = max(code, chaos.report())
	}
	os.Exit(code)
}

// chaos is what TestChaos has seen.
var chaos = sum{caused: map[string]int{}, kinds: map[string]bool{}, told: map[string]int{}, refused: map[frames.Code]uint64{}, found: map[verdict]int{}}

type sum struct {
	seeds, taken, delivered uint64
	takeovers, proofs       uint64         // that were heard of
	caused                  map[string]int // crashes, by who
	kinds                   map[string]bool
	told                    map[string]int // by what was done
	refused                 map[frames.Code]uint64
	found                   map[verdict]int
}

func TestChaos(t *testing.T) {
	if *seconds == 0 {
		t.Skip("this is for make chaos")
	}
	for *first == 0 {
		*first = rand.Uint64() >> 32
	}
	fmt.Printf("seed %d and those after it, for %d s\n", *first, *seconds)
	began := time.Now()
	limit := time.Duration(*seconds) * time.Second
	early, late := pace{within: limit / 10}, pace{within: limit / 10}
	var before baseline
	worlds := newWorlds(t, func(s script, o outcome, start time.Time) {
		if chaos.add(o); len(o.found) > 0 {
			tell(t, s, o, *short)
		}
		early.add(start.Sub(began), time.Since(start), o)
		late.add(limit-time.Since(began), time.Since(start), o)
	})
	said := began
	for seed := *first; time.Since(began) < limit && !t.Failed(); seed++ {
		worlds.run(draw(seed))
		if seed == *first+50 {
			worlds.wait()
			before = process()
		}
		if time.Since(said) > 30*time.Second {
			said = time.Now()
			fmt.Printf("%4.0f s: %s\n", time.Since(began).Seconds(), chaos.line())
		}
	}
	worlds.wait()
	chaos.rest(before, early, late)
}

// worlds runs worlds: virtual ones one after the other, and beside them some that spend their time waiting.
type worlds struct {
	t    *testing.T
	real chan struct{} // has room for as many as may run
	all  sync.WaitGroup
	mu   sync.Mutex // for over
	over func(s script, o outcome, start time.Time)
}

func newWorlds(t *testing.T, over func(script, outcome, time.Time)) *worlds {
	return &worlds{t: t, real: make(chan struct{}, 8), over: over}
}

func (w *worlds) run(s script) {
	start := time.Now()
	if s.virtual {
		w.end(s, live(w.t, s), start)
		return
	}
	w.real <- struct{}{}
	w.all.Go(func() {
		defer func() { <-w.real }()
		w.end(s, run(s), start)
	})
}

func (w *worlds) end(s script, o outcome, start time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.t.Failed() {
		w.over(s, o, start)
	}
}

func (w *worlds) wait() { w.all.Wait() }

// pace is how many frames were settled in a second.
type pace struct {
	within time.Duration
	frames uint64
	time   time.Duration
}

func (p *pace) add(at, took time.Duration, o outcome) {
	if at < p.within && o.history.exact { // the others wait most of the time
		p.frames += o.account.Taken.Frames
		p.time += took
	}
}

func (p *pace) String() string {
	return fmt.Sprintf("%.0f frames/s", float64(p.frames)/max(p.time.Seconds(), 1e-9))
}

// baseline is what the process holds when no relay is left.
type baseline struct {
	goroutines int
	heap       uint64
}

func process() baseline {
	runtime.GC()
	runtime.GC() // what pools keep is let go by the second
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return baseline{runtime.NumGoroutine(), live[0].Value.Uint64()}
}

func (s *sum) add(o outcome) {
	s.seeds++
	s.taken += o.account.Taken.Frames
	s.delivered += o.account.Delivered.Frames
	for who, n := range o.bombs.caused {
		s.caused[who] += n
	}
	for k := range o.bombs.kinds {
		s.kinds[k] = true
	}
	for done, n := range o.reports {
		s.told[done] += n
	}
	for code, n := range o.account.Refused {
		s.refused[code] += n.Frames
	}
	for _, v := range o.found {
		s.found[v.what]++
	}
	for _, c := range o.history.conns {
		if c.proven() {
			s.proofs++
		}
		for _, m := range c.heard {
			if m.code == frames.Replaced {
				s.takeovers++
			}
		}
	}
}

// rest looks at what is left behind.
func (s *sum) rest(before baseline, early, late pace) {
	after := process()
	for range 100 { // the last goroutines of the last world end
		if after.goroutines <= before.goroutines {
			break
		}
		<-time.After(50 * time.Millisecond)
		after = process()
	}
	fmt.Printf("goroutines %d, then %d; heap %d KiB, then %d KiB; at first %v, at last %v\n",
		before.goroutines, after.goroutines, before.heap>>10, after.heap>>10, early.String(), late.String())
	if before.goroutines > 0 && after.goroutines > before.goroutines || before.heap > 0 && after.heap > before.heap+16<<20 {
		s.found[leaked]++
	}
}

// report prints what was seen, and returns the exit code.
func (s *sum) report() int {
	fmt.Printf("delivered %d, refused: %s\ncrashes: %s; %d different\nwhat was done: %s\n",
		s.delivered, tally(s.byName()), tally(s.caused), len(s.kinds), tally(s.told))
	if n := s.found[wrong]; n > 0 {
		fmt.Printf("wrong: %d\n", n)
	}
	fmt.Println(s.line())
	return min(1, s.found[lost]+s.found[repeated]+s.found[reordered]+s.found[leaked]+s.found[wrong])
}

func (s *sum) byName() map[string]uint64 {
	names := map[string]uint64{}
	for code, n := range s.refused {
		names[code.String()] = n
	}
	return names
}

func (s *sum) line() string {
	restarts := 0
	for done, n := range s.told {
		if strings.HasPrefix(done, "restarted") {
			restarts += n
		}
	}
	return fmt.Sprintf("seeds=%d frames=%d proofs=%d takeovers=%d crashes=%d restarts=%d lost=%d repeated=%d reordered=%d leaked=%d",
		s.seeds, s.taken, s.proofs, s.takeovers, total(s.caused), restarts, s.found[lost], s.found[repeated], s.found[reordered], s.found[leaked])
}
