// Command blubbel-bench is a load generator for relays of the blubbel protocol.
//
// It logs users in, lets them send each other Messages in one of several patterns, checks every byte that arrives, and
// measures: Messages per second, latencies, and, on the relay's own machine, what they cost the relay in processor time
// and memory. docs/performance.md says how, and what the figures mean. The exit codes are in exit.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/mdeiml/blubbel-server/cmd/manual"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the next signal is not ours any more: it ends the process
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// commands are what the program can do.
type commands struct {
	common

	Pairs    pairs    `cmd:"" help:"Messages from senders to receivers in pairs: as many as get through, or at a fixed rate."`
	Pingpong pingpong `cmd:"" help:"Round trips in pairs, one Message under way in each."`
	FanIn    fanIn    `cmd:"" help:"Many senders to one receiver."`
	AllToAll allToAll `cmd:"" help:"Every user sends to every other in turn."`
	Idle     idle     `cmd:"" help:"Log users in who stay and say nothing: logins per second, memory per connection."`
	Slow     slow     `cmd:"" help:"Pairs alone, and then beside a flood to a receiver that does not read."`
	Fair     fair     `cmd:"" help:"Round trips of one pair alone, and then beside a pair that sends as much as it can."`
	Floods   floods   `cmd:"" help:"Pairs chat, alone and then beside floods by hostile clients: what these cost the others, and the relay."`
	All      all      `cmd:"" help:"A short standard suite of all of these, about a minute."`

	Version kong.VersionFlag `help:"Print the version."`
}

// command is what each of them does: it runs loads and hands their results to the bench.
type command interface {
	measure(ctx context.Context, b *bench) error
}

// run is main but for the process. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	options, chosen, err := parse(args, stdout)
	if err == nil {
		err = measure(ctx, options, chosen, stdout, stderr)
	}
	if errors.Is(err, errAnswered) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "blubbel-bench: %v\n", err)
	}
	return exitCode(err)
}

// measure runs a command, and prints what there is whatever comes of it.
func measure(ctx context.Context, options common, chosen command, stdout, stderr io.Writer) error {
	b, err := newBench(options, stdout, stderr)
	if err != nil {
		return err
	}
	err = chosen.measure(ctx, b)
	if printed := b.print(); printed != nil {
		return printed
	}
	switch {
	case ctx.Err() != nil && len(b.results) == 0:
		return withCode(exitInterrupted, "interrupted before anything was measured")
	case ctx.Err() != nil:
		return withCode(exitInterrupted, "interrupted; these are the figures until then")
	case err != nil:
		return err
	}
	return b.verdict()
}

// errAnswered says that the arguments asked for something that was printed, such as help.
var errAnswered = errors.New("answered")

func parse(args []string, stdout io.Writer) (options common, chosen command, err error) {
	answered := false
	var all commands
	parser, err := kong.New(&all,
		kong.Name("blubbel-bench"),
		kong.Description("Loads a blubbel relay, checks everything that arrives, and measures. The exit code is 0 if all went well, "+
			"1 if something was lost or bad or the relay closed a connection, 2 for the command line, 3 if the relay cannot be "+
			"reached or does not let us in, 130 after Ctrl-C."),
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { answered = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": version()},
	)
	if err != nil {
		return common{}, nil, err
	}
	if manual.Answer(parser.Model, version(), args, stdout) {
		return common{}, nil, errAnswered
	}
	parsed, err := parser.Parse(args)
	switch {
	case answered:
		return common{}, nil, errAnswered
	case err != nil:
		return common{}, nil, withCode(exitUsage, "%w (see blubbel-bench --help)", err)
	}
	chosen, _ = reflect.TypeAssert[command](parsed.Selected().Target.Addr())
	return all.common, chosen, nil
}

// version is what --version prints: the module's, as the build knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "blubbel-bench " + info.Main.Version
	}
	return "blubbel-bench (devel)"
}
