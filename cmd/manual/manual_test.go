package manual_test

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/mdeiml/blubbel-server/cmd/manual"
)

// program is one with everything that those of this project have.
type program struct {
	Config  string           `help:"File with settings." placeholder:"FILE"`
	Secret  bool             `hidden:""`
	Version kong.VersionFlag `short:"v" help:"Print the version."`

	Run  settings `cmd:"" default:"withargs" help:"Run it."`
	Show show     `cmd:"" help:"Print the settings."`
	Ask  ask      `cmd:"" help:"Ask one that runs."`
	Own  struct{} `cmd:"" hidden:""`
}

type settings struct {
	Key    string   `group:"keys" help:"File with the key." placeholder:"FILE" env:"KEY" default:"own.pem"`
	Level  string   `help:"How much is said: ${enum}." enum:"much,more,most" default:"much"`
	Listen []string `help:"Where to listen." placeholder:"ADDRESS" sep:"none"`
	Quick  bool     `help:"Be quick."`
}

// Help implements kong.HelpProvider.
func (settings) Help() string { return "The first paragraph.\n\n.The \"second\\" }

type show struct{ settings }

type ask struct {
	JSON bool `name:"json" help:"Print it as it is."`

	Tree struct {
		Children int `help:"At most so many." default:"50"`
	} `cmd:"" help:"Print a tree."`
	Say struct {
		Word string   `arg:"" help:"What." enum:"yes,no"`
		Rest []string `arg:"" optional:""`
	} `cmd:"" help:"Say something."`
}

// answer is what the program answers to arguments.
func answer(t *testing.T, args ...string) (text string, answered bool) {
	t.Helper()
	parser, err := kong.New(&program{}, kong.Name("a-program"), kong.Description("It does it."), kong.ExplicitGroups([]kong.Group{
		{Key: "keys", Title: "Keys:", Description: "There are keys."},
	}))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	answered = manual.Answer(parser.Model, "a-program v1.2", args, &out)
	return out.String(), answered
}

func TestWhatAWordCanBecome(t *testing.T) {
	const flags = "--help --config --version"
	for line, want := range map[string]string{
		"":                         "run show ask",
		"sh":                       "show",
		"x":                        "",
		"-":                        flags + " --key --level --listen --quick",
		"--l":                      "--level --listen",
		"run --":                   flags + " --key --level --listen --quick",
		"ask ":                     "tree say",
		"ask -":                    flags + " --json",
		"ask tree -":               flags + " --json --children",
		"ask --json ":              "tree say",
		"--level ":                 "much more most",
		"--level m":                "much more most",
		"--level mo":               "more most",
		"--level=mo":               "--level=more --level=most",
		"--level =":                "much more most", // as bash has it
		"--level = mos":            "most",
		"--level much ":            "run show ask",
		"--level = much ":          "run show ask",
		"--level=much ":            "run show ask",
		"--key ":                   "", // a file
		"--key=":                   "",
		"--key - --le":             "--level",
		"--quick ":                 "run show ask",
		"--nothing=":               "",
		"--nothing --le":           "--level",
		"-v --le":                  "--level",
		"ask say ":                 "yes no",
		"ask say n":                "no",
		"ask say yes ":             "",
		"ask say yes and ":         "",
		"ask say -- ":              "yes no",
		"ask say -- -":             "",
		"own -":                    flags,
		"show --key own.pem --qui": "--quick",
		"ask tree tree ":           "",
	} {
		words := strings.Split(line, " ")
		text, answered := answer(t, append([]string{"completion", "words"}, words...)...)
		var got []string
		for line := range strings.Lines(text) {
			word, _, _ := strings.Cut(line, "\t")
			got = append(got, word)
		}
		if !answered || !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: %q, not %q", line, got, want)
		}
	}
	if text, _ := answer(t, "completion", "words"); !strings.HasPrefix(text, "run\tRun it.\n") {
		t.Errorf("without a word: %q", text)
	}
}

func TestThePage(t *testing.T) {
	page, _ := answer(t, "man")
	rest := page
	for _, want := range []string{
		".TH \"A\\-PROGRAM\" \"1\" \"\" \"a\\-program v1.2\"\n",
		".SH \"NAME\"\na\\-program \\- It does it\n",
		"\\fBa\\-program [run]\\fR [flags]\n.br\n\\fBa\\-program show\\fR [flags]\n",
		"\\fBa\\-program ask say\\fR <word> [<rest> ...] [flags]\n",
		".SH \"DESCRIPTION\"\nIt does it.\n.PP\nRun it.\n.PP\nThe first paragraph.\n.PP\n\\&.The \"second\\e\n",
		".SH \"OPTIONS\"\n.TP\n\\fB\\-h, \\-\\-help\\fR\n",
		"\\fB\\-\\-level\\fR=\\fI\"much\"\\fR\nHow much is said: much,more,most.\n",
		".SS \"Keys\"\nThere are keys.\n.TP\n\\fB\\-\\-key\\fR=\\fIFILE\\fR\nFile with the key. Default: own.pem. Variable: KEY.\n",
		".SH \"COMMANDS\"\n.SS \"a\\-program show\"\nPrint the settings.\n.PP\nIt has all the options above.\n",
		".SS \"a\\-program ask\"\nAsk one that runs.\n.TP\n\\fB\\-\\-json\\fR\n",
		".SS \"a\\-program ask say\"\nSay something.\n.TP\n\\fI<word>\\fR\nWhat.\n",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("behind the one before there is no\n%s\nin\n%s", want, page)
		}
		rest = after
	}
	if strings.Contains(page, "own\n") || strings.Contains(page, "secret") || strings.Count(page, "The first paragraph") != 1 {
		t.Errorf("there is too much in\n%s", page)
	}
}

func TestThePageIsUnderstood(t *testing.T) {
	page, _ := answer(t, "man")
	lint := exec.CommandContext(t.Context(), "mandoc", "-T", "lint", "-W", "warning")
	lint.Stdin = strings.NewReader(page)
	said, err := lint.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("there is no mandoc to ask")
	}
	for line := range strings.Lines(string(said)) {
		if !strings.Contains(line, "missing date") { // so that a page is the same whenever it is made
			t.Error(line)
		}
	}
}

func TestWhatIsNoneOfIt(t *testing.T) {
	for _, line := range []string{"", "run", "--level much", "manual", "man 1", "completion", "completion tcsh", "completion ../x", "completion bash zsh"} {
		if text, answered := answer(t, strings.Fields(line)...); answered || text != "" {
			t.Errorf("%q is answered: %s", line, text)
		}
	}
}

func TestTheScriptsNameTheProgram(t *testing.T) {
	for shell, want := range map[string]string{
		"bash": "complete -o bashdefault -o default -F _a_program a-program\n",
		"zsh":  "#compdef a-program\n",
		"fish": "complete -c a-program -f -a '(__a_program)'\n",
	} {
		text, answered := answer(t, "completion", shell)
		if !answered || !strings.Contains(text, want) || strings.Contains(text, "PROGRAM") || strings.Contains(text, "FUNCTION") {
			t.Errorf("%s: %s", shell, text)
		}
	}
}
