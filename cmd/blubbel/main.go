// Command blubbel is a messenger for two in a terminal, or in a pipe.
//
// Messages go to standard output and everything else to standard error, so that a pipe carries the text alone, byte for
// byte. Whatever goes wrong is one line that says what to do, and an exit code: see exit.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/mdeiml/blubbel-server/cmd/manual"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // the next signal is not ours any more: it ends the process
	os.Exit(run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: newOutlet(os.Stderr)}))
}

// streams are what a command reads and writes.
type streams struct {
	in  io.Reader
	out io.Writer // messages, and what was asked for
	err *outlet   // everything else
}

// say tells the user something.
func (s streams) say(format string, args ...any) {
	_, _ = fmt.Fprintf(s.err, "* "+format+"\n", args...)
}

// commands are what the program can do.
type commands struct {
	Keygen  keygen           `cmd:"" help:"Make a key. It is who you are."`
	ID      id               `cmd:"" name:"id" help:"Print your public key, to give to a friend, and its fingerprint."`
	Chat    chat             `cmd:"" help:"Talk with a friend. In a pipe: send standard input, until its end."`
	Listen  listen           `cmd:"" help:"Wait for friends and print what they say."`
	Safety  safety           `cmd:"" help:"Print the safety number of you and a friend. If both of you see the same, nobody sits in between."`
	Ping    pingRelay        `cmd:"" help:"Measure how long a relay takes to answer. It needs no key."`
	Version kong.VersionFlag `help:"Print the version."`
}

// run is main but for the process. It returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	command, err := parse(args, s)
	if err == nil {
		command.BindTo(ctx, (*context.Context)(nil))
		err = command.Run(s)
	}
	if errors.Is(err, errAnswered) {
		return exitOK
	}
	if err != nil {
		_, _ = fmt.Fprintf(s.err, "blubbel: %v\n", err)
	}
	return exitCode(err)
}

// errAnswered says that the arguments asked for something that was printed, such as help.
var errAnswered = errors.New("answered")

func parse(args []string, s streams) (command *kong.Context, err error) {
	answered := false
	parser, err := kong.New(&commands{},
		kong.Name("blubbel"),
		kong.Description("Talk with a friend through a blubbel relay, which never sees what you say."),
		kong.Writers(s.out, s.out),
		kong.Exit(func(int) { answered = true }),
		kong.Vars{"version": version(), "key": defaultKey()},
	)
	if err != nil {
		return nil, err
	}
	if manual.Answer(parser.Model, version(), args, s.out) {
		return nil, errAnswered
	}
	command, err = parser.Parse(args)
	switch {
	case answered:
		return nil, errAnswered
	case err != nil:
		return nil, withCode(exitUsage, fmt.Errorf("%w (see blubbel --help)", err))
	}
	return command, nil
}

// defaultKey is where the key is kept.
func defaultKey() string {
	folder, err := os.UserConfigDir()
	if err != nil {
		folder = "."
	}
	return filepath.Join(folder, "blubbel", "key.pem")
}

// version is what --version prints: the module's, as the build knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "blubbel " + info.Main.Version
	}
	return "blubbel (devel)"
}
