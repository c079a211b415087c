package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"time"
)

// clock looks whether this machine knows what time it is: proofs and certificates depend on that.
func (e *examination) clock(context.Context) []finding {
	t := timing{now: e.now, built: builtAt()}
	t.newest, t.file = newestIn(e.State)
	t.right, t.err = isSynchronised()
	return checkClock(t)
}

// timing is what is known of the clock.
type timing struct {
	now    time.Time
	built  time.Time // when this program was; zero if it is not known
	newest time.Time // when a file in the state folder was written last
	file   string    // which
	right  bool      // something keeps it right
	err    error     // why that is not known
}

// ahead is how much later than now a file may be: file systems of others have clocks of their own.
const ahead = time.Minute

func checkClock(t timing) []finding {
	const what, set = "clock", "set it, and have it kept right, as by systemd-timesyncd or chrony: proofs and certificates depend on it"
	is := "it says " + t.now.UTC().Format("2006-01-02 15:04 UTC")
	switch {
	case t.now.Before(t.built):
		return []finding{{isWrong, what, fmt.Sprintf("%s, but this program was built on %s", is, t.built.UTC().Format(time.DateOnly)), set}}
	case t.newest.After(t.now.Add(ahead)):
		return []finding{{isWarning, what, fmt.Sprintf("%s, but %s was written later, on %s", is, t.file, t.newest.UTC().Format("2006-01-02 15:04 UTC")), set}}
	case t.err != nil:
		return []finding{{isNote, what, fmt.Sprintf("%s; whether something keeps it right is not known (%v)", is, t.err), ""}}
	case !t.right:
		return []finding{{isWarning, what, is + ", and nothing keeps it right", "start what does, such as systemd-timesyncd or chrony: proofs and certificates depend on it"}}
	}
	return []finding{{isOK, what, is + ", and something keeps it right", ""}}
}

// builtAt is the time of the version that this program was built from.
func builtAt() (at time.Time) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return at
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			at, _ = time.Parse(time.RFC3339, s.Value)
		}
	}
	return at
}

// newestIn returns the file in a folder that was written last.
func newestIn(folder string) (at time.Time, name string) {
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // whatever cannot be read is not looked at
		}
		if info, err := entry.Info(); err == nil && info.ModTime().After(at) {
			at, name = info.ModTime(), path
		}
		return nil
	})
	return at, name
}
