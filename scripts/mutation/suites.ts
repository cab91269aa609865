import { createHash } from 'node:crypto'
import {
  type Artifact,
  type ArtifactId,
  CollectStackTraces,
  EdrContext,
  FsAccessPermission,
  L1_CHAIN_TYPE,
  l1SolidityTestRunnerFactory,
  type SolidityTestRunnerConfigArgs,
  type SuiteResult,
  TestStatus,
} from '@nomicfoundation/edr'
import { artifacts, config } from 'hardhat'
import type { Code } from './compiler.ts'

/**
 * Runs Hardhat's Solidity tests in this process, straight on its EVM, with some contracts' code replaced: the tests deploy
 * what they test through `vm.getCode`, so they need not be compiled again.
 */
export type Suites = {
  names: readonly string[]
  /** Changes with any test, contract or setting that tests run with. */
  hash: string
  /** Runs one suite. Gives the name of a test that failed, or undefined when all passed. */
  run: (suite: string, replaced: ReadonlyMap<string, Code>) => Promise<string | undefined>
}

/**
 * Random tests are given less than in `npm test`: a mutant that only many runs would find counts as survived. Loops that do not
 * end run into the limit on gas, which is some seconds' work.
 */
const RUNS = { fuzz: 16, invariant: 4 }
/** The walk of thousands of steps takes longer than all other tests together, by the actions that the invariants take too. */
const LEFT_OUT = '^test_walk_'
const GAS_LIMIT = 3_000_000_000n

/** Loads the tests as Hardhat last compiled them. */
export async function createSuites(): Promise<Suites> {
  const all = await loadArtifacts()
  const suites = new Map<string, ArtifactId>()
  for (const { id, contract } of all)
    if (isSuite(contract)) suites.set(`${id.source}:${id.name}`, id)

  const settings = runnerConfig()
  const context = new EdrContext()
  await context.registerSolidityTestRunnerFactory(L1_CHAIN_TYPE, l1SolidityTestRunnerFactory())

  return {
    names: [...suites.keys()],
    hash: createHash('sha256')
      .update(JSON.stringify([all, RUNS, settings.invariant, settings.fuzz], plain))
      .digest('hex')
      .slice(0, 32),
    async run(suite, replaced) {
      const id = suites.get(suite)
      if (id === undefined) throw new Error(`no suite ${suite}`)
      const { promise, resolve } = Promise.withResolvers<SuiteResult>()
      await context.runSolidityTests(
        L1_CHAIN_TYPE,
        all.map((artifact) => withCode(artifact, replaced)),
        [id],
        settings,
        { buildInfos: [], ignoreContracts: false },
        resolve,
      )
      // The suite's result may come after the run's.
      const { testResults } = await promise
      return testResults.find(({ status }) => status === TestStatus.Failure)?.name
    },
  }
}

const plain = (_key: string, value: unknown) =>
  typeof value === 'bigint' ? value.toString() : value

const isSuite = ({ abi, bytecode }: Artifact['contract']) =>
  bytecode !== '0x' && /"name":"(test|invariant)/.test(abi)

async function loadArtifacts(): Promise<Artifact[]> {
  const names = [...(await artifacts.getAllFullyQualifiedNames())].toSorted()
  return Promise.all(
    names.map(async (name) => {
      const artifact = await artifacts.readArtifact(name)
      return {
        id: {
          name: artifact.contractName,
          source: artifact.inputSourceName ?? artifact.sourceName,
          solcVersion: config.solidity.profiles['default']!.compilers[0]!.version,
        },
        contract: {
          abi: JSON.stringify(artifact.abi),
          bytecode: artifact.bytecode,
          linkReferences: {},
          deployedBytecode: artifact.deployedBytecode,
          deployedLinkReferences: {},
        },
      }
    }),
  )
}

function withCode(artifact: Artifact, replaced: ReadonlyMap<string, Code>): Artifact {
  const code = artifact.id.source.includes('/contracts/') && replaced.get(artifact.id.name)
  if (!code || artifact.id.source.includes('/test/')) return artifact
  const { creation, runtime } = code
  const contract = {
    ...artifact.contract,
    bytecode: `0x${creation}`,
    deployedBytecode: `0x${runtime}`,
  }
  return { ...artifact, contract }
}

function runnerConfig(): SolidityTestRunnerConfigArgs {
  const { fuzz, invariant, fsPermissions } = config.test.solidity.profiles['default']!
  return {
    projectRoot: config.paths.root,
    hardfork: 'osaka',
    gasLimit: GAS_LIMIT,
    excludeTestPattern: LEFT_OUT,
    fuzz: { ...fuzz, runs: RUNS.fuzz },
    invariant: { ...invariant, runs: RUNS.invariant, shrinkRunLimit: 0 },
    fsPermissions: (fsPermissions?.readFile ?? []).map((path) => ({
      access: FsAccessPermission.ReadFile,
      path,
    })),
    disableBlockGasLimit: true,
    disableTransactionGasCap: true,
    collectStackTraces: CollectStackTraces.OnFailure,
  }
}
