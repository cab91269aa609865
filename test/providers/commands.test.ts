import { describe, expect, it } from 'vitest'
import { run } from '../../providers/host/commands.ts'

describe('a command of the machine', () => {
  it('gives what it says, with its own settings', async () => {
    expect(await run('sh', ['-c', 'echo $A'], { env: { A: 'b' } })).toBe('b\n')
  })

  it.each([
    ['first', /^sh exited with 3: one$/],
    ['last', /^sh exited with 3: two$/],
  ] as const)('that fails is told by the %s line that it says', async (tells, message) => {
    await expect(
      run('sh', ['-c', 'echo one >&2; echo two >&2; exit 3'], { tells }),
    ).rejects.toMatchObject({
      code: 'PROVIDER_FAILED',
      message: expect.stringMatching(message),
    })
  })

  it('that takes too long is killed', async () => {
    await expect(run('sleep', ['60'], { timeoutMs: 50 })).rejects.toMatchObject({
      message: 'sleep was ended by SIGKILL',
    })
  })

  it('that is not there is told, and leaves nothing that keeps this process alive', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((each) => each === 'Timeout')
    const before = timers().length
    await expect(run('no-such-command', [], { timeoutMs: 60_000 })).rejects.toMatchObject({
      message: 'there is no command no-such-command',
    })
    expect(timers()).toHaveLength(before)
  })
})
