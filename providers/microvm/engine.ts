import type { Output } from '../provider.ts'

/** Who runs the machines. */
export type EngineId = 'qemu' | 'firecracker'

/** How a guest's instructions run: by the processor itself, or translated by software, about ten times slower. */
export type Acceleration = 'kvm' | 'tcg'

/** A machine whose guest stands still, but while it answers. */
export type Machine = {
  readonly pid: number
  /** Its own folder. */
  readonly folder: string
  /**
   * Hands the guest a request and lets it run until it has answered; what its program writes until then is heard, when the
   * request says so.
   * @throws PROVIDER_FAILED when the guest does not speak the protocol, or the machine ends
   */
  ask: (request: Buffer, hear?: (output: Output) => void) => Promise<Record<string, unknown>>
  /** Writes the whole state to the files of {@link IMAGE_FILES} in an existing folder. May be tried again. */
  capture: (folder: string) => Promise<void>
  /** Resolves when the process is gone. Idempotent. */
  end: () => Promise<void>
  hasEnded: () => boolean
}

/** Files of an image: memory, devices, disk. */
export const IMAGE_FILES = ['ram', 'state', 'disk'] as const

/** What a guest is booted from. */
export type GuestFiles = {
  kernel: string
  initrd: string
  /** Read-only disk. */
  root: string
  /** The world's own disk as it is in the beginning. */
  home: string
}

/** Makes machines of one kind. They end with this process. */
export type Engine = {
  readonly id: EngineId
  readonly acceleration: Acceleration
  /** All of the engine that an image depends on. */
  readonly name: string
  /** Files beside {@link IMAGE_FILES} that a template has, and that every machine made from it needs. */
  readonly templateFiles: readonly string[]
  /**
   * Cold boots the guest, has it warmed up, and leaves its image and the template's files in a folder.
   * @param limitMs for the boot, until the guest's agent listens
   */
  boot: (
    guest: GuestFiles,
    folder: string,
    limitMs: number,
    warm: (machine: Machine) => Promise<void>,
  ) => Promise<void>
  /** Starts processes for machines of one template. */
  open: (template: string) => Opened
}

/** Makes machines of one template. */
export type Opened = {
  /** Starts a process in a new folder that can become any image of this template, quickest `first`. */
  start: (folder: string, first: string) => Promise<Shell>
}

/** A process that waits for the state that its machine is to be in. */
export type Shell = {
  readonly folder: string
  /** Makes an image live. Whatever happens to the image's folder later is no matter to the machine. */
  fill: (image: string) => Promise<Machine>
  end: () => Promise<void>
  hasEnded: () => boolean
}
