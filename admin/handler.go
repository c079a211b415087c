package admin

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mdeiml/blubbel-server/supervisor"
)

// Options are what a Handler can do besides showing its relay. The zero value shows it to programs and people of this machine.
type Options struct {
	// Metrics is what /metrics shows. Default: the relay's, the process's, and those of Go's runtime.
	Metrics prometheus.Gatherer
	// Token is the secret of who may change something. Requests have it as "Authorization: Bearer TOKEN". Default: nobody may, but by a Unix socket.
	Token string
	// Guarded asks for the token for everything but /healthz, /readyz and the page, which has nothing in it.
	Guarded bool
	// Hosts are the names that requests may be for, besides localhost and addresses: a name that a stranger made point here is refused, or any page in a
	// browser of this machine could read what is shown.
	Hosts []string
	// Drain is called, once, when somebody asks for the relay to be stopped. Default: that cannot be asked for.
	Drain func()
	// Profiles serves /debug/pprof/.
	Profiles bool
	// About is what the relay is to those who look: shown as it is.
	About About
}

// About is what is known of a relay besides what it does.
type About struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Relay   string    `json:"relay"`  // its id
	Listen  []string  `json:"listen"` // where it does
}

// handler serves what doc.go lists.
type handler struct {
	Options
	relay *supervisor.Relay
}

// Handler returns what serves all that doc.go lists, for a relay that was spawned.
func Handler(relay *supervisor.Relay, o Options) http.Handler {
	h := &handler{o, relay}
	if h.Metrics == nil {
		h.Metrics = NewRegistry(relay, o.About.Version)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("GET /metrics", h.guarded(promhttp.HandlerFor(h.Metrics, promhttp.HandlerOpts{})))
	mux.Handle("GET /api/status", h.guarded(http.HandlerFunc(h.status)))
	mux.Handle("GET /api/tree", h.guarded(http.HandlerFunc(h.tree)))
	mux.Handle("GET /api/recent", h.guarded(http.HandlerFunc(h.recent)))
	mux.Handle("POST /api/drain", h.trusted(http.HandlerFunc(h.drain)))
	mux.Handle("POST /api/unpin", h.trusted(http.HandlerFunc(h.unpin)))
	mux.Handle("GET /", page())
	if o.Profiles {
		mux.Handle("GET /debug/pprof/", h.guarded(http.HandlerFunc(pprof.Index)))
		mux.Handle("GET /debug/pprof/cmdline", h.guarded(http.HandlerFunc(pprof.Cmdline)))
		mux.Handle("GET /debug/pprof/profile", h.guarded(http.HandlerFunc(pprof.Profile)))
		mux.Handle("GET /debug/pprof/symbol", h.guarded(http.HandlerFunc(pprof.Symbol)))
		mux.Handle("GET /debug/pprof/trace", h.guarded(http.HandlerFunc(pprof.Trace)))
	}
	return h.here(mux)
}

// NewRegistry returns a registry with the metrics of a relay, of the process, and of Go's runtime.
func NewRegistry(relay *supervisor.Relay, version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "blubbel_build_info", Help: "Always 1; the label says which version runs.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	r.MustRegister(NewCollector(relay), build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// NewServer returns an HTTP server for a Handler. It has limits of time, and tells the Handler which connections come by a Unix socket.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnContext: connected,
	}
}

func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	if h.relay.Stopping() {
		say(w, http.StatusServiceUnavailable, "the relay is stopping")
		return
	}
	say(w, http.StatusOK, "ready")
}

func (h *handler) drain(w http.ResponseWriter, _ *http.Request) {
	if h.Drain == nil {
		fail(w, http.StatusNotFound, "this relay is not stopped from here; stop the program that it is a part of")
		return
	}
	answer(w, struct {
		Draining bool `json:"draining"`
	}{true})
	_ = http.NewResponseController(w).Flush() // before there is nobody to
	h.Drain()
}

// say answers a program that reads no further than the status, and a person who does.
func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(what) // who does not read it misses it
}

// Failure is what is answered instead, with a status that is not 200.
type Failure struct {
	Error string `json:"error"` // what is wrong, and what to do
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(Failure{text})
}
