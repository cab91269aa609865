import { isLocalChain } from '../../sdk/networks.ts'
import type { Config } from '../config.ts'
import { type Follower, followChain, type FollowerOptions } from './follow.ts'

/** Blocks remembered, to tell how far a reorganisation goes back. */
const WINDOW_SIZE = 128
/** Blocks of history asked for at once. */
const RANGE_SIZE = 2_000
/** How long an endpoint may be behind before a chain is taken as rolled back, milliseconds; people do that to local ones. */
const LAG_PATIENCE_MS = 120_000
const LOCAL_LAG_PATIENCE_MS = 2_000

/** Follows the deployment's chain as the keeper's settings say. */
export function followDeployment(
  { finality }: Config,
  options: Omit<FollowerOptions, 'windowSize' | 'rangeSize' | 'finality' | 'lagPatienceMs'>,
): Follower {
  const isLocal = isLocalChain(options.deployment.chainId)
  return followChain({
    ...options,
    windowSize: WINDOW_SIZE,
    rangeSize: RANGE_SIZE,
    finality,
    lagPatienceMs: isLocal ? LOCAL_LAG_PATIENCE_MS : LAG_PATIENCE_MS,
  })
}
