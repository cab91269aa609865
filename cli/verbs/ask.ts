import { readFile } from 'node:fs/promises'
import { type Hex, zeroHash } from 'viem'
import { getBlock } from 'viem/actions'
import { ask } from '../../sdk/actions.ts'
import { MultiverseError, oneLine } from '../../sdk/errors.ts'
import { questionId } from '../../sdk/ids.ts'
import { parseSpec, specDataUri } from '../../sdk/spec.ts'
import type { AskOutput } from '../../sdk/output.ts'
import { type CommonOptions, openContext } from '../context.ts'
import { type Result, table } from '../output.ts'
import { shortId } from '../path.ts'
import { parseDeadline } from '../values.ts'
import { nameOf } from '../wallets.ts'

export type AskOptions = CommonOptions & {
  spec: string
  deadline: string
  oracle: string
  terms?: string
}

/** Asks a question about a spec and publishes the spec with it. */
export async function askVerb(options: AskOptions): Promise<Result<AskOutput>> {
  const { json, labels, specHash } = parseSpec(await readText(options.spec))
  const context = await openContext(options)
  const { deployment, isLocal } = context
  const { timestamp } = await getBlock(context.client)
  const terms = {
    oracle: context.address(options.oracle),
    outcomes: labels.length,
    deadline: parseDeadline(options.deadline, timestamp),
    specHash,
    termsHash: (options.terms ?? zeroHash) as Hex,
  }
  const question = questionId(terms)
  const wallet = await context.wallet()
  const { hash, receipt } = await ask(wallet, {
    multiverse: deployment.addresses.multiverse,
    uri: specDataUri(json),
    ...terms,
  })
  const deadline = new Date(Number(terms.deadline) * 1000).toISOString()
  return {
    json: {
      question,
      oracle: terms.oracle,
      outcomes: terms.outcomes,
      labels,
      deadline: Number(terms.deadline),
      specHash,
      termsHash: terms.termsHash,
      tx: hash,
      block: Number(receipt.blockNumber),
    },
    text: table([
      ['question', `${question}  (${shortId(question)} will do)`],
      ['outcomes', labels.join(', ')],
      ['oracle', nameOf(terms.oracle, isLocal)],
      ['deadline', deadline],
      ['tx', hash],
    ]),
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new MultiverseError('SPEC_NOT_FOUND', `${path}: ${oneLine(cause)}`, { cause })
  }
}
