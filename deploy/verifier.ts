// Hardhat's source verification as a process: takes one job over its channel, answers for each contract and service, ends.
// SOURCIFY_API_URL and ETHERSCAN_API_URL name other servers than the public ones.
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type VerifyContractArgs, verifyContract } from '@nomicfoundation/hardhat-verify/verify'
import {
  createHardhatRuntimeEnvironment,
  importUserConfig,
  resolveHardhatConfigPath,
} from 'hardhat/hre'
import { oneLine } from '../sdk/errors.ts'
import type { SourceVerification, VerifyJob } from './verify.ts'

const NETWORK = 'verified'
const root = fileURLToPath(new URL('..', import.meta.url))

const [job] = (await once(process, 'message')) as [VerifyJob]
const sourcifyUrl = process.env['SOURCIFY_API_URL']
const etherscanUrl = process.env['ETHERSCAN_API_URL']
const apiKey = process.env['ETHERSCAN_API_KEY']

const hre = await createHardhatRuntimeEnvironment(
  {
    ...(await importUserConfig(await resolveHardhatConfigPath())),
    networks: { [NETWORK]: { type: 'http', chainId: job.chainId, url: job.rpcUrl } },
    ...(job.explorerUrl !== null || etherscanUrl !== undefined
      ? { chainDescriptors: { [job.chainId]: descriptor(job) } }
      : {}),
    verify: {
      ...(sourcifyUrl ? { sourcify: { apiUrl: sourcifyUrl } } : {}),
      ...(apiKey ? { etherscan: { apiKey } } : {}),
    },
  },
  { network: NETWORK },
  root,
)

for (const service of job.services)
  for (const { name, source, address, args } of job.contracts) {
    const answer = await verifyOne({
      address,
      constructorArgs: args,
      contract: `${source}:${name}`,
      provider: service,
    })
    const message: SourceVerification = { service, contract: name, ...answer }
    await new Promise((resolve) => process.send!(message, resolve))
  }
process.disconnect()

async function verifyOne(
  args: VerifyContractArgs,
): Promise<Pick<SourceVerification, 'ok' | 'message'>> {
  try {
    await verifyContract(args, hre)
    return { ok: true, message: 'verified' }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    if (/already (been )?verified/i.test(reason)) return { ok: true, message: 'verified' }
    return {
      ok: false,
      message: reason.includes('\n') ? reason.replaceAll(/\s+/g, ' ').trim() : oneLine(error),
    }
  }
}

function descriptor({ title, explorerUrl }: VerifyJob) {
  return {
    name: title,
    blockExplorers: {
      etherscan: {
        name: 'Etherscan',
        url: explorerUrl ?? etherscanUrl ?? '',
        ...(etherscanUrl ? { apiUrl: etherscanUrl } : {}),
      },
    },
  }
}
