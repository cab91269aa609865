import { fileURLToPath } from 'node:url'
import hardhatVerify from '@nomicfoundation/hardhat-verify'
import { configVariable, defineConfig } from 'hardhat/config'
import { SOURCES } from './deploy/sources.ts'
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

function compiler() {
  return {
    version: '0.8.37',
    // The compiler comes from npm, so a machine that reaches only the npm registry can build.
    path: fileURLToPath(import.meta.resolve('solc/soljson.js')),
    settings: {
      evmVersion: 'cancun',
      viaIR: true,
      optimizer: { enabled: true, runs: 1_000_000 },
      metadata: { bytecodeHash: 'none' },
    },
  }
}

function profile() {
  return {
    compilers: [compiler()],
    // An object of its own is a compilation of its own: see deploy/sources.ts.
    overrides: isCoverage
      ? {}
      : Object.fromEntries(Object.values(SOURCES).map((source) => [source, compiler()])),
  }
}

export default defineConfig({
  plugins: [hardhatVerify],
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
