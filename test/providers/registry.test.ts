import { expect, it } from 'vitest'
import { createProvider, providerIds } from '../../providers/registry.ts'

it('makes each provider by its name', async () => {
  for (const id of providerIds) {
    const provider = await createProvider(id)
    expect(provider.id).toBe(id)
    expect(await createProvider(id)).not.toBe(provider)
  }
})

it.each(['', 'morphine', 'toString', '__proto__'])('knows no provider %j', async (id) => {
  await expect(createProvider(id)).rejects.toMatchObject({
    code: 'UNKNOWN_PROVIDER',
    message: `no provider ${id}; there are: ${providerIds.join(', ')}`,
  })
})
