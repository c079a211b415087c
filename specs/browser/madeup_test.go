package browser

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/mdeiml/blubbel-server/admin"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// madeUp is what the page is told instead of what a relay does. It begins as a relay where nothing has happened.
type madeUp struct {
	*watched
	mu     sync.Mutex
	pace   int                        // seconds that pass from one status to the next
	now    int                        // seconds since it was asked for the first time
	status func(*admin.Status, int)   // changes the status, by now
	tree   func(top *supervisor.Node) // and the tree
	recent admin.Recent
}

// begun is when the relay that is made up was started.
var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func makeUp(t *testing.T) *madeUp {
	t.Helper()
	m := &madeUp{watched: watch(t, admin.Options{}), pace: 1, status: func(*admin.Status, int) {}, tree: func(*supervisor.Node) {}}
	real := m.handler
	mux := http.NewServeMux()
	mux.Handle("/", real)
	mux.HandleFunc("/api/status", func(to http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.now += m.pace
		about := m.About
		about.Started = begun
		s := admin.StatusOf(m.Relay, about)
		s.Now = begun.Add(time.Hour + time.Duration(m.now)*time.Second)
		m.status(&s, m.now)
		_ = json.NewEncoder(to).Encode(s)
	})
	mux.HandleFunc("/api/tree", func(to http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		top, _ := m.Tree(0)
		m.tree(&top)
		_ = json.NewEncoder(to).Encode(top)
	})
	mux.HandleFunc("/api/recent", func(to http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		_ = json.NewEncoder(to).Encode(m.recent)
	})
	m.handler = mux
	return m
}

// hasConnections makes up who is connected from now on. The page shows it when its queue is this one.
func (m *madeUp) hasConnections(p *page, step int, list ...supervisor.Node) {
	m.t.Helper()
	m.mu.Lock()
	m.tree = func(top *supervisor.Node) {
		top.Queue = step
		top.Children[1].Children = list
	}
	m.mu.Unlock()
	p.shows("#relay-vitals", fmt.Sprintf("queue %d ", step))
}

func (p *page) order(body string) string {
	p.t.Helper()
	return strings.Join(get(p, chromedp.Evaluate[[]string](
		fmt.Sprintf(`[...document.querySelectorAll(%s)].map((row) => row.cells[0].textContent)`, quoted(body+" tr")))), " ")
}

func TestRatesAreDifferences(t *testing.T) {
	m := makeUp(t)
	m.pace = 10
	m.status = func(s *admin.Status, now int) {
		many := uint64(now)
		s.Accepted = many
		s.Frames = admin.Frames{
			Taken: 1000 + 100*many, Delivered: 990 + 90*many, Bytes: 1 << 20 * many, Refused: map[string]uint64{"BUSY": 10 * many}, InFlight: 7,
			Settle: []admin.Settle{{Most: 0.25, Frames: 60 * many}, {Most: 2.5, Frames: 38 * many}, {Most: 250, Frames: 2 * many}, {Frames: 1000}},
		}
		s.Logins, s.Refused = map[string]uint64{"proof": 3 * many, "seed": 4}, map[string]uint64{"KEY_IN_USE": 2 * many}
		s.TurnedAway = map[string]uint64{"the relay is full": 5 * many}
		s.Window, s.Stuck = 3<<20, 2
	}
	p := m.opened()
	p.reads("#uptime", "1 h 2 min") // so it has seen more than a minute
	for id, want := range map[string]string{
		"delivered": "90", "taken": "100/s", "delivered-bytes": "1.0 MiB/s", "refused": "10", "refused-share": "10.0 %", "in-flight": "7",
		"p50": "≤ 0.25 ms", "p99": "≤ 250 ms", "logins": "3.0", "window": "3.0", "window-unit": "MiB", "stuck": "2",
		"settled": "6,000",
	} {
		p.reads("#"+id, want)
	}
	p.until(`document.querySelector("#stuck").classList.contains("alarm") && !document.querySelector("#mislaid").classList.contains("alarm")`)
	p.row("#logins-body", "proof", "3.0")
	p.row("#logins-body", "seed", "0", "4")
	p.until(`[...document.querySelectorAll("#refusals-body tr")].map((row) => row.cells[0].textContent + row.cells[3].textContent).join() === "KEY_IN_USE120,BUSY600"`)
	p.until(`document.querySelector("#turned-body tr").cells[2].textContent === "300"`)
}

func TestARelayThatBeganAnewHasNoPast(t *testing.T) {
	m := makeUp(t)
	m.status = func(s *admin.Status, now int) {
		s.Accepted, s.Frames.Delivered = uint64(1000+now), uint64(1000*now)
		if now > 3 {
			s.Accepted, s.Frames.Delivered = uint64(now), uint64(2*now)
		}
	}
	p := m.opened()
	p.reads("#delivered", "1,000")
	p.reads("#delivered", "2.0")
	p.reads("#delivered-peak", "peak 2.0/s")
}

func TestRowsKeepTheirPlace(t *testing.T) {
	m := makeUp(t)
	p := m.opened()
	node := func(name string, age int, window int64) supervisor.Node {
		return supervisor.Node{Name: name, State: "online", Since: begun.Add(-time.Duration(age) * time.Minute), Transport: "tcp", Window: window}
	}
	step := 0
	shows := func(want string, list ...supervisor.Node) {
		t.Helper()
		step++
		m.hasConnections(p, step, list...)
		if got := p.order("#connections-list"); got != want {
			t.Errorf("step %d: the rows are %s, want %s", step, got, want)
		}
	}
	shows("busy young old", node("young", 1, 90_000), node("busy", 2, 100_000), node("old", 3, 0))
	shows("busy young old", node("old", 3, 10_000), node("young", 1, 120_000), node("busy", 2, 70_000)) // the difference is small
	shows("busy young old", node("old", 3, 1000), node("young", 1, 0), node("busy", 2, 0))              // they were busy a moment ago
	stuck := node("old", 3, 0)
	stuck.Stuck = true
	shows("old busy young", node("busy", 2, 0), node("young", 1, 0), stuck)
	p.shows("#connections-list tr.trouble", "online ▲\u00a0stuck")

	p.do(chromedp.Focus(`[aria-label="Connections"]`)) // somebody reads
	shows("old busy young new", node("new", 0, 500_000), node("old", 3, 0), node("busy", 2, 0), node("young", 1, 0))
	p.do(chromedp.Blur(`[aria-label="Connections"]`))
	shows("new busy young old", node("new", 0, 500_000), node("old", 3, 0), node("busy", 2, 0), node("young", 1, 0))
}

func TestWhatIsSaidIsTextAndNothingElse(t *testing.T) {
	m := makeUp(t)
	bad := `<img src=x onerror="document.title='got in'"><b>bold</b>`
	m.status = func(s *admin.Status, _ int) {
		s.Version, s.Relay, s.Listen = bad, bad, []string{bad}
		s.Closed = []admin.Closed{{Reason: bad, Code: bad, Count: 1}}
		s.TurnedAway = map[string]uint64{bad: 1}
		s.Connections = []admin.Connections{{Transport: bad, State: bad, Count: 1}}
		s.Logins, s.Crashes = map[string]uint64{bad: 1}, map[supervisor.Kind]uint64{supervisor.Kind(bad): 1}
	}
	m.tree = func(top *supervisor.Node) {
		for i := range top.Children {
			top.Children[i].Children = []supervisor.Node{{Name: bad, State: bad, User: bad, Transport: bad}}
		}
	}
	m.recent = admin.Recent{
		Closes:  []admin.Close{{At: begun, Connection: bad, Transport: bad, Reason: bad, Code: bad}},
		Crashes: []admin.Crash{{At: begun, Actor: bad, Kind: supervisor.Kind(bad), Why: bad, Done: bad, Stack: bad}},
	}
	p := m.opened()
	for _, id := range []string{"version", "id", "listen", "closes-body", "turned-body", "connections-head", "connections-body", "logins-body", "registry-body", "connections-list", "closed", "crashed"} {
		p.shows("#"+id, bad)
	}
	if n := get(p, chromedp.Evaluate[int](`document.querySelectorAll("main img, main td b, main b b, dd img, #version img").length`)); n != 0 {
		t.Errorf("%d of it became a part of the page", n)
	}
	p.looks("operator-bad")
}

// crowd makes up a relay with many connections where everything that can be shown has happened.
func (m *madeUp) crowd(many int) {
	m.status = func(s *admin.Status, n int) {
		wave := uint64(1000 * (1 + math.Sin(float64(n))))
		s.Version, s.Accepted, s.Sessions, s.Pins = "v1.22.333-44-g55555555", 1<<20, many/2, 123_456
		s.Listen = []string{"tcp://0.0.0.0:8000", "tls://0.0.0.0:8443", "wss://relay.example.org:443/blubbel"}
		s.Frames.Refused, s.Refused = map[string]uint64{}, map[string]uint64{"BAD_KEY": 12}
		for code := frames.Code(1); code <= frames.LastCode; code++ {
			s.Frames.Refused[code.String()] = uint64(code) * uint64(n)
		}
		s.Frames.Taken, s.Frames.Delivered, s.Frames.InFlight = 987_654_321+3000*uint64(n), 987_654_321+uint64(n)*wave, wave
		s.Frames.Bytes, s.Frames.Mislaid = 1<<40*uint64(n), 1
		s.Frames.Settle = []admin.Settle{{Most: 0.25, Frames: 1000 * uint64(n)}, {Frames: 100 * uint64(n)}}
		s.Connections = nil
		for _, transport := range []string{"tcp", "tls", "ws", "wss", "unix"} {
			for _, state := range []string{"anonymous", "proving", "joining", "online"} {
				s.Connections = append(s.Connections, admin.Connections{Transport: transport, State: state, Count: many / 20})
			}
		}
		s.Users, s.Stuck, s.Window, s.Queue = map[string]int{"online": many, "away": many}, 3, 1<<28+int64(wave)<<16, int(wave)
		s.Logins = map[string]uint64{"seed": 1_000_000, "hello": wave, "proof": 7 * uint64(n), "certificate": 0}
		s.TurnedAway = map[string]uint64{"too many bad logins from your address; try again in some minutes": 3, "the relay is full; try again later": 123_456}
		for ending := range supervisor.EndingStop + 1 {
			s.Closed = append(s.Closed, admin.Closed{Reason: ending.String(), Count: 100 * uint64(ending)})
		}
		s.Closed = append(s.Closed, admin.Closed{Reason: "stop", Code: "SHUTTING_DOWN", Count: 1_234_567})
		s.Crashes = map[supervisor.Kind]uint64{"user": 5, "connection": 123}
	}
	m.tree = func(top *supervisor.Node) {
		top.Since = begun
		for i := range top.Children {
			branch := &top.Children[i]
			for n := range min(many, 50) {
				child := supervisor.Node{
					Name: fmt.Sprintf("$%x", 1000+n), State: "anonymous", User: fmt.Sprintf("%08x", n*7_654_321), Since: begun.Add(time.Duration(n) * time.Minute),
					Stuck: n == 3, Queue: max(0, 20-n), Window: int64(max(0, 30-n)) << 14, Sessions: 1024 * (1 - i), Transport: []string{"", "unix"}[i],
				}
				if n%20 == 7 {
					child.Crashes = n
				}
				branch.Children = append(branch.Children, child)
			}
			branch.More = many - len(branch.Children)
		}
	}
	for n := range 30 {
		at := begun.Add(time.Duration(-n) * time.Hour)
		m.recent.Closes = append(m.recent.Closes, admin.Close{At: at, Connection: fmt.Sprintf("relay/connections$1$3/$%x", n), Transport: "tcp", Reason: "refused", Code: "ALREADY_LOGGED_IN", Lasted: float64(n * n * n)})
		m.recent.Crashes = append(m.recent.Crashes, admin.Crash{At: at, Actor: "relay/registry$1$2/$1a", Kind: "user", Why: "runtime error: invalid memory address or nil pointer dereference", Done: "restarted with all its state", Quarantined: n%2 == 0, Stack: strings.Repeat("goroutine 1 [running]: "+strings.Repeat("a-long-line/", 20)+"\n", 20)})
	}
}

func TestHowTheOperatorsPageLooks(t *testing.T) {
	for _, many := range []int{0, 30, 2000} {
		m := makeUp(t)
		if many > 0 {
			m.crowd(many)
		}
		p := m.opened()
		p.reads("#state", "Ready.")
		p.shows("#connections-vitals", "connections · queue")
		if many > 0 {
			p.reads("#connections", map[int]string{30: "20", 2000: "2,000"}[many])
			p.click("#crashed summary")
			p.shows("#crashed pre", "goroutine")
		}
		p.looks(fmt.Sprintf("operator-%d", many))
		p.do(chromedp.EmulateViewport(360, 740))
		for _, card := range get(p, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".card")]
			.filter((card) => card.scrollWidth > card.clientWidth).map((card) => card.querySelector("h2, h3").textContent)`)) {
			t.Errorf("with %d connections the card %q is wider than the page", many, card)
		}
		p.ignores("Failed to load resource")
		m.stops()
		p.shows("#state", "Not reachable")
		p.looks(fmt.Sprintf("operator-%d-gone", many))
	}
}
