import { randomBytes, scryptSync } from 'node:crypto'
import * as Keystore from 'ox/Keystore'
import { type Address, getAddress, type Hex, isAddress } from 'viem'
import { privateKeyToAddress } from 'viem/accounts'
import { z } from 'zod'
import { MultiverseError } from '../../errors.ts'

/** Bits, bytes and work as geth's own keystores have them: 256 MB of memory and about a second. */
const SCRYPT = { n: 2 ** 18, r: 8, p: 1 } as const
const KEY_BYTES = 32
/** What a file may ask for: more is a mistake or meant to stop whoever opens it. */
const MAX_SCRYPT_MEMORY = 2 ** 30
const MAX_SCRYPT_WORK = 2 ** 25
const MAX_PBKDF2_ROUNDS = 10_000_000

const hexText = (bytes: number) => z.string().regex(new RegExp(`^(0x)?[0-9a-fA-F]{${bytes * 2}}$`))
const salt = z.string().regex(/^(0x)?([0-9a-fA-F]{2})+$/)
const positive = z.int().positive()

const cryptoSchema = z.object({
  cipher: z.string(),
  ciphertext: hexText(KEY_BYTES),
  cipherparams: z.object({ iv: hexText(16) }),
  kdf: z.string(),
  kdfparams: z.looseObject({ dklen: z.literal(KEY_BYTES), salt }),
  mac: hexText(32),
})
const scryptSchema = z.object({ n: positive, r: positive, p: positive })
const pbkdf2Schema = z.object({ c: positive, prf: z.string() })

/** A keystore file that was read and understood, still locked. */
export type LockedKey = {
  /** The address that it says it holds the key of; null when it does not say. */
  address: Address | null
  /** The name it was given; null for a file of another program. */
  name: string | null
  keystore: Keystore.Keystore
}

/**
 * Reads the text of a keystore file (Web3 Secret Storage, version 3). `where` names it in errors.
 * @throws KEYSTORE_INVALID when it is none, KEYSTORE_UNSUPPORTED for another version, cipher or key derivation
 */
export function parseKeystore(text: string, where: string): LockedKey {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    // The cause stays out: it quotes the text, which may be a key.
    throw invalid(where, 'it is not JSON')
  }
  const parsed = z
    .looseObject({
      version: z.number(),
      address: z.string().optional(),
      name: z.unknown().optional(),
    })
    .safeParse(json)
  if (!parsed.success) throw invalid(where, 'it has no version')
  const { version, address: given, name, ...rest } = parsed.data
  if (version !== 3) throw unsupported(where, `version ${version}`)
  // Early files capitalise the field.
  const crypto = cryptoSchema.safeParse(rest['crypto'] ?? rest['Crypto'])
  if (!crypto.success)
    throw invalid(
      where,
      `crypto.${crypto.error.issues[0]?.path.join('.') ?? ''} is wrong or missing`,
    )
  if (crypto.data.cipher !== 'aes-128-ctr') throw unsupported(where, `cipher ${crypto.data.cipher}`)
  const { ciphertext, cipherparams, mac } = crypto.data
  const text0x = given === undefined || given.startsWith('0x') ? given : `0x${given}`
  if (text0x !== undefined && !isAddress(text0x, { strict: false }))
    throw invalid(where, 'its address is none')
  return {
    address: text0x === undefined ? null : getAddress(text0x),
    name: typeof name === 'string' && name !== '' ? name : null,
    keystore: {
      version: 3,
      id: '',
      crypto: {
        cipher: 'aes-128-ctr',
        ciphertext: bare(ciphertext),
        cipherparams: { iv: bare(cipherparams.iv) },
        mac: bare(mac),
        ...kdfOf(crypto.data, where),
      },
    },
  }
}

/**
 * The private key of a keystore. Takes about a second, in which nothing else happens, and with scrypt the memory that the
 * file asks for.
 * @throws WRONG_PASSPHRASE; KEYSTORE_INVALID when the key is not that of its address
 */
export function unlockKey(key: LockedKey, passphrase: string, where: string): Hex {
  const derived = derive(key.keystore, passphrase)
  let privateKey: Hex
  try {
    privateKey = Keystore.decrypt(key.keystore, derived)
  } catch {
    // All that is left to go wrong is the checksum of key and ciphertext.
    throw new MultiverseError('WRONG_PASSPHRASE', `wrong passphrase for ${where}`)
  }
  const address = addressOf(privateKey)
  if (address === null || (key.address !== null && key.address !== address))
    throw invalid(where, `it holds the key of ${address ?? 'no address'}, not of ${key.address}`)
  return privateKey
}

/** The text of a keystore file that holds the key, encrypted with the passphrase, under a name. */
export function lockKey(privateKey: Hex, passphrase: string, name: string): string {
  const kdfparams = { dklen: KEY_BYTES, salt: randomBytes(KEY_BYTES).toString('hex'), ...SCRYPT }
  const derived = scrypt(passphrase, kdfparams)
  const how = { kdf: 'scrypt', kdfparams, iv: randomBytes(16) } as const
  const { crypto, id, version } = Keystore.encrypt(privateKey, derived, how)
  const address = bare(privateKeyToAddress(privateKey)).toLowerCase()
  return `${JSON.stringify({ address, crypto, id, name, version })}\n`
}

/** What a passphrase comes to by the file's own rules. */
function derive(keystore: Keystore.Keystore, passphrase: string): Keystore.Key {
  const { kdfparams } = keystore.crypto
  // Node's own takes a third of the time, and refuses the definition's own example.
  return 'n' in kdfparams && kdfparams.n < 2 ** (16 * kdfparams.r)
    ? scrypt(passphrase, kdfparams)
    : // Not toKeyAsync: it takes every file's r for 1 and p for 8.
      Keystore.toKey(keystore, { password: passphrase })
}

function scrypt(
  passphrase: string,
  { salt: hex, n, r, p }: Keystore.ScryptDeriveOpts['kdfparams'],
): Hex {
  // A little more than the tables take.
  const maxmem = 128 * r * (n + p + 2) + 2 ** 20
  const key = scryptSync(passphrase, Buffer.from(hex, 'hex'), KEY_BYTES, { N: n, r, p, maxmem })
  return `0x${key.toString('hex')}`
}

/** Whether the text is a secp256k1 private key in hex, with or without 0x. */
export function isPrivateKey(text: string): boolean {
  return /^(0x)?[0-9a-fA-F]{64}$/.test(text) && addressOf(withPrefix(text)) !== null
}

/** A private key in hex with 0x. @throws INVALID_KEY naming `where` it came from and never the key */
export function parsePrivateKey(text: string, where: string): Hex {
  if (!isPrivateKey(text)) throw new MultiverseError('INVALID_KEY', `${where} holds no private key`)
  return withPrefix(text)
}

/** The parameters of a key derivation, checked: with others it would fail in some other way, or never end. */
function kdfOf({ kdf, kdfparams }: z.infer<typeof cryptoSchema>, where: string) {
  const salt = bare(kdfparams.salt)
  switch (kdf) {
    case 'scrypt': {
      const parsed = scryptSchema.safeParse(kdfparams)
      if (!parsed.success) throw invalid(where, 'its scrypt parameters are wrong or missing')
      const { n, r, p } = parsed.data
      if (n < 2 || n > 2 ** 30 || (n & (n - 1)) !== 0)
        throw invalid(where, `scrypt n=${n} is no power of two`)
      if (128 * n * r > MAX_SCRYPT_MEMORY || n * r * p > MAX_SCRYPT_WORK)
        throw unsupported(where, `scrypt with n=${n}, r=${r}, p=${p}, which is too much work,`)
      return { kdf, kdfparams: { dklen: KEY_BYTES, salt, n, r, p } } as const
    }
    case 'pbkdf2': {
      const parsed = pbkdf2Schema.safeParse(kdfparams)
      if (!parsed.success) throw invalid(where, 'its pbkdf2 parameters are wrong or missing')
      const { c, prf } = parsed.data
      if (prf !== 'hmac-sha256') throw unsupported(where, `pbkdf2 with ${prf}`)
      if (c > MAX_PBKDF2_ROUNDS)
        throw unsupported(where, `pbkdf2 with c=${c}, which is too much work,`)
      return { kdf, kdfparams: { dklen: KEY_BYTES, salt, c, prf } } as const
    }
    default:
      throw unsupported(where, `key derivation ${kdf}`)
  }
}

/** The address of a key; null when it is no key of the curve. */
function addressOf(privateKey: Hex): Address | null {
  try {
    return privateKeyToAddress(privateKey)
  } catch {
    // The cause stays out: it might hold the key.
    return null
  }
}

const bare = (hex: string) => hex.replace(/^0x/, '')
const withPrefix = (hex: string) => `0x${bare(hex)}` as const

function invalid(where: string, why: string): MultiverseError {
  return new MultiverseError('KEYSTORE_INVALID', `${where} is no keystore file: ${why}`)
}

function unsupported(where: string, what: string): MultiverseError {
  return new MultiverseError(
    'KEYSTORE_UNSUPPORTED',
    `${where} uses ${what}: only version 3 with aes-128-ctr and scrypt or pbkdf2 (hmac-sha256) can be opened`,
  )
}
