import { figure, type Row } from '../harness.ts'
import type { Mean, Measurement } from './measure.ts'
import { SLOPE, targets } from './operations.ts'

/** Costs of pushing down from ROOT for the first time, by number of outcomes. */
export type Curve = { outcomes: number; measurement: Measurement }[]

/** Picks the first push-downs, by ascending number of outcomes. */
export function curveOf(measurements: readonly Measurement[]): Curve {
  const found: Curve = []
  for (const measurement of measurements) {
    const outcomes = /^push down (\d+), first$/.exec(measurement.operation)?.[1]
    if (outcomes !== undefined) found.push({ outcomes: Number(outcomes), measurement })
  }
  return found.toSorted((a, b) => a.outcomes - b.outcomes)
}

/**
 * The bench's table: the ledger's own mean gas against its target, and beside it the other systems' means with their
 * standard errors, the ledger's share of each, and the floor with its parts.
 */
export function rowsOf(measurements: readonly Measurement[]): Row[] {
  const rows = measurements.map((each) => rowOf(each))
  const slope = slopeRow(curveOf(measurements))
  return slope === undefined ? rows : [...rows, slope]
}

function rowOf(measurement: Measurement): Row {
  const { operation, ledger, conditionalTokens, plain, floor } = measurement
  const { total, ...parts } = floor
  return ownRow(operation, ledger.mean, {
    ...compared('CTF', ledger, conditionalTokens),
    ...compared('plain', ledger, plain),
    floor: total,
    'above floor': `${((ledger.mean / total - 1) * 100).toFixed(1)} %`,
    'floor is': Object.entries(parts)
      .filter(([, gas]) => gas !== 0)
      .map(([name, gas]) => `${name} ${gas}`)
      .join(' + ')
      .replace('+ refund', '- refund'),
  })
}

function slopeRow(curve: Curve): Row | undefined {
  const low = curve.find(({ outcomes }) => outcomes === 8)
  const high = curve.find(({ outcomes }) => outcomes === 254)
  if (low === undefined || high === undefined) return undefined
  const slope = (of: (measurement: Measurement) => number | undefined) => {
    const [from, to] = [of(low.measurement), of(high.measurement)]
    if (from === undefined || to === undefined) return undefined
    return { mean: (to - from) / (high.outcomes - low.outcomes), standardError: 0 }
  }
  const own = slope(({ ledger }) => ledger.mean)!
  return ownRow(SLOPE, own.mean, {
    ...compared(
      'CTF',
      own,
      slope(({ conditionalTokens }) => conditionalTokens?.mean),
    ),
    ...compared(
      'plain',
      own,
      slope(({ plain }) => plain?.mean),
    ),
  })
}

function ownRow(operation: string, gas: number, beside: NonNullable<Row['beside']>): Row {
  const value = targets[operation]
  const target = value === undefined ? undefined : ({ op: '<=', value } as const)
  return { ...figure(operation, Math.round(gas), 'gas', target), beside }
}

function compared(
  name: string,
  own: Mean,
  other: Mean | undefined,
): Record<string, string | number> {
  if (other === undefined) return {}
  return {
    [name]: Math.round(other.mean),
    [`${name} ±`]: Math.round(other.standardError),
    [`to ${name}`]: (own.mean / other.mean).toFixed(3),
  }
}
