import type { LocalAccount } from 'viem'
import { MultiverseError } from '../sdk/errors.ts'
import { createKeyring } from '../sdk/node/keys/keyring.ts'
import { openTerminalPrompt } from '../sdk/node/keys/prompt.ts'
import { SUPERVISED } from '../sdk/node/lifecycle.ts'

/**
 * Opens the account that the keeper signs with, by the rule of sdk/node/keys with KEEPER_ before its variables. Asks for a
 * passphrase only at a terminal, and never under a supervisor.
 * @throws NO_WALLET when no key is named, and the codes of the keyring
 */
export async function openKeeperAccount(
  env: Record<string, string | undefined>,
): Promise<LocalAccount> {
  const openPrompt = env[SUPERVISED] === '1' ? () => null : openTerminalPrompt
  const keyring = createKeyring({ env, prefix: 'KEEPER_', openPrompt })
  const source = await keyring.chosen()
  if (source === undefined)
    throw new MultiverseError('NO_WALLET', 'the environment names no key of the keeper')
  return keyring.open(source)
}
