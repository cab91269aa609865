import { fileURLToPath } from 'node:url'
import hardhatKeystore from '@nomicfoundation/hardhat-keystore'
import hardhatViem from '@nomicfoundation/hardhat-viem'
import { configVariable, defineConfig, task } from 'hardhat/config'
import { ArgumentType } from 'hardhat/types/arguments'

const solidityTests = {
  fuzz: { runs: 256 },
  // Tests deploy other projects' real bytecode from their npm packages.
  fsPermissions: {
    readFile: ['node_modules/@reality.eth/contracts/bytecode/RealityETH-3.2.bin'],
  },
}
const invariant = { failOnRevert: true }

export default defineConfig({
  plugins: [hardhatViem, hardhatKeystore],
  tasks: [
    task('deploy-multiverse', 'Deploys the multiverse to --network, once, and prints the record')
      .addOption({
        name: 'data',
        description: 'Folder of the record and the journal (default .data/networks/NETWORK)',
        type: ArgumentType.STRING,
        defaultValue: '',
      })
      .setAction(() => import('./deploy/task.ts'))
      .build(),
  ],
  paths: { tests: { solidity: 'test/contracts' } },
  solidity: {
    // The compiler comes from npm, so a machine that reaches only the npm registry can build.
    version: '0.8.37',
    path: fileURLToPath(import.meta.resolve('solc/soljson.js')),
    settings: {
      evmVersion: 'cancun',
      viaIR: true,
      optimizer: { enabled: true, runs: 1_000_000 },
      metadata: { bytecodeHash: 'none' },
    },
  },
  networks: {
    sepolia: {
      type: 'http',
      chainType: 'l1',
      url: configVariable('SEPOLIA_RPC_URL'),
      accounts: [configVariable('SEPOLIA_PRIVATE_KEY')],
    },
  },
  test: {
    solidity: {
      profiles: {
        default: { ...solidityTests, invariant: { ...invariant, runs: 64, depth: 100 } },
        deep: { ...solidityTests, invariant: { ...invariant, runs: 512, depth: 300 } },
      },
    },
  },
})
