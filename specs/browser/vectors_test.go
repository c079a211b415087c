package browser

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestVectors has the example compute the vectors of this repository, and talk to itself through a relay that lies.
func TestVectors(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node on this machine: install it (apt-get install nodejs), 20 or newer, to run the example's own tests")
	}
	command := exec.CommandContext(t.Context(), node, "--test")
	command.Dir = filepath.Join("..", "..", "docs", "examples", "browser")
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
