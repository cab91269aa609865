import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { MultiverseError } from '../../sdk/errors.ts'
import { hashFile, isMissing, persist, share, withRoom } from '../host/files.ts'

/** A world's whole state as runsc's checkpoint files in a folder of their own, with what they are in `image.json`. */
export type Image = { folder: string; about: ImageAbout }

export type ImageAbout = {
  root: Hex
  /** What made it, and only can restore it. */
  engine: string
  /** The root file system it needs. */
  rootfs: string
  /** Bytes of memory that the world took. */
  usedBytes: number
  files: { name: string; bytes: number; sha256: string }[]
}

const ABOUT = 'image.json'

/** Describes the checkpoint files in a folder. */
export async function sealImage(folder: string, what: Omit<ImageAbout, 'files'>): Promise<Image> {
  const names = (await readdir(folder)).filter((name) => name !== ABOUT).toSorted()
  const files = await Promise.all(
    names.map(async (name) => ({ name, ...(await measure(join(folder, name))) })),
  )
  const about: ImageAbout = { ...what, files }
  await writeFile(join(folder, ABOUT), JSON.stringify(about), { mode: 0o600 })
  return { folder, about }
}

/**
 * Reads an image and compares every file's content with its hash.
 * @throws SNAPSHOT_CORRUPT naming what is wrong; the ENOENT of a folder that is not there
 */
export async function openImage(folder: string): Promise<Image> {
  const text = await readFile(join(folder, ABOUT), 'utf8')
  const about = readAbout(text)
  if (about === null) throw corrupt(folder, `${ABOUT} is not whole`)
  for (const { name, bytes, sha256 } of about.files) {
    const path = join(folder, name)
    const found = await measure(path).catch((error: unknown) => {
      if (isMissing(error)) throw corrupt(folder, `${name} is not there`)
      throw error
    })
    if (found.bytes !== bytes)
      throw corrupt(folder, `${name} has ${found.bytes} bytes, not ${bytes}`)
    if (found.sha256 !== sha256)
      throw corrupt(folder, `${name} has hash ${found.sha256}, not ${sha256}`)
  }
  return { folder, about }
}

/**
 * The same image in another folder. Nothing is copied where that can be helped, and each lives without the other.
 * @throws DISK_FULL
 */
export async function linkImage({ folder: from, about }: Image, folder: string): Promise<Image> {
  return withRoom(folder, async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const { name } of about.files) await share(join(from, name), join(folder, name))
    await writeFile(join(folder, ABOUT), JSON.stringify(about), { mode: 0o600 })
    return { folder, about }
  })
}

/** Returns when an image would survive a power cut. @throws DISK_FULL */
export async function syncImage({ folder, about }: Image): Promise<void> {
  const names = [...about.files.map((file) => file.name), ABOUT, '.']
  await withRoom(folder, () => persist(names.map((name) => join(folder, name))))
}

/** Bytes of its files. */
export function imageBytes({ about }: Image): number {
  return about.files.reduce((sum, { bytes }) => sum + bytes, 0)
}

function readAbout(text: string): ImageAbout | null {
  try {
    const about = JSON.parse(text) as Partial<ImageAbout>
    const isWhole =
      /^0x[0-9a-f]{64}$/.test(String(about.root)) &&
      typeof about.engine === 'string' &&
      typeof about.rootfs === 'string' &&
      typeof about.usedBytes === 'number' &&
      Array.isArray(about.files) &&
      about.files.length > 0 &&
      about.files.every(({ name }) => typeof name === 'string' && /^[\w.-]+$/.test(name))
    return isWhole ? (about as ImageAbout) : null
  } catch {
    return null
  }
}

async function measure(path: string): Promise<{ bytes: number; sha256: string }> {
  const { size } = await stat(path)
  return { bytes: size, sha256: await hashFile(path) }
}

function corrupt(folder: string, text: string): MultiverseError {
  return new MultiverseError('SNAPSHOT_CORRUPT', `snapshot ${folder}: ${text}`)
}
