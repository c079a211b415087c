package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mdeiml/blubbel-server/admin"
	"github.com/mdeiml/blubbel-server/frames"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// started is a relay that nobody but the test knows.
type started struct {
	*supervisor.Relay
	t       *testing.T
	address string
}

func start(t *testing.T) *started {
	t.Helper()
	relay, err := supervisor.New(supervisor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := relay.Spawn(supervisor.NewSystem(relay.Config().Log).Root, "relay"); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = relay.Serve(context.Background(), ln) }() // ends when the relay stops
	t.Cleanup(func() { _ = relay.Stop(context.Background()) })
	return &started{relay, t, ln.Addr().String()}
}

// logIn has somebody log in with a key of 2048 bits, and returns the key.
func (s *started) logIn() frames.Key {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	key := publicKey(s.t)
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(frames.Login{Key: key}.Append(nil)); err != nil {
		s.t.Fatal(err)
	}
	answer := make([]byte, frames.HeaderSize)
	if _, err := io.ReadFull(conn, answer); err != nil || frames.Type(answer[0]) != frames.TypeLogin {
		s.t.Fatal(answer, err)
	}
	return key
}

// ask asks a handler.
func ask(h http.Handler, method, target string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	r.Host = "127.0.0.1:9090"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func forHost(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }

func withToken(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func TestOnlyRequestsForThisHostAreAnswered(t *testing.T) {
	h := admin.Handler(start(t).Relay, admin.Options{Hosts: []string{"relay.example.org"}})
	for host, want := range map[string]int{
		"127.0.0.1:9090": 200, "127.0.0.1": 200, "[::1]:9090": 200, "[::1]": 200, "localhost:9090": 200, "LOCALHOST": 200, "localhost.:1": 200,
		"192.0.2.7:9090": 200, "relay.example.org:9090": 200, "Relay.Example.org": 200,
		"": 421, "evil.example": 421, "evil.example:9090": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421,
		"relay.example.org.evil.example": 421, "[::1].evil.example": 421, "evil.example\r\nX: y": 421,
	} {
		for _, path := range []string{"/", "/healthz", "/metrics", "/api/status", "/api/tree", "/api/recent"} {
			if w := ask(h, "GET", path, forHost(host)); w.Code != want {
				t.Errorf("%s for host %q: %d, want %d", path, host, w.Code, want)
			}
		}
	}
	w := ask(h, "GET", "/api/status", forHost("evil.example"))
	if !strings.Contains(w.Body.String(), "--admin-host") {
		t.Errorf("it does not say what to do: %s", w.Body)
	}
}

func TestWhatChangesSomethingNeedsTheToken(t *testing.T) {
	for name, c := range map[string]struct {
		options admin.Options
		given   func(*http.Request)
		want    int
	}{
		"no token there is":       {admin.Options{}, func(*http.Request) {}, 403},
		"none is, one is given":   {admin.Options{}, withToken(""), 403},
		"none is given":           {admin.Options{Token: "secret"}, func(*http.Request) {}, 401},
		"an empty one is given":   {admin.Options{Token: "secret"}, withToken(""), 401},
		"another is given":        {admin.Options{Token: "secret"}, withToken("Secret"), 401},
		"a part of it is given":   {admin.Options{Token: "secret"}, withToken("secre"), 401},
		"it is given as a cookie": {admin.Options{Token: "secret"}, func(r *http.Request) { r.Header.Set("Cookie", "token=secret") }, 401},
		"it is given":             {admin.Options{Token: "secret"}, withToken("secret"), 200},
	} {
		t.Run(name, func(t *testing.T) {
			drained := 0
			c.options.Drain = func() { drained++ }
			h := admin.Handler(start(t).Relay, c.options)
			if w := ask(h, "POST", "/api/drain", c.given); w.Code != c.want || (drained == 1) != (c.want == 200) {
				t.Errorf("%d, drained %d times: %s", w.Code, drained, w.Body)
			}
			if w := ask(h, "GET", "/api/drain", c.given); w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed || drained > 1 {
				t.Errorf("GET: %d", w.Code)
			}
			if w := ask(h, "GET", "/api/status"); w.Code != 200 {
				t.Errorf("reading is for everybody: %d", w.Code)
			}
		})
	}
}

func TestWhatIsGuardedNeedsTheTokenToRead(t *testing.T) {
	h := admin.Handler(start(t).Relay, admin.Options{Token: "secret", Guarded: true, Profiles: true})
	for path, open := range map[string]bool{
		"/": true, "/healthz": true, "/readyz": true,
		"/metrics": false, "/api/status": false, "/api/tree": false, "/api/recent": false, "/debug/pprof/": false, "/debug/pprof/cmdline": false,
	} {
		without, with := ask(h, "GET", path).Code, ask(h, "GET", path, withToken("secret")).Code
		if with != 200 || open != (without == 200) || !open && without != 401 {
			t.Errorf("%s: %d without the token, %d with it", path, without, with)
		}
	}
}

func TestProfilesAreThereIfAskedFor(t *testing.T) {
	if w := ask(admin.Handler(start(t).Relay, admin.Options{}), "GET", "/debug/pprof/cmdline"); w.Code != 404 {
		t.Error(w.Code)
	}
}

func TestAUnixSocketNeedsNoToken(t *testing.T) {
	drained := make(chan struct{})
	server := admin.NewServer(admin.Handler(start(t).Relay, admin.Options{Drain: func() { close(drained) }}))
	path := filepath.Join(t.TempDir(), "admin.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(ln) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer c.CloseIdleConnections()
	r, err := c.Post("http://whatever/api/drain", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	var answer struct{ Draining bool }
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || !answer.Draining {
		t.Error(r.Status, err)
	}
	<-drained
}

func TestItSaysWhetherItTakesConnections(t *testing.T) {
	s := start(t)
	h := admin.Handler(s.Relay, admin.Options{})
	if w := ask(h, "GET", "/readyz"); w.Code != 200 {
		t.Error(w.Code, w.Body)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/readyz": 503, "/healthz": 200, "/api/tree": 503, "/api/status": 200, "/metrics": 200} {
		if w := ask(h, "GET", path); w.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
}

func TestTheTreeIsAsWideAsAskedFor(t *testing.T) {
	s := start(t)
	for range 3 {
		s.logIn()
	}
	h := admin.Handler(s.Relay, admin.Options{})
	for query, want := range map[string]int{"": 3, "?children=2": 2, "?children=0": 0} {
		w := ask(h, "GET", "/api/tree"+query)
		var top supervisor.Node
		if err := json.Unmarshal(w.Body.Bytes(), &top); err != nil || len(top.Children) != 2 {
			t.Fatal(err, w.Body)
		}
		for _, below := range top.Children {
			if len(below.Children) != want || below.More != 3-want {
				t.Errorf("%s: %s has %d children, and %d more", query, below.Name, len(below.Children), below.More)
			}
		}
	}
	for _, query := range []string{"?children=x", "?children=-1", "?children=10001", "?children=%0a"} {
		if w := ask(h, "GET", "/api/tree"+query); w.Code != 400 || !strings.Contains(w.Body.String(), "from 0 to 10000") {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

func TestAKeyIsUnpinned(t *testing.T) {
	s := start(t)
	key := publicKey(t).Fingerprint()
	if err := s.Config().Store.Pin(key, time.Now()); err != nil {
		t.Fatal(err)
	}
	h := admin.Handler(s.Relay, admin.Options{Token: "secret"})
	for _, c := range []struct {
		fingerprint string
		want        int
	}{{"", 400}, {"abcd", 400}, {strings.Repeat("zz", 32), 400}, {hexOf(key), 200}, {hexOf(key), 404}} {
		if w := ask(h, "POST", "/api/unpin?fingerprint="+c.fingerprint, withToken("secret")); w.Code != c.want {
			t.Errorf("%q: %d, want %d: %s", c.fingerprint, w.Code, c.want, w.Body)
		}
	}
	if n := s.Config().Store.Pins(); n != 0 {
		t.Errorf("%d pins", n)
	}
}

func TestPrometheusIsContentWithTheMetrics(t *testing.T) {
	s := start(t)
	s.logIn()
	problems, err := testutil.GatherAndLint(admin.NewRegistry(s.Relay, "v1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	both := prometheus.NewPedanticRegistry() // two relays in one registry
	for _, name := range []string{"one", "two"} {
		prometheus.WrapRegistererWith(prometheus.Labels{"relay": name}, both).MustRegister(admin.NewCollector(s.Relay))
	}
	if _, err := both.Gather(); err != nil {
		t.Error(err)
	}
}

func TestTheMetricsSayWhatHappened(t *testing.T) {
	s := start(t)
	s.logIn()
	text := ask(admin.Handler(s.Relay, admin.Options{About: admin.About{Version: "v1.2.3"}}), "GET", "/metrics").Body.String()
	for _, line := range []string{
		`blubbel_connections{state="online",transport="tcp"} 1`, `blubbel_connections{state="anonymous",transport="tcp"} 0`,
		`blubbel_connections_accepted_total{transport="tcp"} 1`, `blubbel_logins_total{kind="seed"} 1`, `blubbel_logins_total{kind="proof"} 0`,
		`blubbel_users{state="online"} 1`, `blubbel_actor_crashes_total{actor="user"} 0`, `blubbel_frames_refused_total{code="BUSY"} 0`,
		`blubbel_frame_settle_seconds_bucket{le="+Inf"} 0`, `blubbel_build_info{version="v1.2.3"} 1`, `blubbel_stopping 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	if !strings.Contains(text, "\ngo_goroutines ") || !strings.Contains(text, "\nprocess_start_time_seconds ") {
		t.Error("nothing of the process and of Go's runtime")
	}
}

func TestTheMetricsSayHowConnectionsSpread(t *testing.T) {
	s := start(t)
	s.logIn()
	s.logIn()
	text := ask(admin.Handler(s.Relay, admin.Options{}), "GET", "/metrics").Body.String()
	for _, line := range []string{"blubbel_addresses 1", "blubbel_address_most_connections 2"} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	var status admin.Status
	body := ask(admin.Handler(s.Relay, admin.Options{}), "GET", "/api/status").Body.Bytes()
	if err := json.Unmarshal(body, &status); err != nil || status.Spread != (admin.Spread{Connections: 2, Addresses: 1, Most: 2, Private: 2}) {
		t.Errorf("%v: %+v", err, status.Spread)
	}
}

func TestNobodyIsNamed(t *testing.T) {
	s := start(t)
	key := s.logIn()
	h := admin.Handler(s.Relay, admin.Options{Profiles: true})
	for _, path := range []string{"/metrics", "/api/status", "/api/tree", "/api/recent", "/debug/pprof/goroutine?debug=2"} {
		text := ask(h, "GET", path).Body.String()
		for _, secret := range []string{string(key[40:60]), hexOf([32]byte(key[40:72]))[:20], hexOf(key.Fingerprint())[:16]} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %q", path, secret)
			}
		}
	}
}
