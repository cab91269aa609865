import { randomUUID } from 'node:crypto'
import { type Deployment, deploymentSchema } from '../../sdk/deployment.ts'
import { MultiverseError } from '../../sdk/errors.ts'
import type { Database } from './database.ts'

/** Who a keeper is, for its journal. */
export type Identity = { keeperId: string; epoch: number }

/**
 * The identity kept in the books, made up at the first start.
 * @throws OTHER_DEPLOYMENT when the books are about another deployment
 */
export async function openIdentity(db: Database, deployment: Deployment): Promise<Identity> {
  const { query } = db
  await query(
    `insert into keeper.identity (keeper_id, epoch, deployment) values ($1, 1, $2) on conflict do nothing`,
    [randomUUID(), JSON.stringify(deployment)],
  )
  const [row] = await query<{ keeper_id: string; epoch: number; deployment: unknown }>(
    `select keeper_id, epoch, deployment from keeper.identity`,
  )
  const kept = deploymentSchema.parse(row!.deployment)
  if (identityOf(kept) !== identityOf(deployment))
    throw new MultiverseError(
      'OTHER_DEPLOYMENT',
      `the keeper's data is about ${identityOf(kept)}, the deployment is ${identityOf(deployment)}`,
    )
  return { keeperId: row!.keeper_id, epoch: row!.epoch }
}

function identityOf({ chainId, addresses, startBlock, startBlockHash }: Deployment): string {
  const multiverse = addresses.multiverse.toLowerCase()
  const worlds = addresses.worlds.toLowerCase()
  return `chain ${chainId}, ledger ${multiverse}, worlds ${worlds}, block ${startBlock} ${startBlockHash}`
}
