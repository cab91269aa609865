import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createReadClient, createWriteClient } from '../../cli/context.ts'
import { runScenario } from '../../cli/scenario/run.ts'
import { createKeeperApi } from '../../cli/services.ts'
import { freePorts } from '../../cli/stack/ports.ts'
import { type Stack, startStack } from '../../cli/stack/stack.ts'
import { localAccount } from '../../cli/wallets.ts'
import { keeperSocketPath } from '../../sdk/node/keeperSocket.ts'
import { type Bench, figure, type Row, row, time } from '../harness.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

/** Scenarios in the running stack; each is one push-down into a new partition, and its report. */
const SCENARIOS = 12
const DEMOS = 3

export const bench: Bench = {
  name: 'laptop',
  summary: 'the whole multiverse on this machine: demo, push-down to report, bootstrap, memory',
  async run({ note }) {
    note('bootstrap of an installed clone')
    const bootstrap = await time(
      () => run(process.execPath, ['scripts/bootstrap.mjs', '--compile-only'], { cwd: root }),
      { warmup: 1, repetitions: 5 },
    )
    note(`${DEMOS} whole demos`)
    const demo = await time(
      () => run(process.execPath, ['cli/main.ts', 'demo', '--json'], { cwd: root }),
      { warmup: 0, repetitions: DEMOS },
    )
    note(`${SCENARIOS} scenarios in one stack`)
    return [
      row('second run of the bootstrap', bootstrap, 'ms', { op: '<=', value: 2_000 }),
      row('npm run demo, installed', demo, 'ms', { op: '<=', value: 45_000 }),
      ...(await inOneStack()),
    ]
  },
}

async function inOneStack(): Promise<Row[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'multiverse-bench-'))
  try {
    const started = performance.now()
    const stack = await startStack({
      dataDir,
      ports: freePorts,
      fresh: false,
      say: () => {},
      signal: new AbortController().signal,
    })
    try {
      await stack.ready
      const readyMs = performance.now() - started
      const atRest = await memory(stack)
      const { report, branches, execute, verify, lanes } = await scenarios(stack)
      const after = await memory(stack)
      return [
        figure('stack started and ready', readyMs, 'ms'),
        row('block of a push-down to mined report', report, 'ms', { op: '<=', value: 1_000 }),
        row('snapshot and three branches', branches, 'ms', { op: '<=', value: 25 }),
        row('three programs run', execute, 'ms'),
        row('three lanes verified', verify, 'ms'),
        row('three lanes branched, run and verified', lanes, 'ms', { op: '<=', value: 150 }),
        ...[...atRest].map(([name, mib]) => figure(`memory of ${name}, at rest`, mib, 'MiB')),
        ...[...after].map(([name, mib]) => figure(`memory of ${name}, after`, mib, 'MiB')),
      ]
    } finally {
      await stack.stop()
    }
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function scenarios(stack: Stack) {
  const { deployment, record, dataDir, signal } = stack
  const samples = {
    report: [] as number[],
    branches: [] as number[],
    execute: [] as number[],
    verify: [] as number[],
    lanes: [] as number[],
  }
  // The first one meets cold code paths and is not counted.
  for (let turn = 0; turn <= SCENARIOS; turn++) {
    const { partition } = await runScenario(
      {
        ledger: { client: createReadClient(record.urls.rpc), deployment },
        wallet: (name) => createWriteClient(record.urls.rpc, localAccount(name)),
        keeper: createKeeperApi(() => keeperSocketPath(dataDir)),
        say: () => {},
        signal,
      },
      { degree: 1, outcome: 'optimal' },
    )
    const { blockToReportMs, snapshotMs, branchMs, executeMs, verifyMs } = partition.timings
    if (turn === 0) continue
    samples.report.push(blockToReportMs!)
    samples.branches.push(snapshotMs! + branchMs!)
    samples.execute.push(executeMs!)
    samples.verify.push(verifyMs!)
    samples.lanes.push(branchMs! + executeMs! + verifyMs!)
  }
  return samples
}

/** Resident memory of each process of the stack in MiB, where the system tells. */
async function memory({ record }: Stack): Promise<Map<string, number>> {
  const sizes = new Map<string, number>()
  for (const { name, pid } of record.processes) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    if (kib !== undefined) sizes.set(name, Number(kib) / 1024)
  }
  return sizes
}
