import {
  type Address,
  encodeAbiParameters,
  getAbiItem,
  getAddress,
  type Hex,
  isAddressEqual,
  type LocalAccount,
} from 'viem'
import { verifyTypedData } from 'viem/actions'
import { z } from 'zod'
import { committeeOracleAbi } from '../../sdk/abi.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { decodeTerms, type OracleTerms } from '../../sdk/terms.ts'
import { verdictTypedData } from '../../sdk/verdict.ts'
import { rpcError } from '../chain/rpc.ts'
import { fetchGuarded } from '../fetch.ts'
import { errorFields } from '../log.ts'
import { isDatabaseError } from '../store/faults.ts'
import type { Verdict, VerdictStore } from '../store/verdicts.ts'
import {
  type Asked,
  LEDGER_ERRORS,
  type Next,
  rest,
  type Serve,
  type ServeOptions,
} from './context.ts'

/** Other members are asked again after so many seconds. */
const COLLECT_AGAIN_S = 15
const PEER_TIMEOUT_MS = 5_000
const MAX_PEER_BYTES = 65_536

const hex = z.templateLiteral(['0x', z.string().regex(/^[0-9a-fA-F]*$/)])
/** What a keeper serves at `/verdicts/QUESTION`. */
const verdictsSchema = z.object({
  verdicts: z
    .array(
      z.object({
        question: hex,
        signer: hex.refine((text) => text.length === 42),
        survivors: z.string().regex(/^\d{1,78}$/),
        signature: hex,
      }),
    )
    .max(256),
})

export type CommitteeOptions = ServeOptions & {
  account: LocalAccount
  chainId: number
  verdicts: VerdictStore
}

export type CommitteeDuty = {
  serve: Serve
  /**
   * Keeps what a member signed, if it really did. Gives how many signatures are known then.
   * @throws NOT_A_MEMBER, NOT_SIGNED, ALREADY_ANSWERED
   */
  accept: (oracle: Address, terms: Hex, verdict: Verdict) => Promise<number>
}

/** Signs as a member what the keeper holds to be true, collects what others signed, and submits a majority's verdict. */
export function createCommitteeDuty(options: CommitteeOptions): CommitteeDuty {
  const { rpc, sender, config, account, chainId, verdicts, log } = options

  async function serve(asked: Asked): Promise<Next> {
    const { question, now } = asked
    const committee = decodeTerms('committee', asked.terms)
    const pending = await sign(asked, committee)
    await collect(asked, committee)
    const agreed = majority(await verdicts.of(question), committee)
    if (agreed !== null && config.duties.has('settle')) return settle(asked, agreed)
    const known = (await verdicts.of(question)).length
    if (pending !== null) return pending
    return rest(
      'VERDICT_PENDING',
      `${known} of ${committee.threshold} signatures`,
      now + COLLECT_AGAIN_S,
    )
  }

  /** Signs once and for all. Gives what it waits for when it cannot yet; null when it signed, or need not. */
  async function sign(asked: Asked, { members }: OracleTerms['committee']): Promise<Next | null> {
    const { question, now } = asked
    const isMember = members.some((member) => isAddressEqual(member, account.address))
    if (!isMember || !config.duties.has('sign')) return null
    const signed = await verdicts.of(question)
    if (signed.some(({ signer }) => isAddressEqual(signer, account.address))) return null
    const look = await options.decide(asked)
    if (look.kind === 'undecided')
      return {
        kind: 'rest',
        rest: {
          reason: { code: look.code, message: look.message },
          time: Math.min(look.until ?? Infinity, now + COLLECT_AGAIN_S),
          forPipeline: look.code === 'PIPELINE_PENDING',
        },
      }
    const survivors = 1n << BigInt(look.decision.outcome)
    const signature = await account.signTypedData(
      verdictTypedData({ chainId, oracle: asked.oracle }, { question, survivors }),
    )
    await verdicts.keep({ question, signer: account.address, survivors: `${survivors}`, signature })
    log.info({ question, outcome: look.decision.outcome }, 'verdict.signed')
    return null
  }

  /** Takes over what other members' keepers have, as far as it is really signed by members. */
  async function collect(asked: Asked, { members }: OracleTerms['committee']): Promise<void> {
    const known = await verdicts.of(asked.question)
    await Promise.all(
      config.peers.map(async (peer) => {
        try {
          for (const verdict of await ask(peer, asked.question)) {
            const isNew = !known.some(({ signer }) => isAddressEqual(signer, verdict.signer))
            const isMember = members.some((member) => isAddressEqual(member, verdict.signer))
            if (isNew && isMember && (await isSigned(asked.oracle, verdict)))
              await verdicts.keep(verdict)
          }
        } catch (error) {
          if (isDatabaseError(error)) throw error
          log.warn({ peer: URL.parse(peer)?.origin, ...errorFields(error) }, 'peer.failed')
        }
      }),
    )
  }

  /** By an account, or by a contract's own word (ERC-1271). */
  function isSigned(oracle: Address, { signer, survivors, signature, question }: Verdict) {
    const data = verdictTypedData({ chainId, oracle }, { question, survivors: BigInt(survivors) })
    return verifyTypedData(rpc, { address: signer, ...data, signature })
  }

  async function accept(oracle: Address, terms: Hex, verdict: Verdict): Promise<number> {
    const { question, signer, survivors } = verdict
    const { members } = decodeTerms('committee', terms)
    if (!members.some((member) => isAddressEqual(member, signer)))
      throw new MultiverseError(
        'NOT_A_MEMBER',
        `${signer} is not of the committee of question ${question}`,
      )
    const isTrue = await isSigned(oracle, verdict).catch((error: unknown) => {
      throw rpcError(error)
    })
    if (!isTrue)
      throw new MultiverseError('NOT_SIGNED', `${signer} did not sign ${survivors} of ${question}`)
    const stands = await verdicts.keep({ ...verdict, signer: getAddress(signer) })
    if (stands.survivors !== survivors)
      throw new MultiverseError(
        'ALREADY_ANSWERED',
        `${signer} signed ${stands.survivors} of question ${question} before`,
      )
    return (await verdicts.of(question)).length
  }

  async function settle(
    { oracle, question, key, terms, now }: Asked,
    agreed: readonly Verdict[],
  ): Promise<Next> {
    const proof = encodeAbiParameters(
      getAbiItem({ abi: committeeOracleAbi, name: 'decodeProof' }).outputs,
      [
        {
          survivors: BigInt(agreed[0]!.survivors),
          signers: agreed.map(({ signer }) => signer),
          signatures: agreed.map(({ signature }) => signature),
        },
      ],
    )
    try {
      await sender.perform(`settle:${question}`, {
        to: oracle,
        abi: [...committeeOracleAbi, ...LEDGER_ERRORS],
        functionName: 'settle',
        args: [key, terms, proof],
      })
      return rest('SETTLED', 'told the ledger')
    } catch (error) {
      if (!isMultiverseError(error) || error.isRetryable) throw error
      return rest(error.code, error.message, now + COLLECT_AGAIN_S)
    }
  }

  return { serve, accept }
}

/** What a peer's keeper has of a question. @throws SOURCE_UNREACHABLE, SOURCE_TOO_LARGE */
async function ask(peer: string, question: Hex): Promise<Verdict[]> {
  const url = `${peer.replace(/\/+$/, '')}/verdicts/${question}`
  // The operator chose it, wherever it is.
  const text = await fetchGuarded(url, {
    what: 'SOURCE',
    maxBytes: MAX_PEER_BYTES,
    timeoutMs: PEER_TIMEOUT_MS,
    allowHttp: true,
    isAllowed: () => true,
  })
  return verdictsSchema
    .parse(JSON.parse(text))
    .verdicts.filter((verdict) => verdict.question === question)
}

/** Verdicts that a threshold of members signed alike, in the order that the oracle wants; null when there are none. */
function majority(
  verdicts: readonly Verdict[],
  { members, threshold }: OracleTerms['committee'],
): Verdict[] | null {
  const ofMembers = verdicts.filter(({ signer }) =>
    members.some((member) => isAddressEqual(member, signer)),
  )
  for (const alike of Map.groupBy(ofMembers, ({ survivors }) => survivors).values())
    if (BigInt(alike.length) >= threshold)
      return alike.toSorted((a, b) => (BigInt(a.signer) < BigInt(b.signer) ? -1 : 1))
  return null
}
