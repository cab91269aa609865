import { isAddressEqual } from 'viem'
import { signTypedData } from 'viem/actions'
import { getQuestion } from '../../sdk/actions.ts'
import { isMultiverseError, MultiverseError } from '../../sdk/errors.ts'
import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import type { SignOutput } from '../../sdk/output.ts'
import { areTermsOf, decodeTerms, oracleAddress } from '../../sdk/terms.ts'
import { verdictTypedData } from '../../sdk/verdict.ts'
import { type CommonOptions, openContext } from '../context.ts'
import { plain, type Result, table } from '../output.ts'
import { resolveOutcome, resolveQuestion } from '../path.ts'
import { createKeeperApi } from '../services.ts'

export type SignOptions = CommonOptions & { question: string; outcome: string }

/**
 * Signs what a committee's member holds to be the answer, with the member's own wallet, and hands it to the keeper of the data
 * folder, which submits it with those of others. Without a keeper the signature is shown, to be given to one.
 * @throws NOT_A_COMMITTEE, TERMS_UNKNOWN, NOT_A_MEMBER
 */
export async function signVerb(options: SignOptions): Promise<Result<SignOutput>> {
  const { catalog, client, deployment, dataDir, ...context } = await openContext(options)
  const question = await resolveQuestion(options.question, catalog)
  const outcome = await resolveOutcome(question, options.outcome, catalog)
  const { multiverse } = deployment.addresses
  const { oracle, deadline } = await getQuestion(client, { multiverse, question })
  const committee = oracleAddress(deployment, 'committee')
  if (committee === undefined || !isAddressEqual(oracle, committee))
    throw new MultiverseError(
      'NOT_A_COMMITTEE',
      `the oracle of question ${question} is ${oracle}, which is no committee: see multiverse resolve`,
    )
  const loaded = await catalog.spec(question)
  const terms = loaded?.spec.terms
  const key = loaded && { outcomes: loaded.labels.length, deadline, specHash: loaded.specHash }
  if (!key || terms === undefined || !areTermsOf(question, { oracle, ...key }, terms))
    throw new MultiverseError(
      'TERMS_UNKNOWN',
      `no spec that the chain holds names the committee of question ${question}`,
    )
  const { members, threshold } = decodeTerms('committee', terms)
  const signer = await context.walletAddress()
  if (!members.some((member) => isAddressEqual(member, signer)))
    throw new MultiverseError(
      'NOT_A_MEMBER',
      `${signer} is not of the committee of question ${question}: ${members.join(', ')}`,
    )
  const survivors = 1n << BigInt(outcome)
  const wallet = await context.wallet()
  const signature = await signTypedData(wallet, {
    account: wallet.account,
    ...verdictTypedData({ chainId: deployment.chainId, oracle }, { question, survivors }),
  })
  const verdict = { question, signer, survivors: `${survivors}`, signature }
  const known = await createKeeperApi(() => keeperSocketPath(dataDir))
    .verdict(verdict)
    .catch((error: unknown) => {
      if (isMultiverseError(error, 'NO_KEEPER')) return null
      throw error
    })
  const label = loaded.labels[outcome] ?? null
  return {
    json: { ...verdict, outcome, label, threshold: Number(threshold), known },
    text: table([
      ['question', question],
      ['answer', plain(label ?? `${outcome}`)],
      ['signed by', signer],
      ['signature', signature],
      [
        'keeper',
        known === null
          ? 'none runs here: give it the signature'
          : `has ${known} of ${threshold} signatures`,
      ],
    ]),
  }
}
