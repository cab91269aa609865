import { readFileSync } from 'node:fs'

// A keeper on a machine whose clock can be set: by so many milliseconds as CLOCK_FILE says, from SIGUSR2 on.

const RealDate = Date
let offsetMs = 0
process.on('SIGUSR2', () => {
  offsetMs = Number(readFileSync(process.env['CLOCK_FILE']!, 'utf8'))
})

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args: [], newTarget) =>
    Reflect.construct(
      target,
      args.length === 0 ? [RealDate.now() + offsetMs] : args,
      newTarget,
    ) as Date,
  get: (target, name) =>
    name === 'now' ? () => RealDate.now() + offsetMs : (Reflect.get(target, name) as unknown),
})

await import('../../../keeper/main.ts')
