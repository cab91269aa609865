import type { Hex } from 'viem'
import { expect, test, vi } from 'vitest'
import { createKeyedLock } from '../../keeper/jobs/lock.ts'
import type { LiveWorld, LiveWorlds } from '../../keeper/jobs/worlds/living.ts'
import { createParking } from '../../keeper/jobs/worlds/parking.ts'
import { createLog } from '../../keeper/log.ts'

const world = (at: number): LiveWorld => ({
  entityId: `world-${at}`,
  provider: 'quickjs',
  instanceId: `instance-${at}`,
  partition: `0x${at}`,
  outcome: 1,
  verseId: null,
  name: null,
})

test('keeps the newest worlds alive, and ends the others unless they ended or were made again', async () => {
  const all = new Map<Hex, LiveWorlds>()
  const put = (each: LiveWorld) =>
    all.set(each.partition, {
      base: null,
      verses: new Map([[1, each]]),
      hasRun: true,
      isMerged: true,
    })
  const destroyed: string[] = []
  const dropped: string[] = []
  const locked = createKeyedLock()
  const parking = createParking({
    providers: {
      worlds: () => ({ destroy: async (id: string) => void destroyed.push(id) }) as never,
    },
    living: {
      of: (key) => all.get(key)!,
      drop: ({ entityId }) => void dropped.push(entityId),
    },
    locked,
    log: createLog('silent'),
    max: 2,
  })
  const worlds = [0, 1, 2, 3, 4].map(world)
  for (const each of worlds) put(each)
  // Of the second another instance lives by now.
  put({ ...worlds[1]!, instanceId: 'another' })
  // The third is in use for now.
  const use = Promise.withResolvers<void>()
  const using = locked('0x2', () => use.promise)
  for (const each of worlds) parking.add(each)
  await vi.waitFor(() => expect(destroyed).toEqual(['instance-0']))
  use.resolve()
  await using
  await vi.waitFor(() => expect(destroyed).toEqual(['instance-0', 'instance-2']))
  expect(dropped).toEqual(['world-0', 'world-2'])
})
