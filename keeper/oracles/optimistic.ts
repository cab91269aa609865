import { type Address, erc20Abi, type Hex, isAddressEqual } from 'viem'
import { readContract } from 'viem/actions'
import { optimisticOracleAbi, tokenAbi } from '../../sdk/abi.ts'
import { contractError } from '../../sdk/actions.ts'
import { isMultiverseError } from '../../sdk/errors.ts'
import { decodeTerms, type OracleTerms } from '../../sdk/terms.ts'
import { createKeyedLock } from '../jobs/lock.ts'
import type { Rest } from '../store/duties.ts'
import type { StakeStore } from '../store/stakes.ts'
import type { Call } from '../tx/send.ts'
import {
  type Asked,
  LEDGER_ERRORS,
  type Next,
  rest,
  type Serve,
  type ServeOptions,
} from './context.ts'
import type { Look } from './decision.ts'
import { type Game, type GamePlan, planGame } from './game.ts'

/** With a token's errors, which a bond may fail by. */
const abi = [
  ...optimisticOracleAbi,
  ...LEDGER_ERRORS,
  ...tokenAbi.filter(({ type }) => type === 'error'),
] as const

/** A bond that cannot be put up now is tried again after so many seconds. */
const TRY_AGAIN_S = 30

/** Plays optimistic games: proposes, defends what it can work out again, settles. Claims what it won when it is over. */
export type OptimisticDuty = {
  serve: Serve
  /** The question has its answer: takes what the game left to the keeper. */
  claim: (oracle: Address, question: Hex) => Promise<void>
}

export function createOptimisticDuty(
  options: ServeOptions & { stakes: StakeStore },
): OptimisticDuty {
  const { rpc, sender, config, stakes, log } = options
  /** An allowance is for one bond at a time. */
  const locked = createKeyedLock()

  async function serve(asked: Asked): Promise<Next> {
    const { question, key } = asked
    const rules = { ...decodeTerms('optimistic', asked.terms), deadline: key.deadline }
    const at = { address: asked.oracle, abi: optimisticOracleAbi, args: [question] } as const
    const [state, [isFinal]] = await Promise.all([
      readContract(rpc, { ...at, functionName: 'games' }),
      readContract(rpc, { ...at, functionName: 'verdict' }),
    ]).catch(reject)
    const game: Game | null = state.since === 0n ? null : state
    const plays = config.duties.has('propose')
    const look = plays ? await options.decide(asked) : null
    const decision = look?.kind === 'decided' ? look.decision : null
    // What nobody contradicts need not be worked out again.
    const isContested = game !== null && decision !== null && game.outcome !== decision.outcome
    const conviction = decision && {
      outcome: decision.outcome,
      isReproducible:
        game === null || isContested ? await options.isReproducible(asked, decision) : true,
    }
    const plan = planGame(BigInt(asked.now), rules, game, isFinal, conviction)
    if (plan.kind === 'settle') return settle(asked)
    if (plan.kind === 'wait') return { kind: 'rest', rest: restOf(plan, game, look) }
    const { outcome, bond } = plan
    const { evidenceHash } = decision!
    return plan.kind === 'propose'
      ? putUp(asked, rules, plan, plan.spare, 'propose', [
          key,
          asked.terms,
          outcome,
          evidenceHash,
          bond,
        ])
      : putUp(asked, rules, plan, 0n, `dispute:${game!.outcome}`, [
          question,
          outcome,
          evidenceHash,
          bond,
        ])
  }

  async function settle({ oracle, question, key, terms }: Asked): Promise<Next> {
    if (!config.duties.has('settle')) return rest('SETTLE_OFF', 'settling is not among its duties')
    const call: Call = { to: oracle, abi, functionName: 'settle', args: [key, terms, '0x'] }
    await sender.perform(`settle:${question}`, call)
    return rest('SETTLED', 'told the ledger')
  }

  /** Puts a bond up for an answer, within the stake. */
  async function putUp(
    { question, oracle, now }: Asked,
    { bondToken: token }: OracleTerms['optimistic'],
    { bond, outcome }: { bond: bigint; outcome: number },
    spare: bigint,
    move: string,
    args: readonly unknown[],
  ): Promise<Next> {
    const [, limit] = [...config.stakes].find(([each]) => isAddressEqual(each, token)) ?? []
    if (limit === undefined) return rest('BOND_TOKEN_REFUSED', `no stake is configured in ${token}`)
    return locked(token, async () => {
      const stake = { question, token, outcome, bond }
      if (!(await stakes.reserve(stake, limit, spare)))
        return rest(
          'STAKE_LIMIT',
          `a bond of ${bond} with ${spare} to spare would exceed the stake of ${limit} in ${token}`,
          now + TRY_AGAIN_S,
        )
      const [name] = move.split(':')
      const purpose = `${move}:${question}:${bond}`
      try {
        if ((await sender.performed(purpose)) === null) await allow(token, oracle, bond, purpose)
        const { tx } = await sender.perform(purpose, { to: oracle, abi, functionName: name!, args })
        log.info({ question, outcome, bond, tx }, `answer.${name}d`)
        return { kind: 'again' }
      } catch (error) {
        if (!isMultiverseError(error) || error.isRetryable) throw error
        // It was refused before it was sent: somebody moved first, or there is nothing to put up.
        await stakes.release(question, bond)
        log.warn(
          { question, outcome, bond, code: error.code, error: error.message },
          'bond.refused',
        )
        return rest(error.code, error.message, now + TRY_AGAIN_S)
      }
    })
  }

  /** Allows the oracle to take exactly this bond. */
  async function allow(token: Address, oracle: Address, bond: bigint, purpose: string) {
    const allowance = () =>
      readContract(rpc, {
        address: token,
        abi: erc20Abi,
        functionName: 'allowance',
        args: [sender.address, oracle],
      }).catch(reject)
    // An earlier allowance may have gone to another bond when the process was killed between the two.
    for (let nth = 1; (await allowance()) < bond; nth++)
      await sender.perform(`approve:${purpose}:${nth}`, {
        to: token,
        abi: tokenAbi,
        functionName: 'approve',
        args: [oracle, bond],
      })
  }

  async function claim(oracle: Address, question: Hex): Promise<void> {
    if (!(await stakes.has(question))) return
    const purpose = `claim:${question}`
    if ((await sender.performed(purpose)) === null) {
      const amount = await readContract(rpc, {
        address: oracle,
        abi: optimisticOracleAbi,
        functionName: 'claimable',
        args: [question, sender.address],
      }).catch(reject)
      if (amount === 0n) return stakes.close(question, 'lost')
      const args = [question, sender.address]
      const { tx } = await sender.perform(purpose, { to: oracle, abi, functionName: 'claim', args })
      log.info({ question, amount, tx }, 'bonds.claimed')
    }
    await stakes.close(question, 'returned')
  }

  return { serve, claim }
}

/** Until when a game is left alone, and why: something may become due in it, or be found out about it. */
function restOf(
  { code, until }: Extract<GamePlan, { kind: 'wait' }>,
  game: Game | null,
  look: Look | null,
): Rest {
  const times = [until === null ? null : Number(until)]
  let message = game && `outcome ${game.outcome} stands with a bond of ${game.bond}`
  if (look?.kind === 'undecided') {
    times.push(look.until)
    message = `${look.code}: ${look.message}`
  }
  const known = times.filter((time) => time !== null)
  return {
    reason: { code, message: message ?? 'nobody has answered yet' },
    time: known.length === 0 ? null : Math.min(...known),
    forPipeline: look?.kind === 'undecided' && look.code === 'PIPELINE_PENDING',
  }
}

/** A contract that reverts is not an endpoint that fails. */
function reject(error: unknown): never {
  throw contractError(error)
}
