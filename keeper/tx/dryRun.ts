import { MultiverseError } from '../../sdk/errors.ts'
import type { Rpc } from '../chain/rpc.ts'
import type { Log } from '../log.ts'
import { simulate } from './call.ts'
import type { Sender } from './send.ts'

/**
 * A sender that signs and sends nothing. Each call is simulated, so that what would revert fails as it would have; what would
 * have been sent is logged, and `perform` rejects with DRY_RUN.
 */
export function createDryRun(sender: Sender, { rpc, log }: { rpc: Rpc; log: Log }): Sender {
  return {
    ...sender,
    async perform(purpose, call) {
      const done = await sender.performed(purpose)
      if (done) return done
      const { data, gas } = await simulate(rpc, sender.address, call)
      const fields = { purpose, to: call.to, function: call.functionName, args: call.args }
      log.info(
        { ...fields, value: call.value ?? 0n, gas, bytes: data.length / 2 - 1 },
        'tx.withheld',
      )
      throw new MultiverseError(
        'DRY_RUN',
        `${call.functionName} would have been called for ${purpose}: KEEPER_DRY_RUN is set`,
      )
    },
    tend: async () => {},
  }
}
