import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { createClient, http } from 'viem'
import { getLogs } from 'viem/actions'
import { expect, onTestFinished, test } from 'vitest'
import { readRanges } from '../../keeper/chain/backfill.ts'
import { faultOf } from '../../keeper/chain/faults.ts'

test('a range whose answer is larger than is taken in is read in smaller ones, and blamed on no endpoint', async () => {
  // A log of each block, which takes some 600 bytes.
  const answer = (body: string) => {
    const { id, params } = JSON.parse(body) as {
      id: number
      params: [{ fromBlock: string; toBlock: string }]
    }
    const [from, to] = [Number(params[0].fromBlock), Number(params[0].toBlock)]
    const result = Array.from({ length: to - from + 1 }, (_, at) => ({
      address: `0x${'ab'.repeat(20)}`,
      topics: [],
      data: `0x${'00'.repeat(200)}`,
      blockNumber: `0x${(from + at).toString(16)}`,
      logIndex: '0x0',
    }))
    return JSON.stringify({ jsonrpc: '2.0', id, result })
  }
  const server = createServer((request, response) => {
    void text(request).then((body) => response.end(answer(body)))
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = createClient({
    transport: http(url, { maxResponseBodySize: 20_000, retryCount: 0 }),
  })
  const faults: string[] = []
  const read = (from: number, to: number) =>
    getLogs(client, { fromBlock: BigInt(from), toBlock: BigInt(to) }).catch((error: unknown) => {
      faults.push(faultOf('eth_getLogs', error).kind)
      throw error
    })
  const taken: number[] = []
  await readRanges(
    { first: 1, last: 300, size: { size: 100, max: 1_000 } },
    read,
    async (found) => void taken.push(...found.map(({ blockNumber }) => Number(blockNumber))),
  )
  expect(taken).toEqual(Array.from({ length: 300 }, (_, at) => at + 1))
  expect(new Set(faults)).toEqual(new Set(['call']))
})
