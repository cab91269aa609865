# The seeds' commands under their own names. `npx just --list` shows them; each takes the options of `multiverse NAME --help`.

multiverse := "node scripts/bootstrap.mjs cli/main.ts"

_default:
    @just --list --unsorted

# List the providers and their GF(3) balance
providers-list *options:
    @{{ multiverse }} providers-list {{ options }}

# One provider: what it can do, how it did, what is linked to it
provider-status provider *options:
    @{{ multiverse }} provider-status {{ provider }} {{ options }}

# Which providers work in which order: full, branch, inference, local
verse-select mode *options:
    @{{ multiverse }} verse-select {{ mode }} {{ options }}

# Execute the verses of a seed on Modal (+1)
verse-on-modal seed="1069" *options:
    @{{ multiverse }} verse-on-modal {{ seed }} {{ options }}

# Branch and run the verses of a seed on Morph (+1)
verse-on-morph seed="1069" *options:
    @{{ multiverse }} verse-on-morph {{ seed }} {{ options }}

# Optimise the verses of a seed on PrimeIntellect (0)
verse-on-primeintellect seed="1069" *options:
    @{{ multiverse }} verse-on-primeintellect {{ seed }} {{ options }}

# Verify the verses of a seed on Gensyn (-1)
verse-on-gensyn seed="1069" *options:
    @{{ multiverse }} verse-on-gensyn {{ seed }} {{ options }}

# Verify the verses of a seed on Ritual, with proofs (-1)
verse-on-ritual seed="1069" *options:
    @{{ multiverse }} verse-on-ritual {{ seed }} {{ options }}

# Run the verses of a seed in QuickJS, on this machine (+1)
verse-on-quickjs seed="1069" *options:
    @{{ multiverse }} verse-on-quickjs {{ seed }} {{ options }}

# Run the verses of a seed in gVisor containers, on this machine (+1)
verse-on-gvisor seed="1069" *options:
    @{{ multiverse }} verse-on-gvisor {{ seed }} {{ options }}

# Run the verses of a seed in microVMs, on this machine (+1)
verse-on-microvm seed="1069" *options:
    @{{ multiverse }} verse-on-microvm {{ seed }} {{ options }}

# Run the verses of a seed on chains of their own, on this machine (+1)
verse-on-evm seed="1069" *options:
    @{{ multiverse }} verse-on-evm {{ seed }} {{ options }}

# Optimise the verses of a seed on this machine (0)
verse-on-grpo seed="1069" *options:
    @{{ multiverse }} verse-on-grpo {{ seed }} {{ options }}

# Verify the verses of a seed on this machine (-1)
verse-on-replay seed="1069" *options:
    @{{ multiverse }} verse-on-replay {{ seed }} {{ options }}

# Branch, run, optimise and verify the verses of a seed, and choose one
verse-pipeline seed="1069" *options:
    @{{ multiverse }} verse-pipeline {{ seed }} {{ options }}

# Push down, run the pipeline, have the oracle answer, pull up: on the chain
verse-orchestrate seed="1069" oracle="optimal" *options:
    @{{ multiverse }} verse-orchestrate {{ seed }} {{ oracle }} {{ options }}

# Extractable value over time
wev-analytics *options:
    @{{ multiverse }} wev-analytics {{ options }}

# Cost by provider
provider-efficiency *options:
    @{{ multiverse }} provider-efficiency {{ options }}

# Latency by provider and operation
provider-benchmark *options:
    @{{ multiverse }} provider-benchmark {{ options }}

# Check GF(3) conservation, of one scope or all
gf3-audit *options:
    @{{ multiverse }} gf3-audit {{ options }}

# Make a world of a seed
world-runtime-create seed="1069" *options:
    @{{ multiverse }} world-runtime-create {{ seed }} {{ options }}

# Snapshot the world that was made last
world-runtime-snapshot *options:
    @{{ multiverse }} world-runtime-snapshot {{ options }}

# Branch it into nash, optimal and chaos
world-runtime-branch *options:
    @{{ multiverse }} world-runtime-branch {{ options }}

# Ask about a seed, push down, and have its worlds run: on the chain
world-runtime-push-down seed="1069" *options:
    @{{ multiverse }} world-runtime-push-down {{ seed }} {{ options }}

# Have the oracle answer the newest push-down, and pull up
world-runtime-pull-up oracle="optimal" *options:
    @{{ multiverse }} world-runtime-pull-up {{ oracle }} {{ options }}

# Boot, snapshot and branch times, and memory
world-runtime-metrics *options:
    @{{ multiverse }} world-runtime-metrics {{ options }}

# Every world there was
world-runtime-entities *options:
    @{{ multiverse }} world-runtime-entities {{ options }}

# What was branched from what
world-runtime-branches *options:
    @{{ multiverse }} world-runtime-branches {{ options }}

# Which verses came true
world-runtime-resolutions *options:
    @{{ multiverse }} world-runtime-resolutions {{ options }}
