import { parse, View } from 'vega'
import { compile } from 'vega-lite'
import type { Drawing } from './chart.ts'

/** Draws a picture as an SVG document. Its marks bear their data as `aria-label`s. */
export function renderSvg(drawing: Drawing): Promise<string> {
  const spec = drawing.kind === 'vega' ? drawing.spec : compile(drawing.spec).spec
  return new View(parse(spec), { renderer: 'none' }).toSVG()
}
