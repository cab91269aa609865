import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import type { Curve } from './rows.ts'

/**
 * Draws what a first push-down from ROOT costs against the number of outcomes, for every system measured.
 * @returns The plot as an SVG document.
 */
export function plotCurve(curve: Curve): Promise<string> {
  const values = curve.flatMap(({ outcomes, measurement }) => [
    { system: 'this ledger', outcomes, gas: measurement.ledger.mean },
    ...(measurement.conditionalTokens
      ? [{ system: 'Conditional Tokens', outcomes, gas: measurement.conditionalTokens.mean }]
      : []),
    ...(measurement.plain
      ? [{ system: 'plain ERC-6909', outcomes, gas: measurement.plain.mean }]
      : []),
  ])
  const spec: TopLevelSpec = {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    title: 'Push down from ROOT for the first time',
    width: 560,
    height: 340,
    background: 'white',
    data: { values },
    mark: { type: 'line', point: true },
    encoding: {
      x: {
        field: 'outcomes',
        type: 'quantitative',
        title: 'outcomes',
        scale: { type: 'log', base: 2 },
        axis: { values: curve.map(({ outcomes }) => outcomes) },
      },
      y: {
        field: 'gas',
        type: 'quantitative',
        title: 'gas of the whole transaction',
        scale: { type: 'log' },
        axis: { format: '~s' },
      },
      color: {
        field: 'system',
        title: null,
        sort: ['Conditional Tokens', 'plain ERC-6909', 'this ledger'],
      },
      strokeDash: { field: 'system', title: null },
    },
  }
  return new View(parse(compile(spec).spec), { renderer: 'none' }).toSVG()
}
