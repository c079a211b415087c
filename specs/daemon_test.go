package specs_test

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"github.com/mdeiml/blubbel-server/frames"
)

var _ = Describe("Running the daemon", Ordered, func() {
	var binary string
	BeforeEach(OncePerOrdered, func() { needsInside("it is about a process of its own") })
	BeforeAll(func() {
		binary = filepath.Join(GinkgoT().TempDir(), "blubbel-server")
		build := exec.Command("go", "build", "-o", binary, "github.com/mdeiml/blubbel-server/cmd/blubbel-server")
		out, err := build.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
	})

	// start starts it, and returns what to talk to once it says that it is ready.
	start := func(ctx SpecContext) (*gexec.Session, *relay) {
		log := gbytes.NewBuffer()
		command := exec.Command(binary, "--listen", "127.0.0.1:0", "--log-format", "json")
		process, err := gexec.Start(command, GinkgoWriter, io.MultiWriter(log, logged.log()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx SpecContext) { Eventually(ctx, process.Kill()).Should(gexec.Exit()) })
		Eventually(ctx, log).Should(gbytes.Say(`relay ready`))
		address := regexp.MustCompile(`"listen":"([^"]+)"`).FindSubmatch(log.Contents())
		return process, &relay{address: string(bytes.TrimSpace(address[1])), dial: dialTo(string(bytes.TrimSpace(address[1])))}
	}

	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		It("tells everybody, and exits with 0, on "+signal.String(), func(ctx SpecContext) {
			process, r := start(ctx)
			alice, bob := r.session(ctx)
			Expect(process.Command.Process.Signal(signal)).To(Succeed())
			for _, c := range []*client{alice, bob} {
				Expect(c.hears(ctx)).To(beError(0, 0, frames.ShuttingDown))
				c.isClosed(ctx)
			}
			Eventually(ctx, process).Should(gexec.Exit(0))
		}, SpecTimeout(2*patience))
	}

	It("leaves nobody hanging when it is killed", func(ctx SpecContext) {
		process, r := start(ctx)
		alice, bob := r.session(ctx)
		talking := []<-chan struct{}{alice.floods(bob), bob.floods(alice)}
		alice.hears(ctx)
		process.Kill()
		for _, ended := range talking {
			Eventually(ctx, ended).Should(BeClosed())
		}
		for _, c := range []*client{alice, bob} {
			Eventually(ctx, func() bool {
				_, err := c.frame(ctx)
				return closedByPeer(err)
			}).Should(BeTrue())
		}
	}, SpecTimeout(2*patience))
})
