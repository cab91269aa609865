import { expect, describe, it } from 'vitest'
import {
  createOptimizer,
  createProvider,
  createVerifier,
  listProviders,
  providerIds,
} from '../../providers/registry.ts'
import { ROSTER } from '../../providers/roster.ts'
import { gf3 } from '../../sdk/gf3.ts'

describe('the registry', () => {
  it('makes each provider by its name', async () => {
    expect(providerIds).toEqual(['quickjs', 'gvisor', 'microvm', 'evm'])
    for (const id of providerIds) {
      const provider = await createProvider(id)
      expect(provider.id).toBe(id)
      expect(await createProvider(id)).not.toBe(provider)
    }
    const worlds = await createProvider('quickjs')
    expect(await createOptimizer('grpo', { worlds })).toMatchObject({ id: 'grpo', trit: 0 })
    expect(await createVerifier('replay', { worlds: {} })).toMatchObject({ id: 'replay', trit: -1 })
  })

  it.each(['', 'morphine', 'toString', '__proto__', 'morph'])(
    'makes no provider %j',
    async (id) => {
      const unknown = { code: 'UNKNOWN_PROVIDER' }
      await expect(createProvider(id)).rejects.toMatchObject({
        ...unknown,
        message: `no provider ${id}; there are: ${providerIds.join(', ')}`,
      })
      await expect(createVerifier(id, { worlds: {} })).rejects.toMatchObject(unknown)
      const worlds = await createProvider('quickjs')
      await expect(createOptimizer(id, { worlds })).rejects.toMatchObject(unknown)
    },
  )

  it('says of each local provider what the provider says of itself', async () => {
    for (const { id, name, trit, kind, capabilities } of ROSTER) {
      if (kind !== 'local' || !providerIds.includes(id)) continue
      const provider = await createProvider(id)
      expect([provider.id, provider.name, provider.trit]).toEqual([id, name, trit])
      const own = provider.capabilities()
      expect(capabilities).toMatchObject({ snapshot: own.snapshot, branch: own.branch })
      expect(capabilities.languages).toEqual(own.languages)
      expect(capabilities.deterministic ?? false).toBe(own.deterministic)
      expect(capabilities.origin ?? false).toBe(own.origin ?? false)
    }
  })

  it("has the seeds' rows, to the letter, and sums them to 0", () => {
    const seeds = ROSTER.filter(({ kind }) => kind === 'remote')
    expect(gf3(seeds.map(({ trit }) => trit))).toMatchObject({ sum: 0, balanced: true })
    expect(
      seeds
        .slice(0, 4)
        .filter(({ id }) => id !== 'modal')
        .map((row) => [
          row.id,
          row.name,
          row.trit,
          JSON.stringify(row.capabilities),
          row.apiEndpoint,
          row.authMethod,
        ]),
    ).toEqual([
      [
        'morph',
        'Morph Labs Infinibranch',
        1,
        '{"snapshot":true,"branch":true,"languages":["python","js","rust","cpp"]}',
        'https://api.cloud.morph.so/v1',
        'bearer',
      ],
      [
        'primeintellect',
        'PrimeIntellect Distributed RL',
        0,
        '{"training":true,"rl":true,"max_params":"100B+","async":true}',
        'https://api.primeintellect.ai/v1',
        'bearer',
      ],
      [
        'gensyn',
        'Gensyn Decentralized ML',
        -1,
        '{"verification":true,"trustless":true,"protocol":"ethereum_rollup"}',
        'https://api.gensyn.ai/v1',
        'bearer',
      ],
    ])
    expect(seeds.map(({ id }) => id)).toEqual([
      'morph',
      'modal',
      'primeintellect',
      'gensyn',
      'ritual',
    ])
  })

  it('keeps every figure that the seeds declare', () => {
    const declared = Object.fromEntries(ROSTER.map((row) => [row.id, row.declared]))
    expect(declared).toMatchObject({
      morph: {
        createMs: '~250',
        snapshotMs: '<250',
        branch3Ms: '<250',
        image: 'morphvm-minimal',
        branches: 3,
        cost: '$$',
      },
      modal: {
        coldStartMs: '<1000',
        concurrency: '50,000+',
        gpus: ['H100', 'A100', 'L4'],
        app: 'verse-runner',
        image: 'debian_slim',
      },
      primeintellect: {
        maxParams: '100B+',
        model: 'intellect-3',
        environment: 'verse-optimization',
        workers: 100,
        cost: '$$$',
      },
      gensyn: { verify: 'probabilistic', reward: 100, workload: 'verify_verse_result', cost: '$' },
      ritual: { chains: ['ethereum', 'base'], model: 'llama-3.3-70b' },
      microvm: { bootMs: '~125', overheadMb: '~5', vcpus: '1-32', isolation: 'KVM + seccomp' },
    })
    for (const id of ['quickjs', 'gvisor', 'evm', 'grpo', 'replay'])
      expect(declared[id]).toEqual({})
  })

  it('tells what can be used here, and what it takes to use the others', async () => {
    const ids = ROSTER.map(({ id }) => id).filter((id) => id !== 'gvisor' && id !== 'microvm')
    const rows = await listProviders(
      { PRIME_API_KEY: 'x', MODAL_TOKEN_ID: 'x', MORPH_API_KEY: '' },
      ids,
    )
    const status = Object.fromEntries(
      rows.map((row) => [row.id, `${row.status} ${row.reason}`.trim()]),
    )
    expect(status).toEqual({
      morph: 'no-credentials MORPH_API_KEY not set',
      modal: 'no-credentials MODAL_TOKEN_SECRET not set',
      primeintellect: 'unavailable primeintellect has no adapter here',
      gensyn: 'no-credentials GENSYN_PRIVATE_KEY not set',
      ritual: 'no-credentials RITUAL_PRIVATE_KEY not set',
      quickjs: 'available',
      evm: 'available',
      grpo: 'available',
      replay: 'available',
    })
    // At a glance, engines are not made to prove themselves: nothing is run in them.
    const [gvisor, microvm] = await listProviders({}, ['gvisor', 'microvm'], 'glance')
    for (const engine of [gvisor, microvm])
      expect(['installed', 'unavailable']).toContain(engine?.status)
    await expect(listProviders({}, ['nobody'])).rejects.toMatchObject({ code: 'UNKNOWN_PROVIDER' })
  })
})
