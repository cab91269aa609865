import { Argument } from 'commander'
import { CHART_KINDS, type ChartKind } from '../charts/kinds.ts'
import { examples } from '../help.ts'
import type { Registry } from '../registry.ts'
import type { ChartOptions } from '../verbs/chart.ts'

/** The verb that draws. */
export function registerChartCommand({ verb, finish }: Registry): void {
  verb('chart', 'draw a chart into an SVG file, and open it where there is a browser')
    .addArgument(new Argument('<kind>', 'what of').choices(CHART_KINDS))
    .option('--out <file>', 'the file; KIND.svg here unless given')
    .option('--owner <wallet>', 'exposure: of this owner only')
    .option('--question <id>', 'wev, probability, tree: of this question only, by its whole id')
    .option('--no-open', 'only write it')
    .addHelpText(
      'after',
      examples(
        ['chart tree', 'every verse with its probability, supply, state and world'],
        ['chart exposure --owner alice', 'what alice has in every future'],
        ['chart wev --out wev.svg --no-open', 'extractable value over time'],
      ),
    )
    .action(async (kind: ChartKind, options: ChartOptions) => {
      // Loaded when needed: drawing takes a library that would slow every other verb down.
      const { chartVerb } = await import('../verbs/chart.ts')
      await finish(await chartVerb(kind, options), options)
    })
}
