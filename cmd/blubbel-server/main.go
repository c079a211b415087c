// Command blubbel-server is the relay as a daemon.
//
// It listens where --listen says, logs to standard error, and stops on SIGINT or SIGTERM: what was under way is settled,
// clients are told, and it exits with code 0. A second signal ends it at once. SIGHUP has it read its TLS certificate again.
// Whatever keeps it from starting is one line on standard error and exit code 1.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // the next signal is not ours any more: it ends the process
	signal.Ignore(syscall.SIGPIPE) // whoever read the log is gone; that ends nobody's conversations
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main but for the process: it serves until ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	options, err := parse(args, stdout)
	switch {
	case errors.Is(err, errAnswered):
		return 0
	case err == nil:
		err = serve(ctx, options, stderr)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "blubbel-server: %v\n", err)
		return 1
	}
	return 0
}

// errAnswered says that the arguments asked for something that was printed, such as help.
var errAnswered = errors.New("answered")

func parse(args []string, stdout io.Writer) (options options, err error) {
	answered := false
	parser, err := kong.New(&options,
		kong.Name("blubbel-server"),
		kong.Description("Relays end-to-end encrypted messages between people who know each other's public keys."),
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { answered = true }),
		kong.Vars{"version": version()}, defaults(), groups(),
	)
	if err != nil {
		return options, err
	}
	_, err = parser.Parse(args)
	if answered {
		return options, errAnswered
	}
	if err != nil {
		return options, fmt.Errorf("%w (see blubbel-server --help)", err)
	}
	return options, nil
}
