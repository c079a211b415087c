.DEFAULT_GOAL := help
.PHONY: help check format tidy vet lint test race mutants fuzz example chaos fmt specs-outline bench load floods cuts stops soak acme browser packaging package build run

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: ## everything a change must pass: the steps from format to example
	@.ci/run

format: ## is everything formatted?
tidy: ## are go.mod and go.sum tidy?
vet: ## go vet, for each platform
lint: ## golangci-lint (its first use builds it, which takes some minutes)
test: ## go test ./...
race: ## whatever runs in several goroutines, under the race detector
mutants: ## does the model find every fault that is built into the relay? Some minutes
fuzz: ## every fuzz target, FUZZTIME each (6s)
example: ## the Python client against a relay built just now
format tidy vet lint test race mutants fuzz example:
	@.ci/run $@

chaos: SECONDS = 600
chaos: SEED = 0
chaos: ## random users and crashes, SECONDS long (600), from SEED on (0 draws one), under the race detector
	@go test -race -c -o bin/chaos ./specs/model
	@bin/chaos -test.run='^TestChaos$$' -test.timeout=$$(($(SECONDS) + 600))s -chaos.seconds=$(SECONDS) -chaos.seed=$(SEED)

fmt: ## format the code
	go tool -modfile=tools/go.mod golangci-lint fmt

specs-outline: ## the specs as prose
	@for file in specs/*_test.go; do \
		go run github.com/onsi/ginkgo/v2/ginkgo outline --format indent $$file; \
	done | sed -nE \
		-e 's/""/"/g; s/^( *)When,("?)/\1When,\2when /' \
		-e 's/^( *)[A-Za-z]+,"?([^,].*[^"])"?,[0-9]+,[0-9]+,(true|false),.*/\1\2/p'

bench: ## every benchmark
	go test -run='^$$' -bench=. -benchmem ./...

load: build ## blubbel-bench against a relay started for it: about a minute
	@bin/blubbel-server --listen 127.0.0.1:8010 --state bin/state-load --log-level warn --rate-limits off & relay=$$!; trap "kill $$relay" EXIT; sleep 0.5; \
	bin/blubbel-bench all --relay 127.0.0.1:8010 --pid $$relay

floods: build ## what hostile clients cost those who chat: some 20 minutes; FLOODS='--rounds 1' for fewer
	@bin/blubbel-server --listen 127.0.0.1:8011 --state bin/state-limited --log-level warn & limited=$$!; \
	bin/blubbel-server --listen 127.0.0.1:8012 --state bin/state-unlimited --log-level warn --rate-limits off & unlimited=$$!; \
	trap "kill $$limited $$unlimited" EXIT; sleep 0.5; code=0; \
	echo "with rate limits"; bin/blubbel-bench floods --relay 127.0.0.1:8011 --pid $$limited \
		--kind half-frames --kind strangers --kind connects --kind flat-out $(FLOODS) || code=$$?; \
	echo "without rate limits"; bin/blubbel-bench floods --relay 127.0.0.1:8012 --pid $$unlimited \
		--kind giant-claims --kind bad-keys $(FLOODS) || code=$$?; \
	exit $$code

build: ## the programs, into bin/
	go build -o bin/ ./cmd/...

run: build ## a relay on port 8000
	bin/blubbel-server

cuts: ROUNDS = 20
cuts: ## what a store keeps when the power is cut, its process killed, or a bit flipped: ROUNDS times as long as in make test (20)
	go test -count=1 -timeout=$$(($(ROUNDS) * 30 + 60))s ./store/disk -run='Cuts|Kills|Bits' -args -store.rounds=$(ROUNDS)

stops: STOPS = 50
stops: SEED = 0
stops: ## stop so many daemons under load (STOPS=50), from SEED on (0 draws one)
	go test -count=1 -timeout=$$(($(STOPS) * 20 + 60))s ./specs/daemon -run='^TestStopUnderLoad$$' -v -args -stops=$(STOPS) -seed=$(SEED)

soak: CYCLES = 100000
soak: ## so many clients (CYCLES=100000) come to a daemon and leave, well or badly: does it let go of them? For the night
	go test -count=1 -timeout=$$(($(CYCLES) / 50 + 300))s ./specs/daemon -run='^TestSoak$$' -v -args -cycles=$(CYCLES)

acme: ## the daemon gets its certificates from a real ACME server, which is downloaded
	cd specs/acme && go vet ./... && go test -count=1 ./...

browser: ## the example client and the operator's page in a real browser: needs chromium, and node for its vectors
	cd specs/browser && go vet ./... && go test -count=1 -v ./...

packaging: ## the unit, the package, completion, the image, nginx and HAProxy in front, Prometheus beside: with what is installed of these
	@packaging/check.sh

package: ## a Debian package, into bin/
	@packaging/build.sh
