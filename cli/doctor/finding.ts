/** What the doctor found of one thing. */
export type Finding = {
  /** Stable, for programs. */
  id: string
  name: string
  /** Whether a stack on this machine needs it. */
  required: boolean
  ok: boolean
  /** One line; no secret. */
  detail: string
  /** One line that mends it; null when there is nothing to mend. */
  mend: string | null
}

type Subject = Pick<Finding, 'id' | 'name' | 'required'>

/** It is as it should be. */
export function found(subject: Subject, detail: string): Finding {
  return { ...subject, ok: true, detail, mend: null }
}

/** It is not, and this mends it. */
export function lacking(subject: Subject, detail: string, mend: string): Finding {
  return { ...subject, ok: false, detail, mend }
}
