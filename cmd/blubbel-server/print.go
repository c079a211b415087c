package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mdeiml/blubbel-server/admin"
	"github.com/mdeiml/blubbel-server/supervisor"
)

// What ctl prints, for people.

func printStatus(w io.Writer, s admin.Status) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer func() { _ = t.Flush() }()
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	state := "ready"
	if s.Stopping {
		state = "stopping"
	}
	line("relay", "%s, %s for %v", s.Version, state, s.Now.Sub(s.Started).Round(time.Second))
	line("id", "%s", s.Relay)
	line("listens", "%s", strings.Join(s.Listen, " "))
	line("connections", "%s; %d accepted so far", connectionsOf(s), s.Accepted)
	line("users", "%d online, %d away; %d sessions", s.Users["online"], s.Users["away"], s.Sessions)
	line("frames", "%d taken, %d delivered, %s, %d in flight", s.Frames.Taken, s.Frames.Delivered, refusedOf(s), s.Frames.InFlight)
	line("settled", "half within %s, 99 %% within %s", within(s.Frames.Settle, 0.5), within(s.Frames.Settle, 0.99))
	line("memory", "%s held by connections, %d do not keep up", size(s.Window), s.Stuck)
	line("logins", "%s; refused: %s; %d keys pinned", counts(s.Logins), counts(s.Refused), s.Pins)
	line("turned away", "%s", counts(s.TurnedAway))
	line("crashes", "%s", counts(s.Crashes))
}

// connectionsOf says how many connections there are of each kind.
func connectionsOf(s admin.Status) string {
	var parts []string
	sum := 0
	for _, c := range s.Connections {
		if sum += c.Count; c.Count > 0 {
			parts = append(parts, fmt.Sprintf("%s %s %d", c.Transport, c.State, c.Count))
		}
	}
	if sum == 0 {
		return "none"
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}

func refusedOf(s admin.Status) string {
	sum := uint64(0)
	for _, n := range s.Frames.Refused {
		sum += n
	}
	if sum == 0 {
		return "0 refused"
	}
	return fmt.Sprintf("%d refused (%s)", sum, counts(s.Frames.Refused))
}

// counts says how often each was, the most frequent first.
func counts[K ~string](of map[K]uint64) string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(of)), func(name K) bool { return of[name] == 0 })
	slices.SortStableFunc(names, func(a, b K) int { return int(of[b]) - int(of[a]) }) //nolint:gosec // counts of this process
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// within says how long a part of the frames took at most.
func within(settle []admin.Settle, part float64) string {
	total, sum := uint64(0), uint64(0)
	for _, s := range settle {
		total += s.Frames
	}
	for _, s := range settle {
		if sum += s.Frames; total > 0 && float64(sum) >= part*float64(total) {
			if s.Most == 0 {
				return "more than 10 s"
			}
			return fmt.Sprintf("%g ms", s.Most)
		}
	}
	return "-"
}

func size(bytes int64) string {
	switch {
	case bytes >= 10<<30:
		return fmt.Sprintf("%d GiB", bytes>>30)
	case bytes >= 10<<20:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 10<<10:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d bytes", bytes)
}

func printTree(w io.Writer, top supervisor.Node) { printNode(w, top, "", "", "") }

// printNode prints an actor behind a branch, and those below it behind what goes on of its parents' branches.
func printNode(w io.Writer, n supervisor.Node, before, branch, on string) {
	_, _ = fmt.Fprintf(w, "%s%s%s  %s\n", before, branch, n.Name, strings.Join(traits(n), ", "))
	before += on
	for i, child := range n.Children {
		if i == len(n.Children)-1 && n.More == 0 {
			printNode(w, child, before, "└── ", "    ")
		} else {
			printNode(w, child, before, "├── ", "│   ")
		}
	}
	if n.More > 0 {
		_, _ = fmt.Fprintf(w, "%s└── and %d more\n", before, n.More)
	}
}

// traits are what there is to say of an actor.
func traits(n supervisor.Node) []string {
	list := []string{n.State}
	add := func(is bool, format string, args ...any) {
		if is {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	add(n.Transport != "", "%s", n.Transport)
	add(n.User != "", "user %s", n.User)
	add(n.Sessions == 1, "1 session")
	add(n.Sessions > 1, "%d sessions", n.Sessions)
	add(n.Queue > 0, "queue %d", n.Queue)
	add(n.Window > 0, "holds %s", size(n.Window))
	add(n.Stuck, "does not keep up")
	add(n.Crashes > 0, "crashes %d", n.Crashes)
	return list
}

func printRecent(w io.Writer, r admin.Recent) {
	_, _ = fmt.Fprintf(w, "The last %d connections that have ended:\n", len(r.Closes))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range r.Closes {
		who := "nobody logged in"
		if c.LoggedIn {
			who = "logged in"
		}
		_, _ = fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\tafter %v\n", c.At.Format(time.RFC3339), c.Transport, c.Reason, c.Code, who,
			time.Duration(c.Lasted*float64(time.Second)).Round(time.Millisecond))
	}
	_ = t.Flush()
	_, _ = fmt.Fprintf(w, "The last %d crashes:\n", len(r.Crashes))
	for _, c := range r.Crashes {
		_, _ = fmt.Fprintf(w, "  %s  %s: %s; %s\n", c.At.Format(time.RFC3339), c.Actor, c.Why, c.Done)
	}
}
