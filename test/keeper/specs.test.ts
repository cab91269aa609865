import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { fetchGuarded, isPublicAddress } from '../../keeper/fetch.ts'
import { createSpecLoader, type SpecLoaderOptions } from '../../keeper/specs.ts'
import { parseSpec, specDataUri } from '../../sdk/spec.ts'
import { spec } from './world.ts'

const QUESTION = `0x${'ab'.repeat(31)}04` as const
const json = JSON.stringify(spec())
const { specHash } = parseSpec(json)
const other = JSON.stringify(spec({ title: 'Another road?' }))

const open: (() => void)[] = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  open.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function load(uris: string[], options: Partial<SpecLoaderOptions> = {}, outcomes = 4) {
  const loader = createSpecLoader({
    ipfsGateway: null,
    timeoutMs: 5_000,
    allowPrivateUrls: false,
    ...options,
  })
  return loader({ question: QUESTION, specHash, outcomes, uris })
}

test('reads data: URIs, base64 and percent-encoded', async () => {
  expect((await load([specDataUri(json)])).spec.title).toBe('Which road?')
  const loaded = await load([`data:application/json,${encodeURIComponent(json)}`])
  expect(loaded.json).toBe(json)
})

test('takes the first place whose content matches', async () => {
  const loaded = await load([
    'https://127.0.0.1/',
    specDataUri(other),
    'nonsense',
    specDataUri(json),
  ])
  expect(loaded.specHash).toBe(specHash)
})

const odd = (changes: object) => specDataUri(JSON.stringify({ ...spec(), ...changes }))

test.each<[string, string, string[]]>([
  ['another spec', 'SPEC_HASH_MISMATCH', [specDataUri(other)]],
  ['no JSON', 'SPEC_NOT_JSON', ['data:,{']],
  ['no spec', 'SPEC_INVALID', [odd({ version: 2 })]],
  ['a spec that is too large', 'SPEC_TOO_LARGE', [odd({ title: 'x', setup: ' '.repeat(65_537) })]],
  ['a data: URI that is far too large', 'SPEC_TOO_LARGE', [`data:,${'x'.repeat(200_000)}`]],
  ['broken percent-encoding', 'SPEC_URL_INVALID', ['data:,%zz']],
  ['a data: URI without content', 'SPEC_URL_INVALID', ['data:text/plain']],
  ['plain http', 'SPEC_URL_INVALID', ['http://example.com/spec.json']],
  ['a file', 'SPEC_URL_INVALID', ['file:///etc/passwd']],
  ['credentials', 'SPEC_URL_INVALID', ['https://user:pass@example.com/']],
  ['ipfs without a gateway', 'SPEC_URL_INVALID', ['ipfs://bafy/spec.json']],
  ['a private address', 'SPEC_PRIVATE_ADDRESS', ['https://10.0.0.1/spec.json']],
  ['the cloud metadata service', 'SPEC_PRIVATE_ADDRESS', ['https://169.254.169.254/latest']],
  ['an address written as a number', 'SPEC_PRIVATE_ADDRESS', ['https://2130706433/']],
  ['a mapped address', 'SPEC_PRIVATE_ADDRESS', ['https://[::ffff:127.0.0.1]/']],
  ['a name for a private address', 'SPEC_PRIVATE_ADDRESS', ['https://localhost/spec.json']],
  ['no place at all', 'SPEC_MISSING', []],
])('refuses %s with %s', async (_, code, uris) => {
  await expect(load(uris)).rejects.toMatchObject({ code, isRetryable: false })
})

test('refuses a spec with another number of outcomes than its question', async () => {
  await expect(load([specDataUri(json)], {}, 5)).rejects.toMatchObject({
    code: 'SPEC_OUTCOMES_MISMATCH',
  })
})

test('fetches over http where that is allowed, through redirects', async () => {
  const url = await serve((request, response) => {
    if (request.url === '/spec.json') response.end(json)
    else response.writeHead(302, { location: '/spec.json' }).end()
  })
  expect((await load([`${url}/moved`], { allowPrivateUrls: true })).json).toBe(json)
})

test('asks the configured gateway for ipfs: URIs', async () => {
  const asked: string[] = []
  const url = await serve((request, response) => {
    asked.push(request.url ?? '')
    response.end(json)
  })
  expect((await load(['ipfs://bafy/spec.json'], { ipfsGateway: `${url}/` })).json).toBe(json)
  expect(asked).toEqual(['/ipfs/bafy/spec.json'])
})

test.each<[string, string, RequestListener]>([
  ['does not end', 'SPEC_UNREACHABLE', (_, response) => void response.write('{')],
  ['does not answer', 'SPEC_UNREACHABLE', () => {}],
  ['fails', 'SPEC_UNREACHABLE', (_, response) => void response.writeHead(500).end()],
  ['hangs up', 'SPEC_UNREACHABLE', (request) => void request.socket.destroy()],
  [
    'redirects for ever',
    'SPEC_UNREACHABLE',
    (_, response) => void response.writeHead(302, { location: '/again' }).end(),
  ],
  ['sends too much', 'SPEC_TOO_LARGE', (_, response) => void response.end('x'.repeat(70_000))],
])('gives up on a server that %s', async (_, code, answer) => {
  const url = await serve(answer)
  await expect(load([url], { allowPrivateUrls: true, timeoutMs: 300 })).rejects.toMatchObject({
    code,
  })
})

test('checks the address of each redirect anew, whether written or named', async () => {
  let location = '/'
  const { port } = new URL(
    await serve((request, response) => {
      if (request.url === '/') response.writeHead(302, { location }).end()
      else response.end('reached')
    }),
  )
  const begin = `http://127.0.0.2:${port}/`
  const limits = {
    maxBytes: 1_000,
    timeoutMs: 5_000,
    allowHttp: true,
    isAllowed: (address: string) => address === '127.0.0.2',
  }
  location = '/there'
  expect(await fetchGuarded(begin, limits)).toBe('reached')
  for (const host of ['127.0.0.1', 'localhost']) {
    location = `http://${host}:${port}/there`
    await expect(fetchGuarded(begin, limits)).rejects.toMatchObject({
      code: 'SPEC_PRIVATE_ADDRESS',
    })
  }
})

test('does not ask further once it has found the spec', async () => {
  let asked = 0
  const url = await serve((_, response) => {
    asked++
    response.end(json)
  })
  await load([specDataUri(json), url], { allowPrivateUrls: true })
  expect(asked).toBe(0)
})

test.each([
  ['8.8.8.8', true],
  ['172.32.0.1', true],
  ['100.128.0.1', true],
  ['2606:4700::1111', true],
  ['0.0.0.0', false],
  ['10.1.2.3', false],
  ['100.64.0.1', false],
  ['127.0.0.1', false],
  ['169.254.169.254', false],
  ['172.16.0.1', false],
  ['192.168.1.1', false],
  ['198.18.0.1', false],
  ['224.0.0.1', false],
  ['255.255.255.255', false],
  ['::', false],
  ['::1', false],
  ['::ffff:8.8.8.8', false],
  ['64:ff9b::a00:1', false],
  ['fc00::1', false],
  ['fe80::1', false],
  ['ff02::1', false],
  ['2001:db8::1', false],
  ['2002:a00:1::', false],
  ['not an address', false],
])('%s is public: %s', (address, isPublic) => {
  expect(isPublicAddress(address)).toBe(isPublic)
})
