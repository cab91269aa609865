/**
 * Where the contracts that are deployed are. Each is compiled by itself: together with others the compiler may number things
 * otherwise, and the code, and with it the address, must not depend on what else happens to be in a build.
 */
export const SOURCES = {
  Multiverse: 'contracts/Multiverse.sol',
  Worlds: 'contracts/Worlds.sol',
  MultiverseLens: 'contracts/MultiverseLens.sol',
  OptimisticOracle: 'contracts/oracles/OptimisticOracle.sol',
  CommitteeOracle: 'contracts/oracles/CommitteeOracle.sol',
  RealityOracle: 'contracts/oracles/RealityOracle.sol',
  PriceOracle: 'contracts/oracles/PriceOracle.sol',
  TestToken: 'contracts/mocks/TestToken.sol',
} as const
