import type { Hono } from 'hono'
import { z } from 'zod'
import { baseApp, readBody } from '../http.ts'
import type { Log } from '../log.ts'
import type { Runtime } from './runtime.ts'

const seed = z.int().nonnegative()
const name = z.string().regex(/^[\w-]{1,64}$/)
const seedBody = z.strictObject({ seed, provider: name.optional() })
const verseBody = z.strictObject({ seed, provider: name })

/** What the keeper's owner can have done with its providers, beside the partitions: see `runtime.ts`. */
export function runtimeApp(runtime: Runtime, log: Log): Hono {
  const app = baseApp(log)
  app.post('/worlds', async (context) => {
    const { seed: of, provider } = await readBody(context, seedBody)
    return context.json(await runtime.create(of, provider), 201)
  })
  app.post('/worlds/:world/snapshots', async (context) =>
    context.json(await runtime.snapshot(context.req.param('world')), 201),
  )
  app.post('/worlds/:world/branches', async (context) =>
    context.json(await runtime.branch(context.req.param('world')), 201),
  )
  app.post('/verses', async (context) => {
    const { seed: of, provider } = await readBody(context, verseBody)
    return context.json(await runtime.verse(provider, of))
  })
  app.post('/pipelines', async (context) => {
    const { seed: of, provider } = await readBody(context, seedBody)
    return context.json(await runtime.pipeline(of, provider))
  })
  app.post('/providers/:provider', async (context) =>
    context.json(await runtime.status(context.req.param('provider'))),
  )
  return app
}
