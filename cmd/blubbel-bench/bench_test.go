package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bench runs the program against a relay.
func benchAt(t *testing.T, address, args string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), append(strings.Fields(args), "--relay", address), &out, &err)
	return code, out.String(), err.String()
}

// results reads JSON, one object a line.
func results(t *testing.T, text string) (all []result) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	for decoder.More() {
		var r result
		if err := decoder.Decode(&r); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		all = append(all, r)
	}
	return all
}

const short = " --duration 50ms --warmup 10ms"

// small is a flood in short.
const small = short + " --rate 200"

func TestEveryCommandMeasuresARelay(t *testing.T) {
	address := startRelay(t)
	for args, cells := range map[string][]string{
		"pairs -n 2" + short:                                           {"pairs 2, 64 B"},
		"pairs -n 2 --size 20000" + short:                              {"pairs 2, 20000 B"},
		"pairs -n 2 --receiver-key-bits 4096" + short:                  {"pairs 2, 64 B"},
		"pairs -n 2 --rate 500 --size 1024" + short:                    {"pairs 2, 1 KiB, 500/s"},
		"pingpong -n 2" + short:                                        {"pingpong 2, 64 B"},
		"fan-in -n 3" + short:                                          {"fan-in 3, 64 B"},
		"all-to-all -n 4 --key-bits 3072" + short:                      {"all-to-all 4, 64 B"},
		"idle -n 40 --duration 10ms":                                   {"idle 40"},
		"slow -n 2 --flood-size 4096" + short:                          {"slow 2, 64 B: alone", "slow 2, 64 B: beside the flood", "slow 2, 64 B: the flood"},
		"fair --every 5ms" + short:                                     {"fair: alone", "fair: beside a flood", "fair: the flood"},
		"floods -n 2 --kind flat-out --megabytes 1 --rounds 2" + small: {"flat-out: alone", "flat-out: beside", "flat-out: the flood"},
		"floods -n 2 --kind half-frames --kind connects --kind giant-claims --half-frames 50 --connects 50 --giant-claims 50 --stay 50ms" + small: {
			"half-frames: alone", "half-frames: beside", "connects: alone", "connects: beside", "giant-claims: alone", "giant-claims: beside",
		},
		"floods -n 2 --kind strangers --strangers 50 --rounds 2" + small: {
			"strangers, many addresses: alone", "strangers, many addresses: beside", "strangers, many addresses: the victim",
			"strangers, one address: alone", "strangers, one address: beside", "strangers, one address: the victim",
		},
		"floods --kind bad-keys" + small: {"bad-keys: idle", "bad-keys: the flood"},
		"all --scale 100 --duration 100ms --warmup 0s": {
			"idle 10", "pairs 1, 64 B", "pairs 2, 64 B", "pairs 2, 1 KiB", "pairs 2, 16 KiB", "pairs 2, 256 B, 200/s",
			"pingpong 1, 64 B", "pingpong 2, 64 B", "fan-in 2, 256 B", "all-to-all 2, 256 B",
			"slow 2, 1 KiB: alone", "slow 2, 1 KiB: beside the flood", "slow 2, 1 KiB: the flood",
			"fair: alone", "fair: beside a flood", "fair: the flood",
		},
	} {
		t.Run(args, func(t *testing.T) {
			code, stdout, stderr := benchAt(t, address, args+" --json -")
			if code != exitOK || stderr != "" {
				t.Fatalf("exit code %d: %s\n%s", code, stderr, stdout)
			}
			var names []string
			for _, r := range results(t, stdout) {
				names = append(names, r.Cell)
				if a := r.Account; a != nil && (!a.adds() || a.Lost+a.Bad+a.CutOff > 0 || a.Sent == 0 && r.Users > 0 && r.Command != "idle") {
					t.Errorf("%s: %+v", r.Cell, a)
				}
			}
			if !slices.Equal(names, cells) {
				t.Errorf("%q", names)
			}
		})
	}
}

func TestTheTableAndTheFileSayTheSame(t *testing.T) {
	address := startRelay(t)
	file := filepath.Join(t.TempDir(), "results")
	code, stdout, stderr := benchAt(t, address, "slow -n 2"+short+" --json "+file)
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := results(t, string(text))
	if len(all) != 3 {
		t.Fatalf("%s", text)
	}
	for _, r := range all {
		if !strings.Contains(stdout, "\n"+r.Cell+"  ") {
			t.Errorf("no %q in\n%s", r.Cell, stdout)
		}
	}
	if sum := all[2].Account.sum(); !strings.Contains(stdout, "\n* slow 2, 64 B: the flood: "+sum+"\n") || !strings.HasSuffix(sum, "it adds up") {
		t.Errorf("no %q in\n%s", sum, stdout)
	}
	if strings.Contains(stdout, "server us/msg") || strings.Contains(stdout, "logins/s") {
		t.Errorf("columns without figures in\n%s", stdout)
	}
}

func TestJSONHasTheFieldsThatAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	q := &quantiles{Count: 1, P50: 1, P99: 1, P999: 1, Max: 1}
	text, err := json.Marshal(result{
		Command: "x", Cell: "x", Error: "x", Users: 1, SizeBytes: 1, Window: 1, Offered: 1, Seconds: 1, Messages: 1, BodyMB: 1,
		ServerCPU: 1, OwnCPU: 1, Others: 1, RSS: 1, PeakRSS: 1, Growth: 1, Ratio: 1, OneWay: q, RoundTrip: q, Lateness: q, Unsent: 1,
		Logins: 1, LoginCPU: 1, Connection: 1, P50Ratio: 1, P99Ratio: 1, Busy: 1, Busier: 1, RSSAfter: 1, RSSBack: 1, Files: 1, Left: 1,
		FilesBack: 1, Hostile: map[string]*outcome{"reset": {Count: 1, Median: 1, Slowest: 1}}, Wrong: []string{"x"}, Account: &account{Refused: map[string]uint64{"BUSY": 1}}, Notes: []string{"x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	for _, inner := range []string{"messages", "one_way_us"} {
		for name := range fields[inner].(map[string]any) {
			fields[name] = true
		}
	}
	for name := range fields["hostile"].(map[string]any)["reset"].(map[string]any) {
		fields[name] = true
	}
	for name := range fields {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/performance.md does not say what %s is", name)
		}
	}
}
