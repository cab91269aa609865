import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLinks } from '../../providers/links.ts'
import type { LinkConfig } from '../../providers/provider.ts'

const link = (
  source: string,
  name = 'default',
  config: Record<string, string> = {},
): LinkConfig => ({
  source,
  target: 'quickjs',
  name,
  config,
})

describe('links', () => {
  let folder: string
  const opened = () => {
    const links = createLinks('quickjs')
    links.open(folder)
    return links
  }
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'links-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true })
  })

  it('outlive the process, each once', () => {
    const first = opened()
    first.put(link('keeper', 'a', { mode: 'full' }))
    first.put(link('keeper', 'a', { mode: 'other' }))
    first.put(link('keeper', 'b'))
    first.put(link('cli'))
    first.remove(link('cli'))
    first.remove(link('cli'))
    first.clear()
    expect(first.permits('keeper')).toBe(false)
    const second = opened()
    expect(second.of('keeper')).toEqual([
      link('keeper', 'a', { mode: 'full' }),
      link('keeper', 'b'),
    ])
    expect(second.permits('cli')).toBe(false)
    second.remove(link('keeper', 'a'))
    expect(second.permits('keeper')).toBe(true)
    second.remove(link('keeper', 'b'))
    expect(second.permits('keeper')).toBe(false)
    expect(opened().permits('keeper')).toBe(false)
    expect(readdirSync(folder)).toEqual(['links.json'])
  })

  it('leave no file where there never was one', () => {
    const links = opened()
    links.remove(link('keeper'))
    expect(existsSync(join(folder, 'links.json'))).toBe(false)
  })

  it('stay in memory without a folder', () => {
    const links = createLinks('quickjs')
    links.put(link('keeper'))
    expect(links.permits('keeper')).toBe(true)
    expect(opened().permits('keeper')).toBe(false)
  })

  it("refuse another provider's, and know a provider's own as source", () => {
    const links = opened()
    const foreign = { ...link('keeper'), target: 'elsewhere' }
    expect(() => links.put(foreign)).toThrow('not quickjs')
    links.put({ ...foreign, source: 'quickjs' })
    expect(links.permits('keeper')).toBe(false)
  })

  it.each(['', '{', '{}', '[1]', '[{"source":"a","target":"b","name":"c"}]', '[null]'])(
    'are not read from a file that says %j',
    (text) => {
      writeFileSync(join(folder, 'links.json'), text)
      expect(opened).toThrow(expect.objectContaining({ code: 'LINKS_CORRUPT' }))
    },
  )

  it('grant nothing that the disk does not hold, and withdraw what it cannot be told to', () => {
    const links = opened()
    links.put(link('keeper'))
    // A file where the folder should be fails as a full disk does, for root too.
    rmSync(folder, { recursive: true })
    writeFileSync(folder, '')
    expect(() => links.put(link('cli'))).toThrow(/E/)
    expect(links.permits('cli')).toBe(false)
    expect(() => links.remove(link('keeper'))).toThrow(/E/)
    expect(links.permits('keeper')).toBe(false)
  })
})
