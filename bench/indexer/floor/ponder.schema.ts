import { onchainTable } from 'ponder'

/** Ponder wants a table. Nothing is ever written into this one. */
export const nothing = onchainTable('nothing', (t) => ({ id: t.integer().primaryKey() }))
