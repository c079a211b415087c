package main

// result is one row of the table and one line of the JSON. What was not measured is left out. docs/performance.md says
// what each field means.
type result struct {
	Command   string  `json:"command"`
	Cell      string  `json:"cell"`
	Error     string  `json:"error,omitempty"`
	Users     int     `json:"users"`
	SizeBytes int     `json:"size_bytes,omitempty"`
	Window    int     `json:"window_messages,omitempty"`
	Offered   float64 `json:"offered_messages_per_s,omitempty"`
	Seconds   float64 `json:"measured_s,omitempty"`

	Messages  float64 `json:"messages_per_s,omitempty"`
	BodyMB    float64 `json:"bodies_mb_per_s,omitempty"`
	ServerCPU float64 `json:"server_cpu_us_per_message,omitempty"`
	OwnCPU    float64 `json:"generator_cpu_us_per_message,omitempty"`
	Others    float64 `json:"other_processes_cores,omitempty"`
	RSS       float64 `json:"server_rss_mib,omitempty"`
	PeakRSS   float64 `json:"server_rss_peak_mib,omitempty"`
	Growth    float64 `json:"server_rss_growth_mib,omitempty"`
	Ratio     float64 `json:"messages_per_s_over_alone,omitempty"`

	OneWay    *quantiles `json:"one_way_us,omitempty"`
	RoundTrip *quantiles `json:"round_trip_us,omitempty"`
	Lateness  *quantiles `json:"generator_lateness_us,omitempty"`
	Unsent    uint64     `json:"due_but_not_sent,omitempty"`

	Logins     float64 `json:"logins_per_s,omitempty"`
	LoginCPU   float64 `json:"server_cpu_us_per_login,omitempty"`
	Connection float64 `json:"server_rss_kib_per_connection,omitempty"`

	P50Ratio  float64             `json:"one_way_p50_over_alone,omitempty"`
	P99Ratio  float64             `json:"one_way_p99_over_alone,omitempty"`
	Busy      float64             `json:"server_core_percent,omitempty"`
	Busier    float64             `json:"server_core_percent_growth,omitempty"`
	RSSAfter  float64             `json:"server_rss_after_mib,omitempty"`
	RSSBack   float64             `json:"server_rss_back_s,omitempty"`
	Files     float64             `json:"server_files,omitempty"`
	Left      float64             `json:"server_files_after,omitempty"`
	FilesBack float64             `json:"server_files_back_s,omitempty"`
	Hostile   map[string]*outcome `json:"hostile,omitempty"`

	Account *account `json:"messages,omitempty"`
	Wrong   []string `json:"wrong,omitempty"` // what must not be, besides Messages that are lost or bad
	Notes   []string `json:"notes,omitempty"`

	tally *tally // what becomes Hostile
}

// note adds a sentence that stands below the table, unless it is empty.
func (r *result) note(text string) {
	if text != "" {
		r.Notes = append(r.Notes, text)
	}
}

// wrongly adds what must not be.
func (r *result) wrongly(text string) { r.Wrong = append(r.Wrong, text) }

// wrong reports whether something was found that must not be.
func (r *result) wrong() bool {
	return r.Error != "" || len(r.Wrong) > 0 || r.Account != nil && (r.Account.Lost > 0 || r.Account.Bad > 0 || !r.Account.adds())
}

const mib = 1 << 20
