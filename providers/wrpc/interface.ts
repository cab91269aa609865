import type { Hex } from 'viem'
import type { Trit } from '../../sdk/gf3.ts'
import { hostCalls } from '../host/functions.ts'
import type {
  BranchOptions,
  Capabilities,
  CreateOptions,
  ExecuteOptions,
  ExecutionResult,
  HostCall,
  Instance,
  LinkConfig,
  OracleResult,
  Origin,
  Output,
  ProviderConfig,
  Rates,
  Snapshot,
  SnapshotOptions,
} from '../provider.ts'
import {
  bool,
  type Codec,
  type Declaration,
  enumeration,
  f64,
  type Fields,
  list,
  malformed,
  mapped,
  option,
  record,
  type Result,
  result,
  s8,
  string,
  toKebab,
  tuple,
  u32,
  u64,
  unit,
} from './codec.ts'
import { failure, type Failure, parseJson } from './failure.ts'
import { future, futureOf, streamOf } from './pending.ts'

/** The package and interface whose functions are called. */
export const INSTANCE = 'multiverse:world-runtime/provider@0.1.0'

/** Without the names whose value is null: what is absent on the wire is absent in the object. */
type Present<values> = { [name in keyof values]: Exclude<values[name], null> }
function present<values extends object>(values: values): Partial<Present<values>> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== null),
  ) as Partial<Present<values>>
}

const hex = mapped(
  string,
  (value: Hex) => value,
  (value) => value as Hex,
)
const pairs = mapped(
  list(tuple(string, string)),
  (value: Record<string, string>) => Object.entries(value),
  (value) => Object.fromEntries(value),
)
const json = mapped(string, (value: unknown) => JSON.stringify(value), parseJson)
const calls = mapped(
  string,
  (value: readonly HostCall[]) => JSON.stringify(value),
  (text): readonly HostCall[] => {
    const parsed = hostCalls.safeParse(parseJson(text))
    if (!parsed.success) throw malformed('calls of functions make no sense', parsed.error)
    return parsed.data
  },
)
const count = mapped(
  u64,
  (value: number) => BigInt(value),
  (value) => Number(value),
)

const limits = record('limits', { timeMs: option(f64), memoryBytes: option(f64) })

const rates = record('rates', { cpuShare: option(f64), ioBytesPerS: option(f64) })

const config: Codec<ProviderConfig> = mapped(
  record('provider-config', { dataDir: string, limits: option(limits), rates: option(rates) }),
  ({ dataDir, limits: given, rates: held }) => ({
    dataDir,
    rates:
      held === undefined
        ? null
        : { cpuShare: held.cpuShare ?? null, ioBytesPerS: held.ioBytesPerS ?? null },
    limits:
      given === undefined
        ? null
        : { timeMs: given.timeMs ?? null, memoryBytes: given.memoryBytes ?? null },
  }),
  ({ dataDir, limits: given, rates: held }) => ({
    dataDir,
    ...(given === null ? {} : { limits: present(given) }),
    ...(held === null ? {} : { rates: present(held) }),
  }),
)

const link: Codec<LinkConfig> = record('link-config', {
  source: string,
  target: string,
  name: string,
  config: pairs,
})

const origin: Codec<Origin> = record('origin', { url: string, blockNumber: count, blockHash: hex })

/** Options without what cannot travel: a signal and a deadline become the call's `cancel`. */
type Sent<options> = Omit<options, 'signal' | 'deadlineMs' | 'onOutput'>
/** Who listens to the output says that it does, and gets a stream of it. */
type SentExecute = Sent<ExecuteOptions> & { isHeard?: boolean }

const createOptions: Codec<Sent<CreateOptions>> = mapped(
  record('create-options', {
    key: option(string),
    seed: u64,
    component: option(string),
    origin: option(origin),
  }),
  ({ key, seed, component, origin }) => ({
    key: key ?? null,
    seed,
    component: component ?? null,
    origin: origin ?? null,
  }),
  ({ seed, ...rest }) => ({ seed, ...present(rest) }),
)

const snapshotOptions: Codec<Sent<SnapshotOptions>> = mapped(
  record('snapshot-options', { key: option(string) }),
  ({ key }) => ({ key: key ?? null }),
  present,
)

const branchOptions: Codec<Sent<BranchOptions>> = mapped(
  record('branch-options', { key: option(string), component: option(string) }),
  ({ key, component }) => ({ key: key ?? null, component: component ?? null }),
  present,
)

const executeOptions: Codec<SentExecute> = mapped(
  record('execute-options', {
    timeMs: option(f64),
    memoryBytes: option(f64),
    cpuShare: option(f64),
    ioBytesPerS: option(f64),
    component: option(string),
    answers: option(calls),
    isHeard: option(bool),
  }),
  ({ timeMs, memoryBytes, cpuShare, ioBytesPerS, component, answers, isHeard }) => ({
    timeMs: timeMs ?? null,
    memoryBytes: memoryBytes ?? null,
    cpuShare: cpuShare ?? null,
    ioBytesPerS: ioBytesPerS ?? null,
    component: component ?? null,
    answers: answers ?? null,
    isHeard: isHeard ?? null,
  }),
  present,
)

const instance: Codec<Instance> = record('instance', {
  id: string,
  providerId: string,
  snapshotId: option(string),
  bootMs: f64,
})

const snapshot: Codec<Snapshot> = record('snapshot-info', {
  id: string,
  stateRoot: hex,
  bytes: count,
  tookMs: f64,
})

const execution: Codec<ExecutionResult> = mapped(
  record('execution-result', {
    value: json,
    stdout: string,
    stderr: string,
    exitCode: u32,
    stateRoot: hex,
    tookMs: f64,
    calls: option(calls),
  }),
  (value) => ({ ...value, calls: value.calls ?? null }),
  ({ calls: made, ...rest }) => ({ ...rest, ...(made === null ? {} : { calls: [...made] }) }),
)

const output: Codec<Output> = mapped(
  record('output', {
    source: enumeration<Output['stream']>('output-source', ['stdout', 'stderr']),
    text: string,
  }),
  ({ stream, text }) => ({ source: stream, text }),
  ({ source, text }) => ({ stream: source, text }),
)

/** A piece of the stream of what a program writes. */
export const outputs: Codec<Output[]> = list(output)

const oracle: Codec<OracleResult> = record('oracle-result', { winner: string })

const rate = mapped(
  string,
  (value: keyof Rates) => value,
  (value) => value as keyof Rates,
)

const capabilities: Codec<Capabilities> = mapped(
  record('capabilities', {
    snapshot: bool,
    branch: bool,
    execute: bool,
    merge: bool,
    languages: list(string),
    isolation: string,
    deterministic: bool,
    origin: option(bool),
    rates: option(list(rate)),
    functions: option(list(string)),
  }),
  (value) => ({
    ...value,
    origin: value.origin ?? null,
    rates: value.rates ?? null,
    functions: value.functions ?? null,
  }),
  ({ origin: canStart, rates: held, functions, ...rest }) => ({
    ...rest,
    ...present({ origin: canStart, rates: held, functions }),
  }),
)

/** What a provider says of itself without being asked. */
export type Description = { id: string; name: string; trit: Trit; capabilities: Capabilities }

const description: Codec<Description> = record('description', {
  id: string,
  name: string,
  trit: mapped(
    s8,
    (value: Trit) => value,
    (value) => value as Trit,
  ),
  capabilities,
})

/** A function of the interface. One that can be cancelled has a last parameter for it: a future. */
type Function<parameters, value> = {
  parameters: Codec<parameters>
  result: Codec<Result<value, Failure>>
  /** The place of the future among the parameters; null when there is none. */
  cancelAt: number | null
  /** Where the result stands among what is answered. */
  resultAt: readonly number[]
  /** One that tells what a program writes has a stream for it beside its result: where; null when it has none. */
  outputAt: readonly number[] | null
  /** What is answered at once, at the empty path, when the result comes later. */
  head: Codec<null> | null
  wit: string
  declares: readonly Declaration[]
}

function define<parameters extends object, value>(
  fields: Fields<parameters>,
  value: Codec<value>,
  { isCancellable = false, isHeard = false } = {},
): Function<parameters, value> {
  const all = isCancellable ? { ...fields, cancel: future } : fields
  const parameters = record('parameters', all)
  const entries = Object.entries<Codec<unknown>>(all as unknown as Record<string, Codec<unknown>>)
  const answer = result(value, failure)
  const head = isHeard ? running(answer) : null
  const { wit: answered, declares } = head ?? answer
  const wit = entries.map(([name, codec]) => `${toKebab(name)}: ${codec.wit}`).join(', ')
  return {
    parameters,
    result: answer,
    cancelAt: isCancellable ? entries.length - 1 : null,
    resultAt: isHeard ? [0, 1] : [],
    outputAt: isHeard ? [0, 0] : null,
    head,
    wit: `func(${wit}) -> ${answered}`,
    declares: [...entries.flatMap(([, codec]) => codec.declares), ...declares],
  }
}

/** What a program writes, and how its run ends: both come later. */
function running<value>(answer: Codec<value>): Codec<null> {
  return mapped(
    tuple(streamOf(output), futureOf(answer)),
    (): [null, null] => [null, null],
    () => null,
  )
}

/** The functions by their names in camel case; on the wire and in WIT they are in kebab case. */
export const FUNCTIONS = {
  describe: define({}, description),
  init: define({ config }, unit),
  shutdown: define({}, unit),
  receiveLinkConfig: define({ link }, unit),
  deleteLink: define({ link }, unit),
  create: define({ options: createOptions }, instance, { isCancellable: true }),
  snapshot: define({ instanceId: string, options: snapshotOptions }, snapshot, {
    isCancellable: true,
  }),
  forget: define({ snapshotId: string }, unit),
  branch: define({ snapshotId: string, count: u32, options: branchOptions }, list(instance), {
    isCancellable: true,
  }),
  execute: define({ instanceId: string, code: string, options: executeOptions }, execution, {
    isCancellable: true,
    isHeard: true,
  }),
  merge: define({ instanceIds: list(string), oracle }, instance),
  destroy: define({ instanceId: string }, unit),
  instances: define({}, list(instance)),
} as const

export type FunctionName = keyof typeof FUNCTIONS
export type Parameters<name extends FunctionName> =
  (typeof FUNCTIONS)[name]['parameters'] extends Codec<infer parameters> ? parameters : never
export type Value<name extends FunctionName> =
  (typeof FUNCTIONS)[name]['result'] extends Codec<Result<infer value, Failure>> ? value : never

/** A function by its name, as the type of that name has it. */
export function functionOf<name extends FunctionName>(
  name: name,
): Function<Parameters<name>, Value<name>> {
  return FUNCTIONS[name] as unknown as Function<Parameters<name>, Value<name>>
}
