# meshc. Needs Go; tests with real proxies also need Linux, root, iproute2 and iptables, and say so where they are skipped.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build test test-cluster demo lint race bench soak fuzz golden docs types deploy release image-push tools clean

# No part of meshc needs C, and Go's own linker is the faster one.
export CGO_ENABLED := 0

ifdef CI
export MESHC_REQUIRE_ALL := 1
endif

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

build: ## bin/meshc, one static file
	CGO_ENABLED=0 go build -trimpath -o bin/meshc ./cmd/meshc

tools: ## the Envoy that tests and demo run, into .cache/
	@.ci/tools

test: tools ## vet, format and all tests, with real Envoys where possible
	go vet ./...
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "not formatted (run gofmt -w):"; echo "$$bad"; exit 1; }
	go test -timeout 30m ./...

test-cluster: tools ## tests on the API server of Kubernetes, with Flux's source-controller and Istio's agent, which it builds first
	@.ci/cluster
	MESHC_REQUIRE_ALL=1 go test -count=1 -run 'TestAddressesOfACluster|TestIstioAgent|TestFlux$$|TestChart|OnKubernetes' ./internal/lab ./cmd/meshc ./server/kube

demo: tools ## bookinfo through real Envoys, with a change of the split while requests run
	go run ./internal/lab/demo

lint: ## golangci-lint with the project's rules
	@.ci/lint

# Left out are the two tests that compile thousands of small meshes: they say nothing about goroutines that others do not.
race: ## the race detector over the packages that have goroutines; needs a C compiler
	CGO_ENABLED=1 go test -race -timeout 30m -skip '^(TestNoSilentField|TestSharingChangesNothing)$$' $$(.ci/race)

SERVICES ?= 1000
bench: ## time and memory of compile and serve on a large mesh (SERVICES=1000)
	go run ./internal/bench -services $(SERVICES)

SOAK ?= 10m
soak: ## a server whose mesh changes all the time, to 300 proxies; fails if its memory grows (SOAK=10m)
	go run ./internal/soak -for $(SOAK)

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME=30s
	@grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r d; do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$d"/*_test.go | cut -c6-); do \
	    echo "$$d $$f"; go test "$$d" -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2s; done; done

golden: ## rewrite expected outputs; read the diff before committing
	@for d in ./internal/diag ./compiler/change/report ./golden; do [ -z "$$(ls $$d/*_test.go 2>/dev/null)" ] || go test $$d -update; done

types: ## compiler/bundle/anytypes.go, from the modules with Envoy's messages
	go run ./internal/anytypes compiler/bundle/anytypes.go

docs: ## docs/fields.md, diagnostics.md and limits.md, from schema files, declarations of codes and internal/limit
	go run ./internal/reference docs

deploy: ## deploy/server and deploy/webhook, from the chart, by the Helm of .ci/cluster
	@.ci/deploy

PLATFORMS ?= linux/amd64,linux/arm64,darwin/amd64,darwin/arm64
release: ## dist/: archives, image, chart, bills of materials and their digests, of the commit (PLATFORMS=linux/amd64,…)
	go run ./internal/release -platforms $(PLATFORMS) -o dist

# IMAGE has no default: nothing is pushed anywhere that was not named.
image-push: ## the image into a registry (IMAGE=registry.example.com/meshc)
	go run ./internal/release -platforms linux/amd64,linux/arm64 -o dist -push $(IMAGE)

clean: ## what build, test and demo made
	rm -rf bin dist
