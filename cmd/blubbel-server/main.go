// Command blubbel-server is the relay as a daemon.
//
// It keeps what must survive a restart in the folder that --state names, listens where --listen says, logs to standard error, and stops on
// SIGINT or SIGTERM: what was under way is settled, clients are told, and it exits with code 0. A second signal ends it at once. SIGHUP has
// it read its configuration again, its TLS certificate, and its list of allowed keys. Whatever keeps it from starting is one line on standard
// error and exit code 1.
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

	"github.com/mdeiml/blubbel-server/cmd/manual"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)   // the next signal is not ours any more: it ends the process
	signal.Ignore(syscall.SIGPIPE) // whoever read the log is gone; that ends nobody's conversations
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main but for the process: it serves until ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	_, command, err := parse(args, stdout)
	switch {
	case errors.Is(err, errAnswered):
		return 0
	case errors.Is(err, syscall.EPIPE): // whoever reads has read enough
		return 1
	case err == nil:
		command.BindTo(ctx, (*context.Context)(nil))
		err = command.Run(streams{out: stdout, err: stderr})
	case isDoctor(command):
		err = reportUnread(stdout, command, err)
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "blubbel-server: %v\n", err)
		return 1
	}
	return 0
}

// streams are where the program writes.
type streams struct {
	out io.Writer // what was asked for
	err io.Writer // the log
}

// commands are what the program can do.
type commands struct {
	ConfigFile string           `name:"config" help:"YAML file with settings." placeholder:"FILE"`
	Version    kong.VersionFlag `help:"Print the version."`

	Relay  options `cmd:"" name:"run" default:"withargs" help:"Run the relay. This is what happens if no command is named."`
	Doctor doctor  `cmd:"" help:"Look for what usually goes wrong with a relay that has these settings, whether it runs or not, and say what to do. Changes nothing."`
	Config show    `cmd:"" name:"config" help:"Print the settings as they are in effect, and where each comes from, as a file for --config. Fails if the relay would not start with them."`
	Ctl    ctl     `cmd:"" help:"Ask a relay that runs, where --admin shows it."`
	Unpin  unpin   `cmd:"" help:"Forget that a key has proved possession, so that it opens without proof again. The relay must not be running (else: ctl unpin). Do it as the user that the relay runs as."`

	given sources
}

// errAnswered says that the arguments asked for something that was printed, such as help.
var errAnswered = errors.New("answered")

// parse returns the commands, and which of them was meant, which may be known with an error, too.
func parse(args []string, stdout io.Writer) (c *commands, command *kong.Context, err error) {
	answered := false
	c = &commands{}
	parser, err := kong.New(c,
		kong.Name("blubbel-server"),
		kong.Description("Relays end-to-end encrypted messages between people who know each other's public keys."),
		kong.Writers(stdout, stdout),
		kong.Exit(func(int) { answered = true }),
		kong.Vars{"version": "blubbel-server " + version()}, defaults(), groups(), kong.Help(help),
	)
	if err != nil {
		return nil, nil, err
	}
	if manual.Answer(parser.Model, "blubbel-server "+version(), args, stdout) {
		return nil, nil, errAnswered
	}
	command, err = parser.Parse(args)
	if answered {
		return nil, nil, errAnswered
	}
	if err != nil {
		return nil, commandOf(err), c.explain(err)
	}
	return c, command, nil
}

// help prints the help of the command that runs the relay, too, where no command is named.
func help(o kong.HelpOptions, c *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, c); err != nil || c.Selected() != nil {
		return err
	}
	relay, err := kong.Trace(c.Kong, []string{"run"})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(c.Stdout)
	return kong.DefaultHelpPrinter(o, relay)
}
