# Reprise: build, test, measure.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
PKG      ?= ./...
BENCH    ?= .
FUZZTIME ?= 10s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := $(GO) run mvdan.cc/gofumpt@v0.12.0

# The version is linked in, so the go command need not ask git, which refuses
# to answer in a checkout that belongs to someone else.
BUILD := $(GO) build -trimpath -buildvcs=false -ldflags "-X main.version=$(VERSION)"

# This module and those that keep their dependencies out of it.
MODULES := . $(patsubst %/go.mod,%,$(wildcard benchmarks/go.mod benchmarks/*/go.mod e2e/*/go.mod))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## start the demo; it prints what to try
	bin/reprise demo

.PHONY: build
build: ## build bin/reprise, one static binary
	CGO_ENABLED=0 $(BUILD) -o bin/reprise ./cmd/reprise

.PHONY: build-openssl
build-openssl: ## build bin/reprise-openssl, whose RSA signatures are libcrypto's; needs gcc and libssl-dev, STATIC=1 links it in
	CGO_ENABLED=1 $(BUILD) $(if $(STATIC),-ldflags "-X main.version=$(VERSION) -linkmode external -extldflags -static") \
		-tags openssl,netgo,osusergo -o bin/reprise-openssl ./cmd/reprise

# What is shipped has no symbol table: half the size; stack traces do not need it.
bin/shipped/reprise: FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o $@ ./cmd/reprise
FORCE:

.PHONY: deb
deb: bin/shipped/reprise ## make bin/reprise_VERSION_ARCH.deb, a package for Debian
	@VERSION=$(VERSION) GO=$(GO) packaging/deb/build $<

.PHONY: image
image: bin/shipped/reprise ## make bin/image, an OCI image layout, and bin/image.tar with it; no daemon is needed
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} \
		$(GO) run ./packaging/image -program $< -version $(VERSION) -arch $$($(GO) env GOARCH) -o bin/image -tar bin/image.tar
	@echo bin/image

# Packages of e2e wait more than they compute, so more of them than there are cores run at a time.
ROOMS_AT_A_TIME := 3

.PHONY: test
test: peers ## run all tests and say what those of a package cover of it, PKG=./engine for those of one package
	@mkdir -p bin
	$(GO) test -p $(ROOMS_AT_A_TIME) -count=1 -timeout 10m -coverprofile=bin/coverage.out $(PKG)
	$(if $(filter ./...,$(PKG)),CGO_ENABLED=1 $(GO) test -count=1 -tags openssl ./internal/libcrypto)
	$(if $(filter ./...,$(PKG)),cd e2e/grpc && $(GO) test -count=1 ./...)
	@scripts/coverage bin/coverage.out

# Rooms of e2e whose program runs with the race detector too, and tests there that look into
# its memory, measure it or wait for time to pass. sessions/sim has one goroutine.
RACE_ROOMS := backendtls documented fleet operations relay requests routing tls
RACE_SKIP  := ^Test(OldRecordingsStayClosedToMemory|DeadSessionsLeaveMemory|RecordingsStayClosed|ExpiredStaysExpired|ForgottenStaysForgotten|ForgetNamesTheSilent|ForgetReachesOneWayPeers|ForgetTakesNamesAsClientsWriteThem|InventedSendersDoNotDelayAJoin|GarbageFlood|ReplayedHellosFillNothing|OnceMeansOnce|CapturedDatagramsFromElsewhere|DamagedDatagramsDrawNothingMuch|DerivedSecretVouchesForNothing|MadeSecretIsTaken)$$

.PHONY: race
race: peers ## run the tests with the race detector, in the program as well, or those of PKG
	$(GO) test -p $(ROOMS_AT_A_TIME) -race -count=1 -timeout 15m -skip '$(RACE_SKIP)' $(if $(filter ./...,$(PKG)),$$($(GO) list ./... | grep -v -e /e2e/ -e /sessions/sim$$) $(RACE_ROOMS:%=./e2e/%),$(PKG))

.PHONY: peers
peers: ## install the programs that tests run, if apt is there and allowed
	@scripts/install-peers

.PHONY: vet
vet: ## go vet, every module
	@for dir in $(MODULES); do (set -x; cd $$dir && $(GO) vet ./...); done

.PHONY: staticcheck
staticcheck: ## staticcheck, every module
	@for dir in $(MODULES); do (set -x; cd $$dir && $(STATICCHECK) ./...); done

.PHONY: fmt
fmt: ## format all Go files
	$(GOFUMPT) -w .

.PHONY: fmt-check
fmt-check: ## fail if fmt would change a file
	@files=$$($(GOFUMPT) -l .); [[ -z $$files ]] || { echo "not formatted, run make fmt:"; echo "$$files"; exit 1; } >&2

.PHONY: tidy-check
tidy-check: ## fail if go mod tidy would change a go.mod
	@for dir in $(MODULES); do (cd $$dir && $(GO) mod tidy -diff) || { echo "$$dir: run go mod tidy" >&2; exit 1; }; done

.PHONY: vuln
vuln: ## look for known vulnerabilities; needs to reach vuln.go.dev
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.6.0 ./...

.PHONY: lint
lint: fmt-check tidy-check vet staticcheck ## all that looks at the source only

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME=10s
	@$(GO) test -list '^Fuzz' $(PKG) \
	| awk '/^Fuzz/ { target[++n] = $$1 } $$1 == "ok" { for (i = 1; i <= n; i++) print $$2, target[i]; n = 0 }' \
	| while read -r pkg target; do \
		echo "== $$pkg $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x "$$pkg" </dev/null || exit 1; \
	done

.PHONY: bogo
bogo: build ## judge engine and program by BoringSSL's tests, BORINGSSL=DIR of its sources; 2 minutes
	$(GO) build -o bin/bogo ./tlsconn/bogo
	nice bin/bogo judge -boringssl '$(BORINGSSL)' -o bin/bogo.txt
	nice bin/bogo judge -boringssl '$(BORINGSSL)' -relay bin/reprise -relay-options '--tls-engine own' -o bin/bogo-relay.txt

.PHONY: tlsfuzzer
tlsfuzzer: build ## judge the program by tlsfuzzer's scripts, TLSFUZZER=DIR of its sources; 15 minutes
	nice $(GO) run ./internal/tlsfuzzer -tlsfuzzer '$(TLSFUZZER)' -logs bin/tlsfuzzer

.PHONY: h2spec
h2spec: build ## judge HTTP/2 by h2spec, which is fetched; a few seconds
	scripts/h2spec

.PHONY: bench
bench: build build-openssl ## measure all beside other servers, 5 rounds, CASE=regexp for some of it, CONTINUE=1 for the rest; says how long
	cd benchmarks && $(GO) run ./harness $(if $(CASE),-case '$(CASE)') $(if $(CONTINUE),-continue)

.PHONY: bench-smoke
bench-smoke: ## every measurement for a moment, to see that it still runs
	cd benchmarks && $(GO) run ./harness -smoke

.PHONY: bench-test
bench-test: peers ## run the tests of the measuring programs
	cd benchmarks && $(GO) test -count=1 ./...

.PHONY: bench-unit
bench-unit: ## run the unit benchmarks, BENCH=regexp for some
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG)

.PHONY: check
check: ## what CI runs: lint, build, test, race; a skipped test is a failure
	.ci/run

.PHONY: clean
clean: ## remove what the targets above made here
	rm -rf bin
