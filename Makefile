# Towline's own commands. "make help" lists them.
SHELL       := /bin/bash
BIN         := bin/towline
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# The product is built without cgo, like the local Kubernetes, so that both
# share the compiler's cache for the packages that both use.
export CGO_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help buildkitd chaos bench-apply bench-builds bench-dashboard bench-dockerfile bench-engine bench-pods bench-zeroloss deps test-deps build demo demo-down cluster test test-short race fuzz bench lint verify generate pictures clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install what the demo needs of the system
	@scripts/deps demo

test-deps: ## install what the tests need of the system
	@scripts/deps test

build: ## build bin/towline
	go build -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/towline

demo: deps build ## see the whole of it on a local Kubernetes
	@$(BIN) demo

demo-down: build ## remove every trace of the demo
	@$(BIN) demo down

cluster: deps build ## bring up the local Kubernetes that the tests use
	@$(BIN) cluster up

buildkitd: build ## compile the BuildKit that builds Dockerfiles, once
	@$(BIN) enclose

# The rooms whose tests run on the local cluster. Those that count lost requests
# run one after the other, when nothing else does.
ON_CLUSTER  := /internal/(build/pod|kube|kube/kubetest|localkube|deploy(/(kubectl|methodtest|pullsecret|rehearsal|rollout|job|check|invariant|verdict))?)$$|/e2e$$
MEASURED    := /internal/deploy(/(rehearsal|verdict))?$$|/e2e$$

# Those of e2e that look at the dashboard alone need none.
test: test-deps cluster buildkitd ## run all tests, end to end on a real Kubernetes too
	go test -timeout 20m $$(go list ./... | grep -vE '$(ON_CLUSTER)')
	go test -timeout 20m -run '^TestDashboard' ./e2e
	KUBECONFIG="$$($(BIN) cluster kubeconfig)" go test -p 2 -timeout 20m $$(go list ./... | grep -E '$(ON_CLUSTER)' | grep -vE '$(MEASURED)')
	KUBECONFIG="$$($(BIN) cluster kubeconfig)" go test -p 1 -timeout 30m -skip '^TestDashboard' $$(go list ./... | grep -E '$(MEASURED)')

test-short: ## run the tests that need no cluster
	go test $$(go list ./... | grep -vE '$(ON_CLUSTER)')

race: test-deps ## run the tests that need no cluster with the race detector
	CGO_ENABLED=1 go test -race $$(go list ./... | grep -vE '$(ON_CLUSTER)')

fuzz: ## fuzz every parser of foreign text, 20 seconds each
	@scripts/fuzz 20s

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

bench-apply: build ## compare the apply of 1,000 objects with kubectl's
	@$(BIN) cluster up --name bench-apply --nodes 0
	@trap '$(BIN) cluster down --name bench-apply >/dev/null 2>&1' EXIT; \
	KUBECONFIG="$$($(BIN) cluster kubeconfig --name bench-apply)" go run ./bench/apply -out docs/benchmarks/apply.md $(BENCH)

bench-pods: build ## compare the wait for a rollout with and without 5,000 other pods
	@$(BIN) cluster up --name bench-pods --nodes 0
	@trap '$(BIN) cluster down --name bench-pods >/dev/null 2>&1' EXIT; \
	KUBECONFIG="$$($(BIN) cluster kubeconfig --name bench-pods)" go run ./bench/pods -out docs/benchmarks/pods.md $(BENCH)

bench-builds: build ## measure builds that do nothing, and fifty that wait for their turn
	@go run ./bench/builds -program $(BIN) -out docs/benchmarks/builds.md $(BENCH)

bench-dashboard: build ## measure the pages with 1,000 pipelines and 100,000 executions
	@go run ./bench/dashboard -program $(BIN) -out docs/benchmarks/dashboard.md $(BENCH)

bench-dockerfile: buildkitd ## compare an image by a Dockerfile, built by BuildKit and by buildah, with layering
	@go run ./bench/dockerfile -out docs/benchmarks/dockerfile.md $(BENCH)

bench-engine: ## measure executions that do nothing, and the state of one pipeline among many
	@go run ./bench/engine -out docs/benchmarks/engine.md $(BENCH)

bench-zeroloss: build ## count lost requests through cut-overs; BENCH="-slice 9m" makes a part of it
	@go run ./bench/zeroloss -cluster bench-zeroloss -nodes 3 -down $(BENCH)

# In a cluster of its own, for one of the faults kills the API server.
chaos: build ## kill deployers at each point while the API server misbehaves (an hour and more)
	@$(BIN) cluster up --name chaos
	@trap '$(BIN) cluster down --name chaos >/dev/null 2>&1' EXIT; \
	KUBECONFIG="$$($(BIN) cluster kubeconfig --name chaos)" TOWLINE_CHAOS=$${TOWLINE_CHAOS:-all} TOWLINE_CHAOS_REPORT="$(CURDIR)/docs/benchmarks/chaos.md" \
	go test -count=1 -timeout 6h -run 'TestChaos$$' ./internal/deploy

lint: ## check style and known vulnerabilities
	@scripts/lint

generate: build ## make the generated files anew
	$(BIN) pipeline schema > docs/towline.schema.json
	$(BIN) reference > docs/reference.md
	go tool -modfile=tools/go.mod templ generate -path internal/ui >/dev/null

pictures: ## take the pictures of the dashboard anew
	TOWLINE_PICTURES=docs go test -count=1 -timeout 20m -run '^TestDashboard' ./e2e

verify: generate ## check that generated files, formatting and modules are as committed
	@test -z "$$(gofmt -l cmd internal e2e examples localkube)" || { gofmt -l cmd internal e2e examples localkube; exit 1; }
	go mod verify >/dev/null
	go mod tidy -diff
	git diff --exit-code -- docs/towline.schema.json docs/reference.md internal/ui

clean: ## remove what was built here
	rm -rf bin dist
