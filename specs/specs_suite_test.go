package specs_test

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"
	"github.com/sirupsen/logrus"
)

// running is a relay to run the specs against, instead of one in this process:
//
//	go test ./specs -args -relay=127.0.0.1:8000
var running = flag.String("relay", "", "host:port of a running relay to run the specs against")

func TestSpecs(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "The relay")
}

var _ = BeforeSuite(func() {
	if *running == "" {
		return
	}
	conn, err := net.Dial("tcp", *running)
	if err != nil {
		AbortSuite(fmt.Sprintf("there is no relay at %s: %v", *running, err))
	}
	_ = conn.Close()
})

// Nothing of what all specs had their relays log may be a secret, and the one that is logged on purpose must be found.
var _ = AfterSuite(func() {
	Expect(logged.leaked()).To(BeEmpty(), "%v", logged.where)
	control := bytes.ReplaceAll(random(16), []byte{'\\'}, []byte{'/'}) // of several in a row one cannot tell how often they were quoted
	logged.markedAs("the control", control)
	log := logrus.New()
	log.SetOutput(logged.log())
	log.WithField("why", fmt.Sprintf("panic on %q", control)).Error("this is no crash but the control of a search")
	Expect(logged.leaked()).To(Equal(map[string]int{"the control": 2}))
})

// needsInside skips a spec that looks into the relay, when there is only one to talk to.
func needsInside(why string) {
	GinkgoHelper()
	if *running != "" {
		Skip(why)
	}
}

var _ = ReportAfterSuite("what was skipped", func(report Report) {
	if *running == "" {
		return
	}
	reasons, skipped := map[string]int{}, 0
	for _, spec := range report.SpecReports {
		if spec.State.Is(types.SpecStateSkipped) && spec.Failure.Message != "" {
			reasons[spec.Failure.Message]++
			skipped++
		}
	}
	_, _ = fmt.Fprintf(os.Stdout, "against %s; skipped %d specs:\n", *running, skipped)
	for why, n := range reasons {
		_, _ = fmt.Fprintf(os.Stdout, "  %d: %s\n", n, why)
	}
})
