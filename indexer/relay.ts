import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'

// Ponder asks for a block's logs by the block's hash. When the block was reorganised away meanwhile, the chain answers that
// it does not know it, and ponder asks ten times more over a minute before it looks at the new head. A 404 it takes for an
// answer. So ponder speaks to the chain through this relay, which changes nothing else.

export type Relay = { url: string; close(): Promise<void> }

/** Relays JSON-RPC over HTTP to `target` from a port of its own on 127.0.0.1. */
export async function startRelay(target: string): Promise<Relay> {
  const server = createServer((request, response) => {
    void answer(target, request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the relay has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(
  target: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let status = 502
  let body = ''
  try {
    const asked = await text(request)
    const answered = await fetch(target, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: asked,
    })
    status = answered.status
    body = await answered.text()
    if (isUnknownBlock(asked, body)) status = 404
  } catch {
    // The chain is away: ponder sees a bad gateway and decides by itself what to do about it.
  }
  response.writeHead(status, { 'content-type': 'application/json' }).end(body)
}

function isUnknownBlock(asked: string, answered: string): boolean {
  // Answers can be long: only those to questions by hash, which are about one block, are looked into.
  if (!asked.includes('"blockHash"')) return false
  const { error } = JSON.parse(answered) as { error?: { message?: string } }
  return /unknown block|not found|header not found/i.test(error?.message ?? '')
}
