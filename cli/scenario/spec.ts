import { pigou } from '../../providers/scenarios/pigou.ts'
import { type Language, scenarioSpec } from '../../providers/scenarios/scenario.ts'
import type { Spec } from '../../sdk/spec.ts'

export { OUTCOMES, type Outcome } from '../../providers/scenarios/scenario.ts'

/** The default scenario: selfish routing on Pigou's network with latency x^degree, degree 1 to 4. */
export function pigouSpec({
  degree,
  seed,
  language,
}: {
  degree: number
  seed?: number
  language?: Language | undefined
}): Spec {
  return scenarioSpec(pigou(degree), {
    ...(seed === undefined ? {} : { seed }),
    ...(language === undefined ? {} : { language }),
  })
}
