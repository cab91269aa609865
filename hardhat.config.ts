import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import hardhatVerify from '@nomicfoundation/hardhat-verify'
import { configVariable, defineConfig } from 'hardhat/config'
import type { HardhatPlugin } from 'hardhat/types/plugins'
import { namedNetworks } from './sdk/networks.ts'

// `npm run coverage` builds instrumented contracts, which must not get among the artifacts.
const isCoverage = process.env['MULTIVERSE_COVERAGE'] !== undefined
const coverageFolders = isCoverage
  ? { artifacts: 'coverage/artifacts', cache: 'coverage/cache' }
  : {}

const solidityTests = {
  fuzz: { runs: 256 },
  // Tests deploy other projects' real bytecode from their npm packages.
  fsPermissions: {
    readFile: ['node_modules/@reality.eth/contracts/bytecode/RealityETH-3.2.bin'],
  },
}
const invariant = { failOnRevert: true }

const solc = {
  version: '0.8.37',
  // The compiler comes from npm, so a machine that reaches only the npm registry can build.
  path: fileURLToPath(import.meta.resolve('solc/soljson.js')),
}
/** All sources that make code; what they import is compiled along with them. */
const CODE = globSync('contracts/{*,oracles/*,mocks/*}.sol', { cwd: import.meta.dirname })

const target = { evmVersion: 'cancun', metadata: { bytecodeHash: 'none' } }

/** How contracts ship. */
function shipped() {
  return {
    ...solc,
    settings: { ...target, viaIR: true, optimizer: { enabled: true, runs: 1_000_000 } },
  }
}

/**
 * The tests deploy what they test through `vm.getCode`, as it ships. Their own code need not be fast: the legacy compiler
 * without its optimizer takes a twentieth of the time.
 */
const tests = { ...solc, settings: target }

function profile() {
  if (isCoverage) return { compilers: [shipped()] }
  // An object of its own is a compilation of its own: see deploy/sources.ts.
  const overrides = CODE.map((source) => [source, shipped()] as const)
  return { compilers: [tests], overrides: Object.fromEntries(overrides) }
}

/** By itself Hardhat leaves one processor idle, which on a machine of two is half of it. */
const onEveryProcessor: HardhatPlugin = {
  id: 'on-every-processor',
  hookHandlers: {
    solidity: async () => ({
      default: async () => ({
        build: (context, roots, options, next) =>
          next(context, roots, { ...options, concurrency: availableParallelism() }),
      }),
    }),
  },
}

export default defineConfig({
  plugins: [hardhatVerify, onEveryProcessor],
  paths: { tests: { solidity: 'test/contracts' }, ...coverageFolders },
  coverage: { skipFiles: ['contracts/mocks/**'] },
  // Verification compiles by the profile `production`, which by default would have settings of its own.
  solidity: { profiles: { default: profile(), production: profile() } },
  // Without accounts: `multiverse deploy` signs, Hardhat reads and verifies.
  networks: Object.fromEntries(
    namedNetworks().flatMap(({ name, chainId, rpcVariable }) =>
      rpcVariable === null
        ? []
        : [[name, { type: 'http' as const, chainId, url: configVariable(rpcVariable) }]],
    ),
  ),
  verify: { etherscan: { apiKey: configVariable('ETHERSCAN_API_KEY') } },
  test: {
    solidity: {
      profiles: {
        default: { ...solidityTests, invariant: { ...invariant, runs: 64, depth: 100 } },
        // Which lines are reached, not what holds: a few runs tell.
        coverage: { ...solidityTests, fuzz: { runs: 16 }, invariant },
        deep: { ...solidityTests, invariant: { ...invariant, runs: 512, depth: 300 } },
      },
    },
  },
})
