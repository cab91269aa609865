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
