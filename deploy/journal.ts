import { readFile, rm } from 'node:fs/promises'
import type { Address } from 'viem'
import { z } from 'zod'
import { MultiverseError } from '../sdk/errors.ts'
import { writeJson } from '../sdk/node/files.ts'
import type { Start } from './identity.ts'

const hex = z.templateLiteral(['0x', z.string()])
const wei = z.string().regex(/^\d+$/).transform(BigInt)

const entrySchema = z.strictObject({
  step: z.string(),
  sender: hex,
  nonce: z.int().nonnegative(),
  transactions: z.array(z.strictObject({ hash: hex, raw: hex, gas: wei, limit: wei, tip: wei })),
})
const journalSchema = z.strictObject({
  version: z.literal(1),
  start: z.strictObject({ chainId: z.int(), startBlock: z.int(), startBlockHash: hex }),
  entries: z.array(entrySchema),
})
type Entry = z.infer<typeof entrySchema>

/** A signed transaction: one of perhaps several with the same number, of which at most one is ever mined. Wei. */
export type SentTransaction = Entry['transactions'][number]

/** What a deployment that is under way has sent. On disk before anything is. */
export type Journal = {
  start: Start
  find: (step: string, sender: Address) => Entry | undefined
  add: (step: string, sender: Address, nonce: number, sent: SentTransaction) => Promise<void>
  remove: (step: string) => Promise<void>
  /** Everything stands and is on record. */
  close: () => Promise<void>
}

/**
 * Opens the journal at `path`; `begin` tells where a new deployment starts.
 * @throws DEPLOYMENT_INVALID when the file cannot be understood
 */
export async function openJournal(path: string, begin: () => Promise<Start>): Promise<Journal> {
  const found = await read(path)
  const start = found?.start ?? (await begin())
  let entries = found?.entries ?? []
  const write = () =>
    writeJson(path, {
      version: 1,
      start,
      entries: entries.map((entry) => ({
        ...entry,
        transactions: entry.transactions.map(({ gas, limit, tip, ...rest }) => ({
          ...rest,
          gas: `${gas}`,
          limit: `${limit}`,
          tip: `${tip}`,
        })),
      })),
    })
  if (found === undefined) await write()
  return {
    start,
    find: (step, sender) => entries.find((entry) => entry.step === step && entry.sender === sender),
    async add(step, sender, nonce, sent) {
      const earlier = entries.find(
        (entry) => entry.step === step && entry.sender === sender && entry.nonce === nonce,
      )
      const others = entries.filter((entry) => entry.step !== step)
      const transactions = [...(earlier?.transactions ?? []), sent]
      entries = [...others, { step, sender, nonce, transactions }]
      await write()
    },
    async remove(step) {
      entries = entries.filter((entry) => entry.step !== step)
      await write()
    },
    close: () => rm(path, { force: true }),
  }
}

async function read(path: string) {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    return journalSchema.parse(JSON.parse(text)) as {
      start: Start
      entries: Entry[]
    }
  } catch (cause) {
    throw new MultiverseError(
      'DEPLOYMENT_INVALID',
      `${path} is not a deployment's journal: remove it`,
      {
        cause,
      },
    )
  }
}
