package supervisor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mdeiml/blubbel-server/supervisor"
)

func TestNewValidates(t *testing.T) {
	for _, c := range []struct {
		config supervisor.Config
		wrong  string // the field named; empty if nothing is wrong
	}{
		{supervisor.Config{}, ""},
		{supervisor.Config{MinKeyBits: 1024, MaxKeyBits: 4096, Window: 131082, WriteDeadline: 10 * time.Millisecond}, ""},
		{supervisor.Config{MinKeyBits: 512}, "MinKeyBits"},
		{supervisor.Config{MinKeyBits: 4097}, "MinKeyBits"},
		{supervisor.Config{MaxKeyBits: 4097}, "MaxKeyBits"},
		{supervisor.Config{Window: 131081}, "Window"},
		{supervisor.Config{Window: -1}, "Window"},
		{supervisor.Config{WriteDeadline: time.Millisecond}, "WriteDeadline"},
		{supervisor.Config{WriteDeadline: -1}, "WriteDeadline"},
		{supervisor.Config{AskedBy: -1}, "AskedBy"},
		{supervisor.Config{AskedOf: -1}, "AskedOf"},
		{supervisor.Config{Sessions: -1}, "Sessions"},
		{supervisor.Config{Crashes: -1}, "Crashes"},
		{supervisor.Config{CrashWindow: -1}, "CrashWindow"},
	} {
		_, err := supervisor.New(c.config)
		switch {
		case c.wrong == "" && err != nil:
			t.Error(err)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), "Config."+c.wrong+" is")):
			t.Errorf("%s: %v", c.wrong, err)
		}
	}
}
