package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestClocks(t *testing.T) {
	const (
		is      = "clock: it says 2026-11-23 12:00 UTC"
		set     = "; set it, and have it kept right, as by systemd-timesyncd or chrony: proofs and certificates depend on it"
		written = ", but x was written later, on 2026-11-23 12:02 UTC"
	)
	for want, c := range map[string]timing{
		"ok       " + is + ", and something keeps it right": {built: noon, newest: noon.Add(30 * time.Second), file: "x", right: true},
		"warning  " + is + ", and nothing keeps it right; start what does, such as systemd-timesyncd or chrony: proofs and certificates depend on it": {},
		"note     " + is + "; whether something keeps it right is not known (unsupported operation)":                                                  {err: errors.ErrUnsupported},
		"wrong    " + is + ", but this program was built on 2026-12-01" + set:                                                                         {built: noon.Add(8 * 24 * time.Hour), right: true},
		"warning  " + is + written + set: {newest: noon.Add(2 * time.Minute), file: "x", right: true},
	} {
		c.now = noon
		says(t, checkClock(c), want)
	}
}

func TestTheNewestFile(t *testing.T) {
	folder := t.TempDir()
	for name, at := range map[string]time.Time{"old": noon, "new": noon.Add(time.Hour), "middle": noon.Add(time.Minute)} {
		replace(t, filepath.Join(folder, name), name)
		if err := os.Chtimes(filepath.Join(folder, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(folder, noon, noon); err != nil {
		t.Fatal(err)
	}
	if at, name := newestIn(folder); !at.Equal(noon.Add(time.Hour)) || name != filepath.Join(folder, "new") {
		t.Error(at, name)
	}
	if at, name := newestIn(filepath.Join(folder, "nowhere")); !at.IsZero() || name != "" {
		t.Error(at, name)
	}
}
