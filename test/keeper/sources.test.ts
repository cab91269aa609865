import assert from 'node:assert/strict'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as fc from 'fast-check'
import { type Hex, numberToHex } from 'viem'
import { afterEach, expect, test } from 'vitest'
import { fetchGuarded, type FetchLimits, isPublicAddress } from '../../keeper/fetch.ts'
import { certainVerses, exitsOf } from '../../keeper/oracles/exits.ts'
import { type Game, planGame } from '../../keeper/oracles/game.ts'
import { lookAtHttp } from '../../keeper/oracles/http.ts'
import { valueAt } from '../../keeper/oracles/pointer.ts'
import { childPaths, type Path, verseId } from '../../sdk/ids.ts'

// Where answers come from, and what is done with them, without a chain.

const open: (() => void)[] = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

/** A server on this machine; gives its port. */
async function serve(answer: RequestListener): Promise<number> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

const anywhere: FetchLimits = {
  what: 'SOURCE',
  maxBytes: 1_000,
  timeoutMs: 5_000,
  allowHttp: true,
  isAllowed: () => true,
}

/** A resolver that gives these addresses for a name, one after the other. */
function resolver(addresses: readonly string[]): NonNullable<FetchLimits['lookup']> {
  let asked = 0
  return (_, __, callback) =>
    callback(null, [{ address: addresses[Math.min(asked++, addresses.length - 1)]!, family: 4 }])
}

const LABELS = ['yes', 'no', 'void']
const source = (urls: string[], quorum: number) =>
  ({ source: 'http', urls, pointer: '/answer', quorum, notBefore: 100 }) as const
const look = (urls: string[], quorum: number, limits: Partial<FetchLimits> = {}) =>
  lookAtHttp(source(urls, quorum), LABELS, 100, { ...anywhere, ...limits })

test('takes the one outcome that a quorum agrees on, by label or number', async () => {
  const said: Record<string, unknown> = { a: 'no', b: 1, c: 'yes', d: 'maybe', e: 3 }
  const port = await serve((request, response) =>
    response.end(JSON.stringify({ answer: said[request.url!.slice(1)] })),
  )
  const urls = (names: string) => names.split('').map((name) => `http://127.0.0.1:${port}/${name}`)
  expect(await look(urls('abc'), 2)).toMatchObject({ decision: { outcome: 1, source: 'http' } })
  const split = await look(urls('ac'), 1)
  expect(split).toMatchObject({ kind: 'undecided', code: 'SOURCE_QUORUM', until: 130 })
  expect(await look(urls('ade'), 2)).toMatchObject({
    kind: 'undecided',
    message: expect.stringMatching(/a no; .*"maybe" names no outcome; .*3 names no outcome/),
  })
  // The same URL twice is one vote.
  expect(await look(urls('aa'), 2)).toMatchObject({ code: 'SOURCE_QUORUM', until: null })
  const early = await lookAtHttp(source(urls('a'), 1), LABELS, 99, anywhere)
  expect(early).toMatchObject({ code: 'SOURCE_TOO_EARLY', until: 100 })
})

test('counts what is too large, too slow, or no JSON as no vote', async () => {
  const port = await serve((request, response) => {
    if (request.url === '/large') response.end(`{"answer":"no","x":"${'x'.repeat(2_000)}"}`)
    else if (request.url === '/html') response.end('<html>')
    else if (request.url === '/broken') response.writeHead(500).end('{"answer":"no"}')
    else if (request.url === '/slow') response.write('{"answer":')
    else response.end('{"answer":"no"}')
  })
  const urls = ['large', 'html', 'broken', 'slow', 'good'].map(
    (name) => `http://127.0.0.1:${port}/${name}`,
  )
  const found = await look(urls, 2, { timeoutMs: 500 })
  expect(found).toMatchObject({ kind: 'undecided' })
  const { message } = found as { message: string }
  expect(message).toMatch(
    /large SOURCE_TOO_LARGE; .*html sends no JSON; .*broken SOURCE_UNREACHABLE/,
  )
  expect(message).toMatch(/slow SOURCE_UNREACHABLE; .*good no/)
  expect(await look(urls, 1, { timeoutMs: 500 })).toMatchObject({ decision: { outcome: 1 } })
})

test('checks every name lookup: of a redirect, and of a name that changes its mind', async () => {
  const port = await serve((request, response) => {
    if (request.url === '/moved')
      response.writeHead(302, { location: `http://other.test:${port}/` }).end()
    else if (request.url === '/inward')
      response.writeHead(302, { location: `http://10.0.0.1:${port}/` }).end()
    else response.end('{"answer":"no"}')
  })
  // As if this machine were a public one, and 10.0.0.1 what it is.
  const isAllowed = (address: string) => address === '127.0.0.1' || isPublicAddress(address)
  const at = (path: string, addresses: string[]) =>
    fetchGuarded(`http://source.test:${port}${path}`, {
      ...anywhere,
      isAllowed,
      lookup: resolver(addresses),
    })
  expect(await at('/', ['127.0.0.1'])).toContain('no')
  const refused = { code: 'SOURCE_PRIVATE_ADDRESS' }
  await expect(at('/', ['192.168.0.1'])).rejects.toMatchObject(refused)
  await expect(at('/moved', ['127.0.0.1', '192.168.0.1'])).rejects.toMatchObject(refused)
  await expect(at('/inward', ['127.0.0.1'])).rejects.toMatchObject(refused)
  // What was checked is what is connected to: the name is not looked up again for the connection.
  expect(await at('/', ['127.0.0.1', '192.168.0.1'])).toContain('no')
  await expect(
    fetchGuarded(`http://source.test:${port}/`, { ...anywhere, allowHttp: false }),
  ).rejects.toMatchObject({ code: 'SOURCE_URL_INVALID' })
})

test('follows a JSON pointer through what the document itself holds', () => {
  const document = { a: [{ 'b/c': 1 }, 2], 'm~n': null, '': { '': 'deep' } }
  expect(valueAt(document, '')).toBe(document)
  expect(valueAt(document, '/a/0/b~1c')).toBe(1)
  expect(valueAt(document, '/m~0n')).toBeNull()
  expect(valueAt(document, '//')).toBe('deep')
  for (const none of [
    'a',
    '/a/2',
    '/a/-',
    '/a/01',
    '/a/length',
    '/constructor',
    '/a/0/b~2c',
    '/m~',
  ])
    expect(valueAt(document, none)).toBeUndefined()
})

const bigint = (max: number) => fc.nat(max).map((each) => BigInt(each))
const rules = {
  bondToken: '0x0000000000000000000000000000000000000001',
  minimumBond: 10n,
  opens: 200n,
  liveness: 50,
  arbitrationWindow: 20,
  deadline: 1_000n,
} as const

test('a game is answered in its time, disputed only with what can be worked out, settled at its end', () => {
  fc.assert(
    fc.property(
      bigint(1_100),
      fc.option(
        fc.record({
          outcome: fc.nat(3),
          bond: bigint(1_000),
          since: bigint(900),
          closes: fc.constant(930n),
          liveness: fc.constant(50),
          rulingUntil: fc.constantFrom(0n, 700n),
          isRuled: fc.boolean(),
        }),
      ),
      fc.boolean(),
      fc.option(fc.record({ outcome: fc.nat(3), isReproducible: fc.boolean() })),
      (now, game: Game | null, isFinal, conviction) => {
        const plan = planGame(now, rules, game, isFinal, conviction)
        assert.equal(plan.kind === 'settle', isFinal)
        if (plan.kind === 'propose') {
          assert.equal(game, null)
          // The contract accepts it: nine times the liveness, and the arbitrator's window, are left.
          assert(now >= rules.opens && now <= 1_000n - 20n - 9n * 50n)
          assert.deepEqual([plan.outcome, plan.bond], [conviction!.outcome, 10n])
        }
        const mayDispute =
          !isFinal &&
          game !== null &&
          conviction?.isReproducible === true &&
          conviction.outcome !== game.outcome &&
          now < game.since + 50n &&
          now < game.closes
        assert.equal(plan.kind === 'dispute', mayDispute)
        if (plan.kind === 'dispute')
          assert.deepEqual([plan.outcome, plan.bond], [conviction!.outcome, 2n * game!.bond])
        if (plan.kind === 'wait') assert(plan.until === null || plan.until > now)
      },
    ),
    { numRuns: 2_000 },
  )
})

const OWNER = `0x${'11'.repeat(20)}` as const
const TOKEN = `0x${'22'.repeat(20)}` as const
/** Three questions of three outcomes, ascending. */
const QUESTIONS = [1, 2, 3].map((each) => numberToHex(each * 256 + 3, { size: 32 }))

test('exits bring all of certain verses to ROOT, each out of what is there, and nothing of others', () => {
  const paths = QUESTIONS.reduce<Path[]>(
    (all, question) => [...all, ...all.flatMap((path) => childPaths(path, question))],
    [[]],
  ).filter((path) => path.length > 0)
  fc.assert(
    fc.property(
      fc.array(fc.option(fc.nat(2)), { minLength: 3, maxLength: 3 }),
      fc.array(bigint(5), { minLength: paths.length, maxLength: paths.length }),
      (outcomes, amounts) => {
        const winners = new Map<Hex, number>(
          QUESTIONS.flatMap((question, index) => {
            const outcome = outcomes[index]
            return outcome == null ? [] : [[question, outcome] as const]
          }),
        )
        const isCertain = (path: Path) =>
          path.every(({ question, outcome }) => winners.get(question) === outcome)
        const held = new Map(paths.map((path, index) => [verseId(path), amounts[index]!]))
        const splits = paths
          .map((path) => path.slice(0, -1))
          .flatMap((path) =>
            QUESTIONS.filter((question) => path.every((each) => each.question < question)).map(
              (question) => ({ path, question, outcomes: 3 }),
            ),
          )
        const verses = certainVerses(splits, winners)
        const balances = new Map(
          verses.map((path) => [verseId(path), held.get(verseId(path)) ?? 0n]),
        )
        let root = 0n
        for (const pull of exitsOf(OWNER, TOKEN, verses, balances)) {
          const [from] = childPaths(pull.path, pull.question).filter(isCertain)
          assert(pull.amount > 0n)
          assert.equal(pull.amount, held.get(verseId(from!)))
          held.set(verseId(from!), 0n)
          if (pull.path.length === 0) root += pull.amount
          else held.set(verseId(pull.path), held.get(verseId(pull.path))! + pull.amount)
        }
        const expected = paths.reduce(
          (sum, path, index) => (isCertain(path) ? sum + amounts[index]! : sum),
          0n,
        )
        assert.equal(root, expected)
      },
    ),
    { numRuns: 60 },
  )
})
