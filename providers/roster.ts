import type { Trit } from '../sdk/gf3.ts'

/** What JSON can say, for capabilities and figures. */
type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** A provider as the registry knows it. */
export type ProviderRow = {
  id: string
  name: string
  /** What it is, in one line. */
  summary: string
  /** +1 generates, 0 coordinates, -1 validates. */
  trit: Trit
  kind: 'local' | 'remote'
  /** As the seeds write them, for the seeds' providers. */
  capabilities: { readonly [name: string]: Json }
  apiEndpoint: string | null
  authMethod: string | null
  /** Environment variables that hold what it takes to use it. */
  credentials: readonly string[]
  /** What its vendor, or the seeds, say of it. None of these figures was measured here. */
  declared: { readonly [figure: string]: Json }
}

const GENERATOR = 1
const COORDINATOR = 0
const VALIDATOR = -1

/** Every provider that the seeds name, and those that run on this machine. */
export const ROSTER: readonly ProviderRow[] = [
  {
    id: 'morph',
    name: 'Morph Labs Infinibranch',
    summary: 'instant branching of complete computational environments',
    trit: GENERATOR,
    kind: 'remote',
    capabilities: { snapshot: true, branch: true, languages: ['python', 'js', 'rust', 'cpp'] },
    apiEndpoint: 'https://api.cloud.morph.so/v1',
    authMethod: 'bearer',
    credentials: ['MORPH_API_KEY'],
    declared: {
      createMs: '~250',
      snapshotMs: '<250',
      branch3Ms: '<250',
      branchOverhead: 'near-zero',
      statePreservation: 'memory + disk + network',
      isolation: 'Full VM',
      cost: '$$',
      image: 'morphvm-minimal',
      branches: 3,
    },
  },
  {
    id: 'modal',
    name: 'Modal Labs Sandboxes',
    summary: 'serverless GPU sandboxes: sub-second cold starts, massive scale',
    trit: GENERATOR,
    kind: 'remote',
    capabilities: { snapshot: true, branch: true, languages: ['python'], inference: true },
    apiEndpoint: null,
    authMethod: 'token',
    credentials: ['MODAL_TOKEN_ID', 'MODAL_TOKEN_SECRET'],
    declared: {
      coldStartMs: '<1000',
      concurrency: '50,000+',
      gpus: ['H100', 'A100', 'L4'],
      app: 'verse-runner',
      image: 'debian_slim',
    },
  },
  {
    id: 'primeintellect',
    name: 'PrimeIntellect Distributed RL',
    summary: 'globally decentralized reinforcement learning',
    trit: COORDINATOR,
    kind: 'remote',
    capabilities: { training: true, rl: true, max_params: '100B+', async: true },
    apiEndpoint: 'https://api.primeintellect.ai/v1',
    authMethod: 'bearer',
    credentials: ['PRIME_API_KEY'],
    declared: {
      execute: 'async',
      maxParams: '100B+',
      verification: 'TOPLOC',
      distribution: 'SHARDCAST',
      cost: '$$$',
      model: 'intellect-3',
      environment: 'verse-optimization',
      workers: 100,
    },
  },
  {
    id: 'gensyn',
    name: 'Gensyn Decentralized ML',
    summary: 'trustless verification of ML computation',
    trit: VALIDATOR,
    kind: 'remote',
    capabilities: { verification: true, trustless: true, protocol: 'ethereum_rollup' },
    apiEndpoint: 'https://api.gensyn.ai/v1',
    authMethod: 'bearer',
    credentials: ['GENSYN_PRIVATE_KEY'],
    declared: {
      verify: 'probabilistic',
      computeTypes: ['GPU', 'Apple Silicon'],
      cost: '$',
      workload: 'verify_verse_result',
      reward: 100,
    },
  },
  {
    id: 'ritual',
    name: 'Ritual Infernet',
    summary: 'verifiable ML with ZKML proofs',
    trit: VALIDATOR,
    kind: 'remote',
    capabilities: { verification: true, zkml: true, inference: true },
    apiEndpoint: null,
    authMethod: 'token',
    credentials: ['RITUAL_PRIVATE_KEY'],
    declared: {
      verify: 'zkml proofs',
      network: 'Infernet',
      chains: ['ethereum', 'base'],
      model: 'llama-3.3-70b',
    },
  },
  {
    id: 'quickjs',
    name: 'QuickJS in WebAssembly',
    summary: 'worlds of JavaScript as heaps, in worker threads',
    trit: GENERATOR,
    kind: 'local',
    capabilities: { snapshot: true, branch: true, languages: ['javascript'], deterministic: true },
    ...here(),
    declared: {},
  },
  {
    id: 'gvisor',
    name: 'gVisor containers',
    summary: 'worlds of Python and shell as Linux processes under a kernel of their own',
    trit: GENERATOR,
    kind: 'local',
    capabilities: { snapshot: true, branch: true, languages: ['python', 'sh'] },
    ...here(),
    declared: {},
  },
  {
    id: 'microvm',
    name: 'Linux microVMs',
    summary: 'worlds of JavaScript, Python and shell as virtual machines: Firecracker or QEMU',
    trit: GENERATOR,
    kind: 'local',
    capabilities: { snapshot: true, branch: true, languages: ['javascript', 'python', 'sh'] },
    ...here(),
    // Firecracker's own.
    declared: { bootMs: '~125', overheadMb: '~5', vcpus: '1-32', isolation: 'KVM + seccomp' },
  },
  {
    id: 'evm',
    name: 'EVM states in anvil',
    summary: 'worlds of transactions and calls, from nothing or from a block of another chain',
    trit: GENERATOR,
    kind: 'local',
    capabilities: {
      snapshot: true,
      branch: true,
      languages: ['evm'],
      deterministic: true,
      origin: true,
    },
    ...here(),
    declared: {},
  },
  {
    id: 'grpo',
    name: 'Group-relative policy optimisation',
    summary: 'trains strategies over rollouts in branched worlds',
    trit: COORDINATOR,
    kind: 'local',
    capabilities: { training: true, rl: true, async: true },
    ...here(),
    declared: {},
  },
  {
    id: 'replay',
    name: 'Re-execution in another process',
    summary: 'does lanes again and names the first step that differs',
    trit: VALIDATOR,
    kind: 'local',
    capabilities: { verification: true, sampling: true },
    ...here(),
    declared: {},
  },
]

function here(): Pick<ProviderRow, 'apiEndpoint' | 'authMethod' | 'credentials'> {
  return { apiEndpoint: null, authMethod: null, credentials: [] }
}
