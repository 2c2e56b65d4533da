# Two commands: `make demo` shows the product at work, `make test` runs everything the project tests.
# Both install what they need first (with sudo when not root) and say what that is.

SHELL := /bin/bash
CARGO := cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# As root the kernel tests must run; elsewhere they say that they were skipped.
REQUIRE_ROOT := $(if $(filter 0,$(shell id -u)),POLICY_REQUIRE_ROOT=1,)

.PHONY: demo test setup lint test-compiler test-kernel ebpf-check \
	bench bench-reach bench-intents bench-prove bench-sizes bench-verify bench-diff bench-datapath

demo: setup
	$(CARGO) build --release --locked --package policyc --package policyd --package policyd-e2e
	$(TARGET)/release/demo $(TARGET)/release/policyc $(TARGET)/release/policyd

test: setup lint test-compiler test-kernel

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

test-compiler:
	$(CARGO) test --locked

test-kernel:
	$(CARGO) build --locked --package policyc --package policyd
	$(REQUIRE_ROOT) $(CARGO) test --locked --package policyd-e2e

# What deciding, whole packets and replacing a policy cost in the kernel of this machine; needs root.
bench-datapath:
	$(CARGO) build --release --locked --package policyd --package policyd-e2e
	$(TARGET)/release/bench-datapath $(TARGET)/release/policyd

# Rebuilds the eBPF object from source and compares it with the one that is checked in (installs bpf-linker).
ebpf-check:
	$(CARGO) dev ebpf --check

# Time and memory of the compiler over growing clusters, as the tables of docs/performance.md. Takes three minutes.
bench:
	$(CARGO) bench --locked --package policy-dev --bench pipeline

# What `policyc build --prove` costs, as in docs/performance.md: without the proof, and with it.
bench-prove:
	$(CARGO) build --release --locked --package policyc --package policy-dev
	$(TARGET)/release/policy-dev cluster $(TARGET)/bench-prove --pods 200 --policies 1000 --layers 4
	cd $(TARGET)/bench-prove && for proof in "" --prove; do time ../release/policyc build policies.yaml \
		--inventory inventory.yaml --pod-cidr 10.0.0.0/8 --unsigned --output policy.bundle $$proof; done

# Bytes of the tables of one node among 20,000 identities, as in docs/performance.md; the number of policies grows.
bench-sizes:
	$(CARGO) build --release --locked --package policyc --package policy-dev
	for policies in 100 1000 10000; do \
		$(TARGET)/release/policy-dev cluster $(TARGET)/bench-sizes --pods 20000 --policies $$policies --nodes 182 --layers 4; \
		(cd $(TARGET)/bench-sizes && time ../release/policyc build policies.yaml --inventory inventory.yaml \
			--pod-cidr 10.0.0.0/8 --unsigned --node node-7 --output node.bundle && \
			../release/policyc inspect node.bundle | grep --extended-regexp '^(tables|images|section|ipcache)'); done

# Time to find who can open connections to whom, up to 100,000 pods. Takes a minute.
bench-reach:
	$(CARGO) bench --locked --package policy-dev --bench reach

# Every question of `policyc check` about the rules of growing clusters, as in docs/performance.md. Takes two minutes.
bench-verify:
	$(CARGO) bench --locked --package policyc-verify --bench questions

# Time of an intent and of a guard, over up to 5,000 policies. Takes a minute.
bench-intents:
	$(CARGO) bench --locked --package policyc-verify --bench intents

# What `policyc diff` takes for one change among 1,000 and 5,000 policies. Takes a minute.
bench-diff:
	$(CARGO) bench --locked --package policyc-verify --bench diff

setup:
	@./.ci/setup
