import type { Transaction } from './database.ts'

const ZERO = '0x0000000000000000000000000000000000000000'

/**
 * Notes what supplies the mints and burns of blocks `from` to `to` left after each block. The `supplies` are still those before
 * the first of them.
 */
export function recordSupplies(tx: Transaction, from: bigint, to: bigint): Promise<void> {
  return tx.run(
    `INSERT INTO supply_changes
     SELECT m.position, m.block_number, m.block_timestamp,
       coalesce(s.amount, 0::BIGNUM) + sum(m.delta) OVER (PARTITION BY m.position ORDER BY m.block_number)
     FROM (
       SELECT position, block_number, any_value(block_timestamp) AS block_timestamp,
         sum(CASE sender WHEN '${ZERO}' THEN amount::BIGNUM ELSE 0::BIGNUM END
           - CASE receiver WHEN '${ZERO}' THEN amount::BIGNUM ELSE 0::BIGNUM END) AS delta
       FROM transfers
       WHERE block_number BETWEEN $1 AND $2 AND '${ZERO}' IN (sender, receiver)
       GROUP BY position, block_number
     ) m LEFT JOIN supplies s USING (position)
     ORDER BY m.block_number, m.position`,
    [from, to],
  )
}
