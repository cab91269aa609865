import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { journalled, type Invocation } from '../../providers/invocation.ts'
import type { WorldRuntimeProvider } from '../../providers/provider.ts'
import { createQuickjsProvider } from '../../providers/quickjs/provider.ts'
import { journalEventSchema, type JournalEvent } from '../../sdk/journal.ts'
import { failure } from './conformance.ts'

describe('journalled', () => {
  let dataDir: string
  let rows: Extract<JournalEvent, { kind: 'provider.invoked' }>[]
  let links: JournalEvent[]
  let seen: Invocation[]
  let provider: WorldRuntimeProvider

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'journalled-'))
    rows = []
    links = []
    seen = []
    const take = (event: JournalEvent) =>
      void (event.kind === 'provider.invoked' ? rows.push(event) : links.push(event))
    provider = journalled(createQuickjsProvider({ workers: 1 }), take, {
      verseOf: (invocation) => {
        seen.push(invocation)
        return invocation.child === null ? null : `0x0${invocation.child}`
      },
    })
    await provider.init({ dataDir })
  })
  afterEach(async () => {
    await provider.shutdown()
    await rm(dataDir, { recursive: true })
  })

  it('writes one row a call, one a child for a branch', async () => {
    const { id } = await provider.create({ seed: 1n, key: 'w' })
    const run = await provider.execute(id, 'console.log("hi"); ({ cost: 3 })')
    const snapshot = await provider.snapshot(id)
    const children = await provider.branch(snapshot.id, 3, { key: 'p' })
    await provider.branch(snapshot.id, 0)
    await provider.merge([id, ...children.map((child) => child.id)], { winner: id })
    await provider.destroy(id)
    await provider.forget(snapshot.id)
    await provider.list()

    for (const row of rows) expect(journalEventSchema.parse(row)).toEqual(row)
    const operations = 'create execute snapshot branch branch branch merge destroy forget'
    expect(rows.map((row) => row.operation)).toEqual(operations.split(' '))
    expect(new Set(rows.map((row) => row.invocationId)).size).toBe(rows.length)
    expect(rows.map((row) => row.verseId)).toEqual([
      null,
      null,
      null,
      '0x00',
      '0x01',
      '0x02',
      null,
      null,
      null,
    ])
    expect(rows.every((row) => row.error === null && row.providerId === 'quickjs')).toBe(true)
    expect(seen[0]).toEqual({ operation: 'create', instanceId: id, key: 'w', child: null })
    expect(seen[4]).toMatchObject({ key: 'p', instanceId: children[1]?.id, child: 1 })
    expect(rows[1]).toMatchObject({
      input: { instanceId: id, codeBytes: 32 },
      output: {
        stateRoot: run.stateRoot,
        value: { cost: 3 },
        stdoutBytes: 3,
        exitCode: 0,
        calls: 0,
      },
      costUnits: run.tookMs / 1000,
    })
    expect(rows[2]).toMatchObject({ output: { id: snapshot.id, bytes: snapshot.bytes } })
    const branched = rows.slice(3, 6)
    const [first] = branched
    expect(branched.map((row) => row.output?.['id'])).toEqual(children.map((child) => child.id))
    expect(branched.reduce((sum, row) => sum + row.costUnits, 0)).toBeCloseTo(
      (first?.latencyMs ?? 0) / 1000,
    )
  })

  it('tells of links that were put and deleted, and of none that was refused', async () => {
    const link = { source: 'cli', target: 'quickjs', name: 'default', config: { a: 'b' } }
    await provider.receiveLinkConfig(link)
    await expect(provider.receiveLinkConfig({ ...link, target: 'x' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
    await provider.deleteLink(link)
    for (const event of links) expect(journalEventSchema.parse(event)).toEqual(event)
    const linkId = 'cli-quickjs-default'
    expect(links).toEqual([
      {
        kind: 'link.put',
        linkId,
        sourceComponent: 'cli',
        targetProvider: 'quickjs',
        linkConfig: { a: 'b' },
      },
      { kind: 'link.deleted', linkId },
    ])
  })

  it('writes what failed, and lets it fail', async () => {
    const { id } = await provider.create({ seed: 1n })
    rows = []
    const failures = [
      () => provider.execute(id, 'throw new Error("one\\ntwo")'),
      () => provider.snapshot('gone'),
      () => provider.branch('gone', 2),
      () => provider.branch('gone', -1),
    ]
    for (const fail of failures) expect(await failure(fail())).not.toBeNull()
    expect(rows.map((row) => [row.operation, row.error?.code, row.output])).toEqual([
      ['execute', 'PROGRAM_ERROR', null],
      ['snapshot', 'UNKNOWN_INSTANCE', null],
      ['branch', 'UNKNOWN_SNAPSHOT', null],
      ['branch', 'UNKNOWN_SNAPSHOT', null],
      ['branch', 'INVALID_ARGUMENT', null],
    ])
    expect(rows[0]?.error?.message).toBe('the program threw Error: one')
    for (const row of rows) expect(journalEventSchema.parse(row)).toEqual(row)
  })

  it('leaves large values out, and rejects when it cannot write', async () => {
    const { id } = await provider.create({ seed: 1n })
    const { value } = await provider.execute(id, '"x".repeat(10_000)')
    expect(value).toHaveLength(10_000)
    expect(rows.at(-1)?.output).toMatchObject({ value: null })

    const deaf = journalled(provider, () => {
      throw new Error('the journal is full')
    })
    await expect(deaf.execute(id, '1')).rejects.toThrow('the journal is full')
  })
})
