import { resolve } from 'node:path'
import { MultiverseError } from '../../sdk/errors.ts'
import { writeAsked } from '../files.ts'
import type { ChartOutput } from '../../sdk/output.ts'
import { withAnalytics } from '../analytics.ts'
import type { Chart } from '../charts/chart.ts'
import { exposureChart } from '../charts/exposure.ts'
import { latencyChart } from '../charts/latency.ts'
import { probabilityChart } from '../charts/probability.ts'
import { renderSvg } from '../charts/render.ts'
import { treeChart } from '../charts/tree.ts'
import { wevChart } from '../charts/wev.ts'
import { type CommonOptions, openKeyring } from '../context.ts'
import type { Result } from '../output.ts'
import { addressOf } from '../wallets.ts'
import type { ChartKind } from '../charts/kinds.ts'

export type ChartOptions = CommonOptions & {
  out?: string
  owner?: string
  question?: string
  open: boolean
}

const CHARTS: Record<ChartKind, Chart> = {
  wev: wevChart,
  probability: probabilityChart,
  exposure: exposureChart,
  latency: latencyChart,
  tree: treeChart,
}

/**
 * Draws a chart into an SVG file, and shows it in a browser where there is one.
 * @throws NOTHING_TO_DRAW, NO_STACK
 */
export async function chartVerb(
  kind: ChartKind,
  options: ChartOptions,
): Promise<Result<ChartOutput>> {
  const { owner, question } = options
  const scope = {
    owner: owner === undefined ? undefined : await ownerOf(owner, options),
    question: question?.toLowerCase(),
  }
  const drawing = await withAnalytics(options, (analytics) => CHARTS[kind](analytics, scope))
  if (drawing.rows.length === 0)
    throw new MultiverseError('NOTHING_TO_DRAW', `there is nothing to draw yet: ${kind}`)
  const file = resolve(options.out ?? `${kind}.svg`)
  await writeAsked(file, await renderSvg(drawing))
  const isShown = options.open && hasBrowser() && (await show(file))
  const marks = drawing.rows.length
  return {
    json: { kind, file, rows: marks },
    text: `${drawing.title}: ${marks} rows drawn in ${file}${isShown ? ', opened' : ''}`,
  }
}

async function ownerOf(text: string, options: CommonOptions): Promise<string> {
  return addressOf(text, true, await openKeyring(options).wallets()).toLowerCase()
}

/** Whether somebody looks at this machine's own screen. */
function hasBrowser(): boolean {
  const { platform, env } = process
  if (!process.stdout.isTTY) return false
  return (
    platform === 'darwin' ||
    platform === 'win32' ||
    Boolean(env['DISPLAY'] || env['WAYLAND_DISPLAY'])
  )
}

/** The file is there whether or not it can be shown. */
async function show(file: string): Promise<boolean> {
  const { default: open } = await import('open')
  return open(file).then(
    () => true,
    () => false,
  )
}
